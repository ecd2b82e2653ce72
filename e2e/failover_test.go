package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// takeoverBound is how long a client may be without service when the owner dies. Issue "3 of 7" lowers it.
const takeoverBound = 3 * time.Second

// failing makes a Service with a backend on every node but the owner of its IPv4 address, so that what is
// measured is the address, and not an endpoint that died with the node. It returns that address and its owner.
func (w *world) failing(ctx context.Context, t *testing.T, name string) (netip.Addr, *lab.Node) {
	t.Helper()
	w.service(ctx, t, name, nil)
	vips, _ := w.addresses(ctx, t, name, 2)
	owner := w.owner(ctx, t, vips[0])
	for _, n := range w.Nodes {
		if n != owner {
			w.deploy(ctx, t, name, n.Name)
		}
	}
	if _, err := w.Client(1).Await(ctx, "tcp", at(vips[0])); err != nil {
		t.Fatal(err)
	}
	return vips[0], owner
}

// The owner's cable is cut, at either end: the service returns, and stays where it is when the cable does.
func TestCableCut(t *testing.T) {
	for _, side := range []lab.Side{lab.SwitchSide, lab.HostSide} {
		t.Run(side.String(), func(t *testing.T) {
			ctx, w := within(t, 2*time.Minute)
			vip, owner := w.failing(ctx, t, fmt.Sprint("cut-", int(side)))
			// What other nodes own must not move: neither when this one goes nor when it is back.
			others := map[netip.Addr]*lab.Node{}
			for i := range 4 {
				name := fmt.Sprintf("cut-%d-%d", int(side), i)
				w.service(ctx, t, name, nil)
				list, _ := w.addresses(ctx, t, name, 2)
				for _, a := range list {
					if n := w.owner(ctx, t, a); n != owner {
						others[a] = n
					}
				}
			}
			probe := w.Client(1).Probe(ctx, "tcp", at(vip), 10*time.Millisecond)
			time.Sleep(500 * time.Millisecond)
			cut := time.Now()
			if err := w.Cut(owner.Host, side); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.Restore(owner.Host) })
			if _, err := probe.AwaitAnswer(ctx, cut.Add(100*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			result := probe.Stop()
			successor := w.owner(ctx, t, vip)
			t.Logf("cut on the %s: without service for %s; %s took over from %s", side, result.Longest, successor.Name, owner.Name)
			if result.Longest.Duration() > takeoverBound {
				t.Errorf("without service for %s, more than %s", result.Longest, takeoverBound)
			}
			if successor == owner {
				t.Errorf("%s, which is cut off, answers", owner.Name)
			}
			eventually(ctx, t, "the lost speaker's status", 10*time.Second, func() error {
				s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, owner.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if c := condition(s.Status.Conditions, "Ready"); c[:5] != "False" || s.Status.Layer2 != nil {
					return fmt.Errorf("Ready is %s, owned %+v", c, s.Status.Layer2)
				}
				return nil
			})

			if err := w.Restore(owner.Host); err != nil {
				t.Fatal(err)
			}
			w.awaitServing(ctx, t, owner.Name)
			time.Sleep(2 * time.Second) // for a move that must not come
			if now := w.owner(ctx, t, vip); now != successor {
				t.Errorf("the address moved from %s to %s when %s was back", successor.Name, now.Name, owner.Name)
			}
			for a, n := range others {
				if now := w.owner(ctx, t, a); now != n {
					t.Errorf("%s moved from %s to %s although only %s was cut off", a, n.Name, now.Name, owner.Name)
				}
			}
		})
	}
}

// awaitServing waits until a node's speaker says that it sees all the others.
func (w *world) awaitServing(ctx context.Context, t *testing.T, node string) {
	t.Helper()
	eventually(ctx, t, node+" among the others", 20*time.Second, func() error {
		s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := condition(s.Status.Conditions, "Ready"); c[:4] != "True" || s.Status.Gossip == nil || s.Status.Gossip.Members != int32(len(w.Nodes)) {
			return fmt.Errorf("Ready is %s, gossip %+v", c, s.Status.Gossip)
		}
		return nil
	})
}

