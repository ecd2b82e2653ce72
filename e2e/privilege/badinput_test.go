package privilege

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// bad is something that is missing or wrong where a process starts.
type bad struct {
	name string
	// setup makes it so; it returns what takes it back.
	setup func(ctx context.Context, w *world) (undo func() error, err error)
	// arguments replace those that are right; DIR is a directory with files.
	speaker, controller string
	// says is what the last line says that the process writes. It ends, or goes on and says why it is not ready.
	says, notReady string
	goesOn         bool // and is ready
}

// held has somebody else listen on node1.
func held(network, address string) func(context.Context, *world) (func() error, error) {
	return func(ctx context.Context, w *world) (func() error, error) {
		if strings.HasPrefix(network, "udp") {
			c, err := w.Node(1).ListenPacket(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return c.Close, nil
		}
		l, err := w.Node(1).Listen(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return l.Close, nil
	}
}

const rightSpeaker = "--kubeconfig DIR/speaker.kubeconfig --node-name node1 --gossip-key-file DIR/key --gossip-port 7966 --http-address 127.0.0.1:7583 "
const rightController = "--kubeconfig DIR/controller.kubeconfig --http-address 127.0.0.1:7582 "

var badInput = []bad{
	{
		name: "no gossip key", speaker: "--gossip-key-file DIR/nothing",
		says: "--gossip-key-file: there is no file DIR/nothing: mount the Secret fairlead-gossip there, which the controller makes, with its entry secretkey",
	},
	{
		name: "an empty gossip key", speaker: "--gossip-key-file DIR/empty",
		says: "--gossip-key-file: DIR/empty is empty: put a key into the Secret fairlead-gossip, entry secretkey, or delete the Secret and restart the controller, which makes a new one",
	},
	{
		name: "another gossip key than the others'", setup: func(ctx context.Context, w *world) (func() error, error) {
			own := w.Node(1).Speaker
			return own.Start, own.Kill()
		},
		speaker: "--gossip-key-file DIR/other --gossip-port 7956",
		says:    "gossip that was not made with this speaker's key: the Secret fairlead-gossip has changed, and not all speakers were restarted, or somebody else sends it",
		goesOn:  true,
	},
	{
		name: "the speaker's HTTP port is taken", setup: held("tcp", "127.0.0.1:7584"), speaker: "--http-address 127.0.0.1:7584",
		says: "--http-address 127.0.0.1:7584: another process has this port; choose another",
	},
	{
		name: "the controller's HTTP port is taken", controller: "--http-address 127.0.0.1:7472",
		says: "--http-address 127.0.0.1:7472: another process has this port; choose another",
	},
	{
		name: "the gossip port is taken, TCP", setup: held("tcp", "192.0.2.11:7966"),
		says: "--gossip-port: another process has port 7966, TCP or UDP, at 192.0.2.11: choose another for all speakers, or stop it",
	},
	{
		name: "the gossip port is taken, UDP", setup: held("udp", "192.0.2.11:7966"),
		says: "--gossip-port: another process has port 7966, TCP or UDP, at 192.0.2.11: choose another for all speakers, or stop it",
	},
	{
		name: "the port of failure detection is taken", setup: held("udp", "192.0.2.11:7967"),
		says: "--gossip-port: another process has UDP port 7967 at 192.0.2.11, the one after --gossip-port, for failure detection: choose another for all speakers, or stop it",
	},
	{
		name: "an address that is not this machine's: no hostNetwork", speaker: "--node-name node2",
		says: "192.0.2.12, an InternalIP of Node node2, is on no interface of this machine: does the speaker run with hostNetwork?",
	},
	{
		name: "a Node that there is not", speaker: "--node-name nobody",
		says:     "there is no Node nobody (--node-name, or $NODE_NAME), or it has no InternalIP yet, waiting",
		notReady: "there is no Node nobody (--node-name, or $NODE_NAME), or it has no InternalIP yet",
	},
	{
		name: "no name of a Node", speaker: "--node-name=",
		says: "--node-name is empty, and so is $NODE_NAME: name the Node that this speaker runs on",
	},
	{
		name: "no kubeconfig", controller: "--kubeconfig DIR/nothing",
		says: "--kubeconfig: open DIR/nothing: no such file or directory",
	},
	{
		name: "a kubeconfig that is none", controller: "--kubeconfig DIR/key",
		says: "--kubeconfig DIR/key: ",
	},
	{
		name: "no service account", controller: "--kubeconfig=",
		says: "without --kubeconfig the Pod's service account is used, and there is none",
	},
	{
		name: "an API server that is not there", controller: "--kubeconfig DIR/elsewhere.kubeconfig",
		says: "API server not reached yet, waiting", notReady: "waiting for the API server: ",
	},
	{
		name: "a token that the API server does not know", controller: "--kubeconfig DIR/stranger.kubeconfig",
		says: "the API server does not know who this is", notReady: "waiting for ",
	},
	{
		name: "a right that is missing", controller: "--kubeconfig DIR/speaker.kubeconfig", // the speaker's
		says:     "the API server forbids what this program needs",
		notReady: "waiting for Namespaces: forbidden to list namespaces: the ClusterRole fairlead-speaker does not grant it; apply the manifests (or the chart) of this version again",
	},
	{
		name: "a kind that is not defined",
		setup: func(ctx context.Context, w *world) (func() error, error) {
			return w.withoutDefinition(ctx, "communities.fairlead.dev")
		},
		controller: "--log-format text",
		says:       "Communities cannot be watched",
		notReady:   "waiting for Communities: Fairlead's custom resource definitions are not installed: apply manifests/crds, or all of the manifests, of this version",
	},
}

// TestBadInput has processes start where something is missing: the last line that they write, which is what `kubectl
// describe pod` shows of one that has ended, says what and where.
func TestBadInput(t *testing.T) {
	ctx, w := start(t, 4*time.Minute)
	dir := w.badFiles(t)
	for _, b := range badInput {
		t.Run(b.name, func(t *testing.T) {
			if b.setup != nil {
				undo, err := b.setup(ctx, w)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := undo(); err != nil {
						t.Error(err)
					}
				})
			}
			program, host, port, line := "speaker", w.Node(1).Host, 7583, rightSpeaker+b.speaker
			if b.controller != "" {
				program, host, port, line = "controller", w.CP, 7582, rightController+b.controller
			}
			arguments := append([]string{program}, strings.Fields(strings.ReplaceAll(line, "DIR", dir))...)
			p := w.Program(w.name("bad"), host, build(t, program), arguments...)
			t.Cleanup(func() {
				if err := p.Kill(); err != nil {
					t.Error(err)
				}
			})
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			says := strings.ReplaceAll(b.says, "DIR", dir)
			if b.goesOn {
				await(ctx, t, "the line "+says, 20*time.Second, func() error { return contains(since(p, 0), says) })
				return
			}
			if b.notReady == "" {
				awaitEnd(ctx, t, p)
				lastLine(t, p, says)
				if lines := strings.Count(since(p, 0), "\n"); lines > 6 {
					t.Errorf("it takes %d lines:\n%s", lines, since(p, 0))
				}
				return
			}
			await(ctx, t, "the line "+says, 15*time.Second, func() error { return contains(since(p, 0), says) })
			lastLine(t, p, says)
			await(ctx, t, "/readyz to say so", 10*time.Second, func() error {
				if err := ready(ctx, host, port); err == nil || !strings.HasPrefix(err.Error(), "not ready: "+b.notReady) && !strings.Contains(err.Error(), "\n"+b.notReady) {
					return errors.Join(errors.New("it says"), err)
				}
				return nil
			})
			if !p.Running() {
				t.Error("it has ended")
			}
		})
	}
}

