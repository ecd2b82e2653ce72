package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A planned move makes before it breaks: whatever asks for it, no new connection fails, and it is over within a
// second. Nothing moves back when it is no longer asked for.
func TestPlannedMove(t *testing.T) {
	node := func(patch, undo string) func(context.Context, *world, *lab.Node) (func() error, error) {
		return func(ctx context.Context, w *world, n *lab.Node) (func() error, error) {
			set := func(ctx context.Context, patch string) error {
				_, err := w.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
				return err
			}
			return func() error { return set(context.Background(), undo) }, set(ctx, patch)
		}
	}
	for _, test := range []struct {
		name string
		ask  func(context.Context, *world, *lab.Node) (undo func() error, err error)
	}{
		{"the drain annotation", node(
			`{"metadata": {"annotations": {"fairlead.dev/drain": "maintenance"}}}`,
			`{"metadata": {"annotations": {"fairlead.dev/drain": null}}}`)},
		{"the exclude label", node(
			`{"metadata": {"labels": {"`+corev1.LabelNodeExcludeBalancers+`": "true"}}}`,
			`{"metadata": {"labels": {"`+corev1.LabelNodeExcludeBalancers+`": null}}}`)},
		{"the out-of-service taint", node(
			`{"spec": {"taints": [{"key": "`+corev1.TaintNodeOutOfService+`", "value": "nodeshutdown", "effect": "NoExecute"}]}}`,
			`{"spec": {"taints": null}}`)},
		{"the advertisement's nodeSelectors", func(ctx context.Context, w *world, n *lab.Node) (func() error, error) {
			set := func(ctx context.Context, selectors string) error {
				_, err := w.fairlead.FairleadV1alpha1().L2Advertisements().Patch(ctx, "fleet", types.MergePatchType,
					[]byte(`{"spec": {"nodeSelectors": `+selectors+`}}`), metav1.PatchOptions{})
				return err
			}
			return func() error { return set(context.Background(), "null") },
				set(ctx, fmt.Sprintf(`[{"matchExpressions": [{"key": %q, "operator": "NotIn", "values": [%q]}]}]`, corev1.LabelHostname, n.Name))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, large(), 2*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
				addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
				before := w.owners(ctx, t, addresses)
				node, vips := victim(t, before, nil)
				watch := w.watch(ctx, t, 10*time.Millisecond, vips...)
				load := w.load(ctx, t, 0, vips...)
				asked := time.Now()
				undo, err := test.ask(ctx, w, node)
				if err != nil {
					t.Fatal(err)
				}
				undone := false
				t.Cleanup(func() {
					if !undone {
						_ = undo()
					}
				})
				measure.Eventually(ctx, t, "the moves away from "+node.Name, 5*time.Second, func() error {
					return w.owns(watch, node, false, vips)
				})
				outcome := load.stop()
				if outcome.failed > 0 { // what is under way in that moment is an established connection, which a move breaks
					t.Errorf("%s: %q", outcome, outcome.why)
				}
				now := w.owners(ctx, t, addresses)
				for a, n := range now {
					if n == node {
						t.Errorf("%s is still %s's", a, n.Name)
					}
				}
				if list := moved(before, now, node); list != nil {
					t.Errorf("there moved %v besides", list)
				}
				var took measure.Times
				for _, a := range vips {
					took = append(took, w.handover(watch, a, node, asked))
				}
				undone = true
				if err := undo(); err != nil {
					t.Fatal(err)
				}
				measure.Pause(ctx, t, 1500*time.Millisecond) // for a move that must not come
				if list := moved(now, w.owners(ctx, t, addresses), nil); list != nil {
					t.Errorf("there moved %v when %s was admitted again", list, node.Name)
				}
				measure.Report(t, len(w.Nodes), "move asked for by "+test.name, "0 failed, done < 1 s", "%s; old owner's last answer after %s (IPv4, IPv6)", outcome, took.List())
				if took.Part(100) >= time.Second {
					t.Errorf("the move took %s, want less than 1 s", took.Part(100))
				}
			})
		})
	}
}

// owns tells by the last round but one whether a node answers for all, or for none, of these addresses.
func (w *world) owns(watch *lab.Watch, n *lab.Node, want bool, addresses []netip.Addr) error {
	for _, a := range addresses {
		rounds := watch.Rounds(a, time.Now().Add(-time.Second))
		if len(rounds) < 2 {
			return fmt.Errorf("nobody was asked for %s", a)
		}
		r := rounds[len(rounds)-2]
		if len(r.MACs) != 1 || (w.nodeByMAC(r.MACs[0]) == n) != want {
			return fmt.Errorf("%v answer for %s", r.MACs, a)
		}
	}
	return nil
}

// handover is how long after a moment a node has answered for an address for the last time.
func (w *world) handover(watch *lab.Watch, a netip.Addr, old *lab.Node, from time.Time) (last time.Duration) {
	for _, r := range watch.Rounds(a, from) {
		for _, m := range r.MACs {
			if w.nodeByMAC(m) == old {
				last = r.At.Sub(from)
			}
		}
	}
	return last
}
