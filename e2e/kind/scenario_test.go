//go:build kind

package kind

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/scenario"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	scripts "github.com/fairlead-lb/fairlead/internal/k8s/scenario"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// scenarios runs the scripts of internal/k8s/controller/testdata with the controller as it is deployed. They are
// about the controller: the speakers, which would have a say in the same objects, are away meanwhile.
func (w *world) scenarios(t *attempt) {
	w.install(t, manifest)
	w.forgetAll(t)
	kubectl(t, "delete", "daemonset", "fairlead-speaker", "--namespace", namespace)
	kubectl(t, "delete", "ipaddresspools,l2advertisements,bgpadvertisements,bgppeers,bfdprofiles,speakers", "--all")
	before := strings.Fields(kubectl(t, "get", "namespaces", "--output", "name"))
	defer func() {
		kubectl(t, "delete", "l2advertisement", "all", "--ignore-not-found")
		for _, n := range strings.Fields(kubectl(t, "get", "namespaces", "--output", "name")) {
			if !slices.Contains(before, n) {
				kubectl(t, "delete", n)
			}
		}
		w.install(t, manifest)
	}()

	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	fairlead, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := scenario.New(t.Context(), &deployed{t: t, config: config, core: core, replicas: 2}, &k8s.Cluster{Core: core, Fairlead: fairlead})
	if err != nil {
		t.Fatal(err)
	}
	all := scripts.Files(t.T, filepath.Join(root(t), "internal/k8s/controller/testdata"))
	ran := 0
	defer func() { t.Logf("%d of %d scripts", ran, len(all)) }()
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Some count every Node of the cluster, and this cluster has some of its own. Some wait, which takes no
		// longer to see in the lab.
		if strings.Contains(string(text), "kind: BGPPeer") || strings.Contains(string(text), "\nwait ") {
			continue
		}
		ran++
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			scripts.Run(t, c, path, false)
			if err := c.Empty(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// deployed is the controller as users install it.
type deployed struct {
	t        testing.TB
	config   *rest.Config
	core     kubernetes.Interface
	replicas int
	stopped  bool
}

func (d *deployed) Apply(ctx context.Context, yaml []byte) error {
	return lab.ApplyTo(ctx, d.config, d.core, yaml)
}

func (d *deployed) Running() bool { return !d.stopped }

func (d *deployed) scale(replicas int) error {
	d.stopped = replicas == 0
	_, err := command(d.t.Context(), "", "kubectl", "scale", "deployment/fairlead-controller", "--namespace", namespace, fmt.Sprint("--replicas=", replicas))
	return err
}

// Stop returns once the last one has gone: it writes until then.
func (d *deployed) Stop() error {
	if err := d.scale(0); err != nil {
		return err
	}
	_, err := command(d.t.Context(), "", "kubectl", "wait", "pods", "--for", "delete", "--timeout", "60s",
		"--selector", "app.kubernetes.io/component=controller", "--namespace", namespace)
	return err
}

func (d *deployed) Start() error {
	if err := d.scale(d.replicas); err != nil {
		return err
	}
	_, err := command(d.t.Context(), "", "kubectl", "rollout", "status", "--timeout", "60s", "deployment/fairlead-controller", "--namespace", namespace)
	return err
}

// Metrics come through the API server: the pods' network is not the client's.
func (d *deployed) Metrics(ctx context.Context) ([]byte, error) {
	lease, err := d.core.CoordinationV1().Leases(namespace).Get(ctx, "fairlead-controller", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return nil, fmt.Errorf("nobody leads: %w", err)
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return d.core.CoreV1().Pods(namespace).ProxyGet("http", name, "7572", "metrics", nil).DoRaw(ctx)
}