// badFiles makes the directory that the arguments speak of.
func (w *world) badFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	copied := func(from, to string, change ...string) {
		text, err := os.ReadFile(filepath.Join(w.Directory, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), []byte(strings.NewReplacer(change...).Replace(string(text))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied("gossip.key", "key")
	copied("fairlead-speaker-node1.kubeconfig", "speaker.kubeconfig")
	copied("fairlead-controller.kubeconfig", "controller.kubeconfig")
	copied("fairlead-controller.kubeconfig", "elsewhere.kubeconfig", ":6443", ":6444")
	copied("fairlead-controller.kubeconfig", "stranger.kubeconfig", "token: ", "token: x")
	if err := os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withoutDefinition deletes a custom resource definition.
func (w *world) withoutDefinition(ctx context.Context, name string) (restore func() error, err error) {
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		return nil, err
	}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if err := definitions.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return nil, err
	}
	_, err = measure.Await(ctx, 10*time.Second, func() error {
		if _, err := definitions.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
	plural, group, _ := strings.Cut(name, ".")
	return func() error {
		root, err := lab.Root()
		if err != nil {
			return err
		}
		return w.ApplyFile(context.Background(), filepath.Join(root, "manifests", "crds", group+"_"+plural+".yaml"))
	}, err
}

// An API server that does not serve the pools for a while, as one does whose definitions were applied in a wrong version,
// takes nothing away: not the addresses that Services have, nor who answers for them.
func TestPoolsNotServed(t *testing.T) {
	ctx, w := start(t, time.Minute)
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	serve := func(served bool) {
		patch := fmt.Appendf(nil, `[{"op": "replace", "path": "/spec/versions/0/served", "value": %v}]`, served)
		if _, err := definitions.Patch(context.Background(), "ipaddresspools.fairlead.dev", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		if err := w.cleanServices(context.Background()); err != nil {
			t.Error(err)
		}
	})
	name, announced := w.name("stays"), w.name("stays")
	if err := errors.Join(w.service(ctx, name), w.announced(ctx, announced, "192.0.2.249")); err != nil {
		t.Fatal(err)
	}
	has := func(name string) error {
		s, err := w.Kubernetes.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
			err = errors.New("it has no address")
		}
		return err
	}
	answered := func() error {
		macs, err := w.Client(1).Answerers(ctx, netip.MustParseAddr("192.0.2.249"), 200*time.Millisecond)
		if err == nil && len(macs) != 1 {
			err = fmt.Errorf("%v answer", macs)
		}
		return err
	}
	await(ctx, t, "an address", 10*time.Second, func() error { return has(name) })
	await(ctx, t, "an answer", 10*time.Second, answered)
	from := logged(w.Controllers[0])
	serve(false)
	t.Cleanup(func() { serve(true) })
	await(ctx, t, "a word of it", 20*time.Second, func() error { return contains(since(w.Controllers[0], from), "IPAddressPools cannot be watched") })
	if err := errors.Join(has(name), answered()); err != nil {
		t.Error(err)
	}
	serve(true)
	late := w.name("late")
	if err := w.service(ctx, late); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "an address", 20*time.Second, func() error { return has(late) })
	if err := errors.Join(has(name), answered()); err != nil {
		t.Error(err)
	}
}
