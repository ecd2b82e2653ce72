package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withBFD gives a router sessions with all nodes, over both families, each with BFD of 3 x 100 ms, and waits until all
// is up.
func (w *world) withBFD(ctx context.Context, t *testing.T, r *lab.Router, more string) {
	t.Helper()
	speaks := w.speaks(func(p *lab.Peer) { p.BFD = true }, "IPv4", "IPv6")
	if err := r.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	w.apply(ctx, t, fastBFD)
	w.peer(ctx, t, "v4", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, bfdProfile: fast, connectTime: 1s%s", r.V4, more))
	w.peer(ctx, t, "v6", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %q, bfdProfile: fast, connectTime: 1s%s", r.V6, more))
	w.bfdUp(ctx, t, r, names(speaks)...)
}

// bfdUp waits until the router has these sessions and BFD beside each.
func (w *world) bfdUp(ctx context.Context, t *testing.T, r *lab.Router, peers ...string) {
	t.Helper()
	for _, name := range peers {
		measure.Eventually(ctx, t, "the session of "+r.Name+" with "+name+", with BFD", 15*time.Second, func() error {
			s, err := r.Peer(ctx, name)
			if err == nil && (!s.Established || !strings.EqualFold(s.BFD, "up")) {
				err = fmt.Errorf("it is %s, BFD %q: %s", s.State, s.BFD, s.LastError)
			}
			return err
		})
	}
}

// A node's cable is cut behind the switch, so that its carrier stays: with BFD at 3 x 100 ms the router has forgotten the
// node within 400 ms.
func TestBFD(t *testing.T) {
	// What shares the processors with a quick run is not known.
	bound := measure.Less(600*time.Millisecond, 400*time.Millisecond)
	each(t, 3*time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefixes := w.service(ctx, t, "field")
		w.withBFD(ctx, t, r, "")
		routed(ctx, t, r, 3, prefixes[:]...)
		for _, peer := range []string{"v4", "v6"} {
			w.says(ctx, t, "node1", peer, "BFD is up within 300 ms", func(s v1alpha1.BGPSessionStatus) bool {
				return s.BFDState == v1alpha1.BFDSessionUp && s.BFD != nil && s.BFD.DetectionTime == 300
			})
		}
		var took [2]measure.Times
		begin := time.Now().Truncate(time.Second)
		for i := range measure.Less(3, 20) {
			node := w.Nodes[i%3]
			watch, err := r.WatchRoutes(prefixes[:]...)
			if err != nil {
				t.Fatal(err)
			}
			cut := time.Now()
			if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
				t.Fatal(err)
			}
			for family, p := range prefixes {
				at, err := gone(ctx, watch, p, node, cut)
				if err != nil {
					t.Fatal(err)
				}
				took[family] = append(took[family], at.Sub(cut))
			}
			if i == 0 { // long enough for the node to notice, too
				measure.Pause(ctx, t, time.Until(cut.Add(time.Second)))
			}
			if err := w.Restore(node.Host); err != nil {
				t.Fatal(err)
			}
			if err := watch.Stop(); err != nil {
				t.Error(err)
			}
			w.bfdUp(ctx, t, r, node.Name, node.Name+"v6")
			routed(ctx, t, r, 3, prefixes[:]...)
		}
		measure.Report(t, len(w.Nodes), "a node's cable cut, BFD 3 x 100 ms, until "+string(r.Software)+" has forgotten it", "< 400 ms", "IPv4 %s; IPv6 %s", took[0], took[1])
		if worst := max(took[0].Part(100), took[1].Part(100)); worst >= bound {
			t.Errorf("the next hop went after %s, want less than %s", worst, bound)
		}
		w.toldLost(ctx, t, w.Node(1), "v4", begin)
	})
}

