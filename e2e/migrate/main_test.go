// Package migrate runs docs/migrate.md, word for word, in the lab: the real MetalLB, built from its Go modules, gives
// Services their addresses and announces them; clients use them; and they are moved to Fairlead and back. What the
// guide says of the clients is what it holds them to. Holders of addresses that are not to be had as a Go module are
// played: they write a Service's status and put the address on a node's interface, as kube-vip does.
package migrate

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestMain(m *testing.M) { lab.MainBuilt(m, builtVariable, buildMetalLB) }

// Hosts beside the nodes. What measures does nothing else.
const (
	asking   = 1 // client1 sends the requests that are measured
	backend  = 2 // client2 answers them, behind every Service: no endpoint dies with a node
	watching = 3 // client3 asks the segment who has what
)

const (
	namespace        = "default"
	metallbNamespace = "metallb-system"
)

// world is a lab without a load balancer, a terminal, and what runs Pods' programs.
type world struct {
	*lab.Lab
	fairlead  versioned.Interface
	server    io.Closer
	programs  *programs
	directory string // of the terminal
}

// start is a new lab for one test, which takes so long at most.
func start(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	build := filepath.Join(root, "build")
	for _, name := range []string{"controller", "speaker", "kubectl-fairlead"} {
		if _, err := os.Stat(filepath.Join(build, name)); err != nil {
			t.Fatalf("%v: run `make build` first", err)
		}
	}
	l, err := lab.Start(ctx, lab.Config{Nodes: 3, Clients: 3, Scheduler: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	w := &world{Lab: l, directory: t.TempDir()}
	if w.server, err = w.Client(backend).Serve(lab.BackendPort); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Close() })
	if w.fairlead, err = versioned.NewForConfig(l.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	w.programs = &programs{w: w, metallb: os.Getenv(builtVariable), product: build, files: t.TempDir(), running: map[types.UID]*program{}}
	following, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.programs.follow(following); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	t.Cleanup(func() {
		if t.Failed() {
			w.programs.show(t, 25)
		}
	})
	w.terminal(ctx, t, root)
	return ctx, w
}

// terminal prepares a directory as the guide's reader has it: a clone of the repository, as far as it is used, kubectl
// and its plugin.
func (w *world) terminal(ctx context.Context, t *testing.T, root string) {
	t.Helper()
	hyperkube, err := lab.Hyperkube(ctx, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.directory, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"kubectl": hyperkube, "kubectl-fairlead": filepath.Join(root, "build", "kubectl-fairlead")} {
		if err := os.Symlink(target, filepath.Join(w.directory, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(root, "manifests", "fairlead.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "manifests/fairlead.yaml", forLab(t, manifest))
	rest := w.RESTConfig()
	who := &api.AuthInfo{ClientCertificateData: rest.CertData, ClientKeyData: rest.KeyData}
	if err := writeKubeconfig(w.Lab, filepath.Join(w.directory, "kubeconfig"), who); err != nil {
		t.Fatal(err)
	}
}

// put writes a file into the terminal's directory.
func (w *world) put(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join(w.directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