// The owner's speaker is killed: another node takes over in time.
func TestSpeakerKilled(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	vip, owner := w.failing(ctx, t, "killed")
	if err := owner.Speaker.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	t.Cleanup(func() {
		if !owner.Speaker.Running() {
			_ = owner.Speaker.Start()
		}
	})
	// a client that does not know the address yet
	if err := w.Client(2).FlushNeighbor(vip); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client(2).Await(ctx, "tcp", at(vip)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(killed)
	t.Logf("a new client was without service for %s; %s took over from %s", took.Round(time.Millisecond), w.owner(ctx, t, vip).Name, owner.Name)
	if took > takeoverBound {
		t.Errorf("without service for %s, more than %s", took, takeoverBound)
	}
	successor := w.owner(ctx, t, vip)
	if err := owner.Speaker.Start(); err != nil {
		t.Fatal(err)
	}
	w.awaitServing(ctx, t, owner.Name)
	if now := w.owner(ctx, t, vip); now != successor {
		t.Errorf("the address moved from %s to %s when the speaker was back", successor.Name, now.Name)
	}
}

// A speaker that is told to stop says good-bye, and nobody misses a request.
func TestSpeakerStopped(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	vip, owner := w.failing(ctx, t, "stopped")
	probe := w.Client(1).Probe(ctx, "tcp", at(vip), 10*time.Millisecond)
	if err := owner.Speaker.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if code, err := owner.Speaker.ExitCode(); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
	t.Cleanup(func() {
		if !owner.Speaker.Running() {
			_ = owner.Speaker.Start()
		}
	})
	successor := w.owner(ctx, t, vip)
	result := probe.Stop()
	t.Logf("%s took over from %s; longest gap %s", successor.Name, owner.Name, result.Longest)
	if result.Failure != nil {
		t.Errorf("%d of %d requests answered: %v", len(result.Answers), result.Sent, result.Failure)
	}
	if err := owner.Speaker.Start(); err != nil {
		t.Fatal(err)
	}
	w.awaitServing(ctx, t, owner.Name)
}

// The controller is killed and started again: nothing changes, nothing is written.
func TestControllerRestart(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	for i := range 5 {
		w.service(ctx, t, fmt.Sprint("kept-", i), nil)
	}
	before := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("kept-", i)
		w.addresses(ctx, t, name, 2)
		w.awaitCondition(ctx, t, name, "True Assigned")
		s, err := w.get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = s.ResourceVersion
	}
	if err := w.Controllers[0].Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.Controllers[0].Ended()
	if err := w.Controllers[0].Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	// it works again: the next Service gets the next address. A killed leader's Lease has to run out first.
	w.service(ctx, t, "after-restart", nil)
	eventually(ctx, t, "an address of the new Service", 40*time.Second, func() error {
		s, err := w.get(ctx, "after-restart")
		if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
			err = fmt.Errorf("condition %s", condition(s.Status.Conditions, "fairlead.dev/Assigned"))
		}
		return err
	})
	t.Logf("first new address %s after the start of a killed controller", time.Since(began).Round(time.Millisecond))
	for name, version := range before {
		s, err := w.get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.ResourceVersion != version {
			t.Errorf("%s was written: %s", name, condition(s.Status.Conditions, "fairlead.dev/Assigned"))
		}
	}
}

// The API server goes: addresses stay, and a takeover works all the same.
func TestAPIServerGone(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	vip, owner := w.failing(ctx, t, "headless")
	if err := w.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	back := func(ctx context.Context) {
		if err := w.StartAPIServer(ctx); err != nil {
			t.Error(err)
		}
	}
	probe := w.Client(1).Probe(ctx, "tcp", at(vip), 10*time.Millisecond)
	time.Sleep(3 * time.Second)
	if result := probe.Stop(); result.Failure != nil {
		t.Errorf("%d of %d requests answered: %v", len(result.Answers), result.Sent, result.Failure)
	}
	probe = w.Client(1).Probe(ctx, "tcp", at(vip), 10*time.Millisecond)
	cut := time.Now()
	if err := w.Cut(owner.Host, lab.SwitchSide); err != nil {
		t.Fatal(err)
	}
	_, err := probe.AwaitAnswer(ctx, cut.Add(100*time.Millisecond))
	result := probe.Stop()
	if err != nil {
		t.Error(err)
	}
	t.Logf("without an API server, without service for %s", result.Longest)
	if result.Longest.Duration() > takeoverBound {
		t.Errorf("without service for %s, more than %s", result.Longest, takeoverBound)
	}
	if err := w.Restore(owner.Host); err != nil {
		t.Error(err)
	}
	back(ctx)
	w.awaitServing(ctx, t, owner.Name)
	for _, p := range w.product() {
		if !p.Running() {
			t.Errorf("%s has ended", p.Name)
		}
	}
	// and it works on
	w.service(ctx, t, "after-all", nil)
	w.addresses(ctx, t, "after-all", 2)
	w.awaitKubeProxies(ctx, t, "after-all")
}

// awaitKubeProxies has Kubernetes' own parts follow the API server again, for the tests that come after. They
// would by themselves too, but their back-off grows to a minute.
func (w *world) awaitKubeProxies(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	s, err := w.get(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	restart := []*lab.Process{w.Process("kube-controller-manager")}
	for _, n := range w.Nodes {
		restart = append(restart, n.KubeProxy)
	}
	for _, p := range restart {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	w.deploy(ctx, t, name, "node1")
	for _, n := range w.Nodes {
		if _, err := n.Await(ctx, "tcp", at(netip.MustParseAddr(s.Spec.ClusterIP))); err != nil {
			t.Fatal(err)
		}
	}
}