// A router that stands still for longer than BFD waits loses its sessions once, and they stay when they are back: BIRD
// begins its BFD session anew when BGP's ends, while the node's comes up with the former.
func TestBFDAfterAStall(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		w.withBFD(ctx, t, r, "")
		for _, stall := range []time.Duration{400 * time.Millisecond, time.Second} {
			if err := r.Freeze(); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, stall)
			if err := r.Thaw(); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, 2*time.Second) // the nodes have noticed, and try again after connectTime
			w.bfdUp(ctx, t, r, names(w.speaks(func(*lab.Peer) {}, "IPv4", "IPv6"))...)
			if n, err := w.Established(ctx, 5*time.Second); err != nil || n != 0 {
				t.Errorf("after a stall of %s sessions were established %v times more in 5 s: %v", stall, n, err)
			}
		}
	})
}

// toldLost waits for the event of a node's lost session. While its cable is cut it can tell nobody, and then what could
// not be told is told again every ten seconds.
func (w *world) toldLost(ctx context.Context, t *testing.T, node *lab.Node, peer string, since time.Time) {
	t.Helper()
	measure.Eventually(ctx, t, "an event of the lost session", 15*time.Second, func() error {
		events, err := w.events(ctx, peer)
		for _, e := range events {
			if e.Reason == "SessionLost" && strings.Contains(e.Message, "BFD") && strings.Contains(e.Message, node.Name) && !e.LastTimestamp.Time.Before(since) {
				return nil
			}
			err = errors.Join(err, fmt.Errorf("%s %s: %s", e.LastTimestamp.Format(time.TimeOnly), e.Reason, e.Message))
		}
		return err
	})
}

// events are those about a BGPPeer.
func (w *world) events(ctx context.Context, peer string) ([]corev1.Event, error) {
	list, err := w.Kubernetes.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=BGPPeer,involvedObject.name=" + peer})
	if err == nil && len(list.Items) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// gone waits until a node is no next hop to a prefix any more, after a moment, and returns since when.
func gone(ctx context.Context, watch *lab.RouteWatch, prefix netip.Prefix, node *lab.Node, after time.Time) (at time.Time, err error) {
	_, err = measure.Await(ctx, 10*time.Second, func() error {
		for _, e := range watch.Events() {
			if e.Prefix == prefix && e.At.After(after) && !slices.Contains(e.NextHops, hop(node, prefix)) {
				at = e.At
				return nil
			}
		}
		return fmt.Errorf("%s is a next hop to %s still", node.Name, prefix)
	})
	return at, err
}

// BFD between a node and a router several hops away (RFC 5883).
func TestMultiHopBFD(t *testing.T) {
	ctx, w := start(t, time.Minute)
	between := w.routers[lab.FRR]
	w.through(t, between)
	if err := between.Speak(ctx, lab.BGP{ASN: 64501}); err != nil {
		t.Fatal(err)
	}
	if err := w.LeadOutside(w.far.Host, between); err != nil {
		t.Fatal(err)
	}
	speaks := w.speaks(func(p *lab.Peer) { p.MultiHop, p.BFD = true, true }, "IPv4")
	if err := w.far.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	w.apply(ctx, t, fastBFD)
	w.peer(ctx, t, "far", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, ebgpMultiHop: true, bfdProfile: fast", w.far.V4))
	w.bfdUp(ctx, t, w.far, names(speaks)...)
	w.says(ctx, t, "node2", "far", "BFD is up", func(s v1alpha1.BGPSessionStatus) bool { return s.BFDState == v1alpha1.BFDSessionUp })
	node := w.Node(2)
	cut := time.Now()
	if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
		t.Fatal(err)
	}
	took := measure.Eventually(ctx, t, "the router's loss of the session", 5*time.Second, func() error {
		s, err := w.far.Peer(ctx, node.Name)
		if err == nil && s.Established {
			err = fmt.Errorf("it is %s", s.State)
		}
		return err
	})
	t.Logf("lost %s after the cut (%s)", took.Round(time.Millisecond), cut.Format(time.TimeOnly))
	if err := w.Restore(node.Host); err != nil {
		t.Fatal(err)
	}
	w.bfdUp(ctx, t, w.far, node.Name)
}
