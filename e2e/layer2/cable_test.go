package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long a client may be without service when its address's owner is gone.
const (
	gapMedian, gapWorst = 300 * time.Millisecond, 500 * time.Millisecond
	gapBound            = "median < 300 ms, worst < 500 ms"
	manyBound           = 600 * time.Millisecond
)

var sides = []lab.Side{lab.SwitchSide, lab.HostSide}

// The owner's cable is pulled, at either end: somebody else takes over in time, the others' addresses stay
// where they are, and nothing moves when the cable is back.
func TestCable(t *testing.T) {
	each(t, both, 20*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		var chosen []*lab.Node
		for _, side := range sides {
			t.Run(side.String(), func(t *testing.T) {
				gaps := [2]measure.Times{}
				for range measure.Less(map[int]int{3: 5, 10: 3}[len(w.Nodes)], 20) {
					before := w.owners(ctx, t, addresses)
					node, vips := victim(t, before, chosen)
					chosen = append(chosen, node)
					for i, g := range w.pull(ctx, t, side, node, vips) {
						gaps[i] = append(gaps[i], g)
					}
					now := w.owners(ctx, t, addresses)
					if list := moved(before, now, node); list != nil {
						t.Errorf("only %s was cut off, and there moved %v", node.Name, list)
					}
					for a, n := range before {
						if n == node && now[a] == node {
							t.Errorf("%s is back at %s", a, node.Name)
						}
					}
				}
				for i, family := range []string{"IPv4", "IPv6"} {
					t.Logf("%s: %s", family, gaps[i].List())
					if gaps[i].Part(50) >= gapMedian || gaps[i].Part(100) >= gapWorst {
						t.Errorf("%s: without service for %s, want %s", family, gaps[i], gapBound)
					}
				}
				measure.Report(t, len(w.Nodes), "owner's cable pulled, "+side.String(), gapBound, "IPv4 %s; IPv6 %s", gaps[0], gaps[1])
			})
		}
	})
}

// pull cuts a node off for at least a second, restores it, waits until it takes part again, and returns how
// long clients of each of these addresses were without an answer, at one request per 10 ms.
func (w *world) pull(ctx context.Context, t *testing.T, side lab.Side, node *lab.Node, vips []netip.Addr) (gaps measure.Times) {
	t.Helper()
	var probes []*lab.Probe
	for _, a := range vips {
		w.reach(ctx, t, a)
		probe := w.Client(asking).Probe(ctx, "tcp", at(a), 10*time.Millisecond)
		defer probe.Stop()
		probes = append(probes, probe)
	}
	measure.Pause(ctx, t, 300*time.Millisecond)
	cut := time.Now()
	if err := w.Cut(node.Host, side); err != nil {
		t.Fatal(err)
	}
	for i, p := range probes {
		// What was on its way at the cut is answered at once, if at all.
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		_, err := p.AwaitAnswer(limited, cut.Add(50*time.Millisecond))
		cancel()
		if err != nil {
			t.Errorf("nobody took %s over from %s: %v", vips[i], node.Name, err)
		}
	}
	measure.Pause(ctx, t, time.Until(cut.Add(time.Second)))
	if err := w.Restore(node.Host); err != nil {
		t.Fatal(err)
	}
	restored := time.Now()
	w.serving(ctx, t)
	measure.Pause(ctx, t, 300*time.Millisecond)
	for i, p := range probes {
		result := p.Stop()
		gap := result.LongestBetween(cut.Add(-200*time.Millisecond), restored)
		gaps = append(gaps, gap.Duration())
		if back := result.LongestBetween(restored, time.Now()); back.Duration() > 200*time.Millisecond {
			t.Errorf("%s without service for %s when %s was back", vips[i], back, node.Name)
		}
		if !w.spoiled { // the API server is there to ask
			w.recorded(ctx, t, vips[i], node, cut, gap.Duration())
		}
	}
	return gaps
}

// recorded checks what the new owner's Speaker says of a takeover: that it is one from a node that was lost, and that it
// took about as long as a client was without service. The speaker counts from the last packet, up to an interval
// before the cut, until the last of the addresses that it took at once, which may be some time after this one; and it
// does not see how long the client takes to hear of it.
func (w *world) recorded(ctx context.Context, t *testing.T, a netip.Addr, from *lab.Node, cut time.Time, gap time.Duration) {
	t.Helper()
	const less, more = 150 * time.Millisecond, 500 * time.Millisecond
	measure.Eventually(ctx, t, fmt.Sprintf("a Speaker that took %s over", a), 10*time.Second, func() error {
		speakers, err := w.fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, s := range speakers.Items {
			for _, x := range takeoversOf(s) {
				if x.From != from.Name || x.Time.Time.Before(cut) || !slices.Contains(x.Addresses, a.String()) {
					continue
				}
				took := time.Duration(x.Duration) * time.Millisecond
				t.Logf("%s: %s says that it took %s from %s in %s (%s, %d addresses); a client was without service for %s",
					a, s.Name, a, x.From, took, x.Cause, x.Count, gap)
				if x.Cause != v1alpha1.TakeoverLost || took < gap-less || took > gap+more {
					t.Errorf("%s took %s over by cause %s in %s, want Lost and about what a client saw, %s", s.Name, a, x.Cause, took, gap)
				}
				return nil
			}
		}
		return fmt.Errorf("no Speaker has a takeover of %s from %s", a, from.Name)
	})
}

func takeoversOf(s v1alpha1.Speaker) []v1alpha1.Takeover {
	if s.Status.Layer2 == nil {
		return nil
	}
	return s.Status.Layer2.Takeovers
}

// 200 addresses, one node cut: all of its addresses are back in time, not just the first.
func TestManyAddresses(t *testing.T) {
	each(t, both, 5*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		const services = 100
		var names []string
		for i := range services {
			names = append(names, fmt.Sprintf("many-%03d", i))
		}
		addresses := slices.Concat(w.services(ctx, t, "fleet", names...)...)
		t.Cleanup(func() { w.removeServices(t, addresses, names...) })
		var targets []netip.AddrPort
		for _, a := range addresses {
			targets = append(targets, at(a))
		}
		var chosen []*lab.Node
		var worst measure.Times
		var lost []int
		for range measure.Less(1, 5) {
			before := w.owners(ctx, t, addresses)
			node, _ := victim(t, before, chosen)
			chosen = append(chosen, node)
			sweep, err := w.Client(asking).Sweep(ctx, targets, 40*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, 2*time.Second) // every neighbour is known
			sweep.Forget()
			if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, 3*time.Second)
			var longest lab.Gap
			owned := 0
			for to, gap := range sweep.Stop() {
				if gap.Duration() > longest.Duration() {
					longest = gap
				}
				if before[to.Addr()] == node {
					owned++
				} else if gap.Duration() > 300*time.Millisecond {
					t.Errorf("%s, which %s owns, was silent for %s when %s was cut off", to, before[to.Addr()].Name, gap, node.Name)
				}
			}
			worst, lost = append(worst, longest.Duration()), append(lost, owned)
			if err := w.Restore(node.Host); err != nil {
				t.Fatal(err)
			}
			w.serving(ctx, t)
			if list := moved(before, w.owners(ctx, t, addresses), node); list != nil {
				t.Errorf("only %s was cut off, and there moved %v", node.Name, list)
			}
		}
		measure.Report(t, len(w.Nodes), "200 addresses, one node cut: longest silence of any", "< 600 ms", "%s (the node owned %v)", worst.List(), lost)
		if worst.Part(100) >= manyBound {
			t.Errorf("an address was silent for %s, want less than %s", worst.Part(100), manyBound)
		}
	})
}
