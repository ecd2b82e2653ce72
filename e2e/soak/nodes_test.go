package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// drains are the ways to ask a node to let go: what is written on the Node, and what takes it back.
var drains = map[string][2]string{
	"drain":   {`{"metadata": {"annotations": {"fairlead.dev/drain": "maintenance"}}}`, `{"metadata": {"annotations": {"fairlead.dev/drain": null}}}`},
	"exclude": {`{"metadata": {"labels": {"` + corev1.LabelNodeExcludeBalancers + `": "true"}}}`, `{"metadata": {"labels": {"` + corev1.LabelNodeExcludeBalancers + `": null}}}`},
	"cordon":  {`{"spec": {"unschedulable": true}}`, `{"spec": {"unschedulable": null}}`}, // speakers run with --drain-cordoned
}

const (
	// letGo bounds how long a node takes to own nothing and to be a next hop of nobody: 10 s of that are after it has
	// asked routers to prefer others (RFC 8326).
	letGo = 30 * time.Second
	// showing is how long a break takes to show in a connection: until its next request, and the patience for it.
	showing = establishedEvery + patienceEstablished
)

// drain has a node let go, and come back.
func (l *life) drain(ctx context.Context, act string, r *rand.Rand) error {
	n := l.Nodes[r.IntN(len(l.Nodes))]
	set := func(patch string) error {
		_, err := l.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	gone := l.diary.begin(cause{what: n.Name + ": " + act, node: n.Name})
	err := set(drains[act][0])
	if err == nil {
		err = l.letsGo(ctx, n)
	}
	_ = lab.Pause(ctx, showing)
	gone()
	if err != nil {
		return err
	}
	// Routers spread the connections anew when a node comes back (docs/bgp.md, Limits). On the segment nothing moves.
	back := l.diary.begin(cause{what: n.Name + " is back", ways: []string{fleet.WithBFD, fleet.Graceful}, kinds: []kind{broken, failed}})
	defer back()
	if err := set(drains[act][1]); err != nil {
		return err
	}
	if err := l.hops(ctx, n, true); err != nil {
		return err
	}
	return lab.Pause(ctx, showing)
}

// letsGo waits until a node owns nothing and is nobody's next hop.
func (l *life) letsGo(ctx context.Context, n *lab.Node) error {
	if err := l.ownsNothing(ctx, n); err != nil {
		return err
	}
	return l.hops(ctx, n, false)
}

func (l *life) ownsNothing(ctx context.Context, n *lab.Node) error {
	ctx, cancel := context.WithTimeout(ctx, letGo)
	defer cancel()
	err := await(ctx, func() error {
		s, err := l.Fairlead.FairleadV1alpha1().Speakers().Get(ctx, n.Name, metav1.GetOptions{})
		if err == nil && s.Status.Layer2 != nil && s.Status.Layer2.Owned > 0 {
			err = fmt.Errorf("%s owns %d addresses", n.Name, s.Status.Layer2.Owned)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting until %s owns nothing: %w", n.Name, err)
	}
	return nil
}

// hops waits until a node is a next hop of each router to all addresses that stay, or to none.
func (l *life) hops(ctx context.Context, n *lab.Node, want bool) error {
	ctx, cancel := context.WithTimeout(ctx, letGo)
	defer cancel()
	err := await(ctx, func() error {
		for _, r := range l.Routers {
			for _, a := range fleet.Addresses(l.Routed) {
				list, err := r.NextHops(netip.PrefixFrom(a, a.BitLen()))
				if err != nil {
					return err
				}
				if slices.Contains(list, n.V4) != want && slices.Contains(list, n.V6) != want {
					return fmt.Errorf("%s has the next hops %v to %s", r.Name, list, a)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting until %s is a next hop: %v: %w", n.Name, want, err)
	}
	return nil
}

// label edits a label that no selector has: nothing is to happen.
func (l *life) label(ctx context.Context, r *rand.Rand) error {
	n := l.Nodes[r.IntN(len(l.Nodes))]
	_, err := l.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType,
		fmt.Appendf(nil, `{"metadata": {"labels": {"rack": "r%d"}}}`, r.IntN(100)), metav1.PatchOptions{})
	return err
}

// selectors has the advertisement leave a node out, and take it in again.
func (l *life) selectors(ctx context.Context, r *rand.Rand) error {
	n := l.Nodes[r.IntN(len(l.Nodes))]
	end := l.diary.begin(cause{what: n.Name + " is left out of the L2Advertisement", node: n.Name, ways: onSegment})
	err := l.advertise(ctx, fmt.Sprintf(`{"spec": {"nodeSelectors": [{"matchExpressions": [{"key": %q, "operator": "NotIn", "values": [%q]}]}]}}`, corev1.LabelHostname, n.Name))
	if err == nil {
		err = l.ownsNothing(ctx, n)
	}
	_ = lab.Pause(ctx, showing)
	end()
	if err != nil {
		return err
	}
	return l.advertise(ctx, `{"spec": {"nodeSelectors": null}}`)
}

// onSegment are the clients that a change on the segment may concern; a Speaker's own account has no way.
var onSegment = []string{fleet.OnSegment, ""}

func (l *life) advertise(ctx context.Context, patch string) error {
	_, err := l.Fairlead.FairleadV1alpha1().L2Advertisements().Patch(ctx, fleet.SegmentPool, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// preferred has the advertisement prefer a node. That counts when an owner is chosen, and takes an address from nobody.
func (l *life) preferred(ctx context.Context, r *rand.Rand) error {
	n := l.Nodes[r.IntN(len(l.Nodes))]
	err := l.advertise(ctx, fmt.Sprintf(`{"spec": {"preferredNodeSelectors": [{"weight": 50, "preference": {"matchLabels": {%q: %q}}}]}}`, corev1.LabelHostname, n.Name))
	if err != nil {
		return err
	}
	if err := lab.Pause(ctx, 3*time.Second); err != nil {
		return err
	}
	return l.advertise(ctx, `{"spec": {"preferredNodeSelectors": null}}`)
}

// looksOn is how long a speaker looks on after what it last gave away.
const looksOn = 5 * time.Second

// rebalance asks for the addresses to be spread anew, which nothing but that does, and waits until nothing moves any more.
func (l *life) rebalance(ctx context.Context) error {
	end := l.diary.begin(cause{what: "rebalance", ways: onSegment})
	// Where Services come meanwhile, a speaker may give one of their addresses away, and looks on for five seconds more then.
	defer time.AfterFunc(looksOn, end)
	err := l.advertise(ctx, fmt.Sprintf(`{"metadata": {"annotations": {%q: %q}}}`, v1alpha1.AnnotationRebalance, time.Now().UTC().Format(time.RFC3339Nano)))
	if err != nil {
		return err
	}
	before, _ := l.owners.moves()
	for quiet := 0; quiet < 6; quiet++ {
		if err := lab.Pause(ctx, time.Second); err != nil {
			return err
		}
		if now, _ := l.owners.moves(); now != before {
			before, quiet = now, 0
		}
	}
	return lab.Pause(ctx, showing)
}
