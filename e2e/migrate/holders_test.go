package migrate

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// openelbFinalizer is what OpenELB puts on a Service, and takes off as long as it runs.
const openelbFinalizer = "finalizer.lb.kubesphere.io/v1alpha1"

// held has another system give a Service addresses, and a node have them on its interface, as kube-vip does.
func (w *world) held(ctx context.Context, t *testing.T, service, by string, node *lab.Node, addresses ...netip.Addr) {
	t.Helper()
	var entries []string
	for _, a := range addresses {
		entries = append(entries, fmt.Sprintf(`{"ip": %q}`, a))
		flags := []string{"address", "add", netip.PrefixFrom(a, a.BitLen()).String(), "dev", "eth0"}
		if a.Is6() {
			flags = append(flags, "nodad", "preferred_lft", "0") // not to be a source of what is masqueraded
		}
		if _, err := node.Run(ctx, "ip", flags...); err != nil {
			t.Fatal(err)
		}
	}
	patch := fmt.Sprintf(`{"status": {"loadBalancer": {"ingress": [%s]}}}`, strings.Join(entries, ", "))
	_, err := w.Kubernetes.CoreV1().Services(namespace).Patch(ctx, service, types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: by}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

// letGo has the nodes take the addresses off their interfaces, as kube-vip does when it ends.
func (w *world) letGo(ctx context.Context, t *testing.T, owners map[netip.Addr]*lab.Node) {
	t.Helper()
	for a, n := range owners {
		if _, err := n.Run(ctx, "ip", "address", "del", netip.PrefixFrom(a, a.BitLen()).String(), "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
	}
}

// Addresses of kube-vip and OpenELB, on interfaces of the nodes, come to Fairlead where they are, also while its
// speakers start one after another; and what OpenELB leaves on Services goes as the guide says.
func TestHeldByAnotherSystem(t *testing.T) {
	steps := guide(t)
	ctx, w := start(t, 3*time.Minute)
	owners := map[netip.Addr]*lab.Node{}
	for i := range 9 {
		name, by, node := fmt.Sprintf("web-%d", i), "kube-vip", w.Nodes[i%3]
		w.makeService(ctx, t, name, func(s *corev1.Service) {
			if i >= 6 {
				by, s.Finalizers = "manager", []string{openelbFinalizer}
			}
		})
		for _, a := range []string{fmt.Sprintf("192.0.2.%d", 160+i), fmt.Sprintf("2001:db8::2:%x", i)} {
			owners[netip.MustParseAddr(a)] = node
		}
		w.held(ctx, t, name, by, node, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 160+i)), netip.MustParseAddr(fmt.Sprintf("2001:db8::2:%x", i)))
	}
	before := w.assigned(ctx, t, 2)
	load := w.traffic(ctx, t, owners)

	// Only node1's speaker starts at first: it knows nothing of the others, and leaves alone what they have.
	w.sh(ctx, t, "kubectl label node node1 started=yes")
	w.sh(ctx, t, `sed -i '/"kind":"DaemonSet"/ s#"nodeSelector":{#"nodeSelector":{"started":"yes",#' manifests/fairlead.yaml`)
	w.follow(ctx, t, steps, "install")
	w.put(t, "pool.yaml", []byte(`
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: office}
spec: {addresses: [192.0.2.160-192.0.2.179, "2001:db8::2:0/120"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: office}
`))
	w.sh(ctx, t, "kubectl apply -f pool.yaml")
	measure.Pause(ctx, t, 6*time.Second) // more than a speaker waits for others
	w.sh(ctx, t, "kubectl label node node2 started=yes")
	measure.Pause(ctx, t, 2*time.Second)
	w.sh(ctx, t, "kubectl label node node3 started=yes")
	w.adopted(ctx, t, owners)
	w.letGo(ctx, t, owners)
	measure.Pause(ctx, t, 3*time.Second)
	outcome := load.stop(w)
	outcome.unharmed(t)
	w.same(ctx, t, before, owners)
	measure.Report(t, len(w.Nodes), "addresses on interfaces (kube-vip), speakers that start seconds apart", "0 broken, 0 failed, every address and owner the same", "%s", outcome)

	w.follow(ctx, t, steps, "OpenELB's finalizers")
	list, err := w.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		if slices.Contains(s.Finalizers, openelbFinalizer) {
			t.Errorf("%s has OpenELB's finalizer still", s.Name)
		}
	}
	now, err := w.statuses(ctx)
	if err != nil || !maps.EqualFunc(now, before, slices.Equal) {
		t.Errorf("the Services have %v, had %v: %v", now, before, err)
	}
}
