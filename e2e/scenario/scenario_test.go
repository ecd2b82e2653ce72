package scenario

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	scripts "github.com/fairlead-lb/fairlead/internal/k8s/scenario"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestScenarios(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	controller := filepath.Join(root, "build", "controller")
	if _, err := os.Stat(controller); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	l, err := lab.Start(ctx, lab.Config{Nodes: lab.None, ControllerBinary: controller})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	fairlead, err := versioned.NewForConfig(l.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(ctx, product{l}, &k8s.Cluster{Core: l.Kubernetes, Fairlead: fairlead})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts.Files(t, filepath.Join(root, "internal/k8s/controller/testdata")) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Log(l.Controllers[0].Tail(20))
				}
				if err := c.Empty(); err != nil {
					t.Fatal(err)
				}
			}()
			scripts.Run(t, c, path, false)
		})
	}
}

// product is a lab as scenarios see it.
type product struct{ *lab.Lab }

func (p product) Stop() error { return p.Controllers[0].Kill() }

func (p product) Start() error { return p.Controllers[0].Start() }

func (p product) Running() bool { return p.Controllers[0].Running() }

func (p product) Metrics(ctx context.Context) ([]byte, error) {
	_, page, err := p.CP.Page(ctx, lab.ControllerHTTPPort, "/metrics")
	return []byte(page), err
}
