package migrate

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func intOf(port int32) intstr.IntOrString { return intstr.FromInt32(port) }

const metallbLayer2 = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: office, namespace: metallb-system}
spec: {addresses: [192.0.2.120-192.0.2.149, "2001:db8::1:0-2001:db8::1:ff"]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: office, namespace: metallb-system}
spec: {ipAddressPools: [office]}
`

// installMetalLB installs MetalLB as its documentation says, and configures it.
func (w *world) installMetalLB(ctx context.Context, t *testing.T, configuration string) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(os.Getenv(builtVariable), "metallb-native.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "metallb-native.yaml", forLab(t, manifest))
	w.sh(ctx, t, "kubectl apply -f metallb-native.yaml")
	w.put(t, "metallb-configuration.yaml", []byte(configuration))
	w.sh(ctx, t, "kubectl apply -f metallb-configuration.yaml")
	w.sh(ctx, t, "kubectl -n metallb-system rollout status deployment/controller --timeout=60s")
	w.sh(ctx, t, "kubectl -n metallb-system rollout status daemonset/speaker --timeout=60s")
}

// From MetalLB's layer 2 to Fairlead and back, as the guide says: no client notices.
func TestMetalLBLayer2(t *testing.T) {
	steps := guide(t)
	ctx, w := start(t, 3*time.Minute)
	w.installMetalLB(ctx, t, metallbLayer2)
	for i := range 10 {
		w.makeService(ctx, t, fmt.Sprintf("web-%d", i), nil)
	}
	w.makeService(ctx, t, "asked-for", func(s *corev1.Service) {
		s.Annotations = map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.140,2001:db8::1:40"}
	})
	for i, name := range []string{"shared-a", "shared-b"} {
		w.makeService(ctx, t, name, func(s *corev1.Service) {
			s.Annotations = map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.141,2001:db8::1:41", "metallb.io/allow-shared-ip": "both"}
			s.Spec.Ports[0].Port += int32(i)
		})
	}
	before := w.assigned(ctx, t, 2)
	owners := w.owners(ctx, t, flat(before))
	t.Logf("MetalLB announces from %v", spread(owners))

	for _, move := range []struct {
		name string
		do   func()
	}{
		{"MetalLB to Fairlead, layer 2", func() {
			for _, step := range []string{"check", "save", "stop the controller", "install", "take over"} {
				w.follow(ctx, t, steps, step)
			}
			w.adopted(ctx, t, owners)
			for _, step := range []string{"look", "silence"} {
				measure.Pause(ctx, t, time.Second) // in which both answer, and nobody notices
				w.follow(ctx, t, steps, step)
			}
		}},
		{"back to MetalLB, layer 2", func() { w.follow(ctx, t, steps, "back") }},
	} {
		load := w.traffic(ctx, t, owners)
		move.do()
		measure.Pause(ctx, t, 3*time.Second)
		outcome := load.stop(w)
		outcome.unharmed(t)
		w.same(ctx, t, before, owners)
		measure.Report(t, len(w.Nodes), move.name, "0 broken, 0 failed, every address and owner the same", "%s", outcome)
	}
}

// adopted waits until Fairlead's speakers own each address on the node that had it.
func (w *world) adopted(ctx context.Context, t *testing.T, owners map[netip.Addr]*lab.Node) {
	t.Helper()
	took := measure.Eventually(ctx, t, "Fairlead to own each address where it was", 30*time.Second, func() error {
		owned, err := w.ownedByFairlead(ctx)
		if err != nil {
			return err
		}
		for a, n := range owners {
			if owned[a] != n.Name {
				return fmt.Errorf("%s is %s's and Fairlead has it on %q", a, n.Name, owned[a])
			}
		}
		return nil
	})
	t.Logf("Fairlead owns all %d addresses on the nodes that had them, after %.1f s more", len(owners), took.Seconds())
}

// same fails if a Service has another address than before, or another node answers for one.
func (w *world) same(ctx context.Context, t *testing.T, before map[string][]netip.Addr, owners map[netip.Addr]*lab.Node) {
	t.Helper()
	now, err := w.statuses(ctx)
	if err != nil || fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("the Services have %v, had %v: %v", now, before, err)
	}
	if current := w.owners(ctx, t, flat(before)); !maps.Equal(current, owners) {
		t.Errorf("the addresses are answered for by %v, were by %v", current, owners)
	}
}

func spread(owners map[netip.Addr]*lab.Node) map[string]int {
	count := map[string]int{}
	for _, n := range owners {
		count[n.Name]++
	}
	return count
}
