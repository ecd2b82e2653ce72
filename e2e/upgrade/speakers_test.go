package upgrade

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The manifest is applied and the speakers are replaced one after another, to this release and back to the one before.
// Nobody notices.
func TestRollingUpgrade(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	w.roll(ctx, t, w.old, w.old, w.old)
	addresses := w.fleet(ctx, t)
	before := w.owners(ctx, t, addresses)
	_, vips := w.ownerOf(t, before, w.old)
	for _, to := range []release{w.now, w.old} {
		what := "upgrade to the present release"
		if to == w.old {
			what = "downgrade to the previous one"
		}
		begin := time.Now()
		load := w.load(ctx, t, 50, vips...)
		w.install(ctx, t, to)
		for _, n := range w.Nodes {
			w.replace(ctx, t, n.Speaker, to)
			w.serving(ctx, t)
		}
		took := time.Since(begin)
		outcome := load.unharmed(t, 0)
		unmoved(t, before, w.owners(ctx, t, addresses))
		w.understood(ctx, t)
		w.shown(ctx, t)
		measure.Report(t, len(w.Nodes), "rolling "+what, "0 broken, 0 failed, owners unchanged", "%s; it took %.1f s", outcome, took.Seconds())
	}
}

// shown waits until each node's Speaker object says what its speaker's release says.
func (w *world) shown(ctx context.Context, t *testing.T) {
	t.Helper()
	previous := filepath.Base(os.Getenv(builtVariable)) // which it calls itself
	measure.Eventually(ctx, t, "the Speaker objects", 15*time.Second, func() error {
		for _, n := range w.Nodes {
			s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, n.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if (s.Status.Version == previous) != (w.runs[n.Speaker] == w.old) {
				return fmt.Errorf("%s runs the %s release, and its object says version %s", n.Name, w.runs[n.Speaker].name, s.Status.Version)
			}
			if !meta.IsStatusConditionTrue(s.Status.Conditions, "Ready") || s.Status.Gossip == nil || s.Status.Gossip.Members != int32(len(w.Nodes)) {
				return fmt.Errorf("%s says %+v, gossip %+v", n.Name, s.Status.Conditions, s.Status.Gossip)
			}
		}
		return nil
	})
}

// Two speakers of one release and one of the other work together, whichever of them fails, restarts or is drained.
func TestMixedSpeakers(t *testing.T) {
	ctx, w := start(t, 3*time.Minute)
	for i, mixture := range [][]release{{w.old, w.old, w.now}, {w.old, w.now, w.now}} {
		t.Run(fmt.Sprintf("%d of the previous release, %d of the present", 2-i, 1+i), func(t *testing.T) {
			w.install(ctx, t, w.now)
			w.roll(ctx, t, mixture...)
			addresses := w.fleet(ctx, t)
			// What moves nothing comes first: who has lost its addresses has none to lose until another one does.
			for _, act := range []struct {
				name string
				test func(context.Context, *testing.T, release, []netip.Addr)
			}{
				{"is restarted", w.testRestart}, {"has its cable pulled", w.testCable}, {"is drained", w.testDrain},
			} {
				for _, r := range []release{w.old, w.now} {
					t.Run("an owner of the "+r.name+" release "+act.name, func(t *testing.T) { act.test(ctx, t, r, addresses) })
				}
			}
			w.understood(ctx, t)
		})
	}
}

// alone tells whether a node is the only one with its release. Then it is for the other release to do what has to be
// done in its place; else whoever owns least does it.
func (w *world) alone(node *lab.Node) bool {
	return !slices.ContainsFunc(w.Nodes, func(n *lab.Node) bool { return n != node && w.runs[n.Speaker] == w.runs[node.Speaker] })
}

// testRestart: while a speaker is away the others answer on behalf of its node, those of the other release too.
func (w *world) testRestart(ctx context.Context, t *testing.T, r release, addresses []netip.Addr) {
	before := w.owners(ctx, t, addresses)
	node, vips := w.ownerOf(t, before, r)
	load := w.load(ctx, t, 50, vips...)
	if err := node.Speaker.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	var owned []netip.Addr
	for a, n := range before {
		if n == node {
			owned = append(owned, a)
		}
	}
	across := 0
	measure.Eventually(ctx, t, "somebody to answer for what "+node.Name+" owns, with its hardware address", 3*time.Second, func() error {
		answers, err := w.ask(ctx, owned)
		if err != nil {
			return err
		}
		across = 0
		for a, list := range answers {
			if len(list) != 1 || list[0].MAC.String() != node.MAC.String() {
				return fmt.Errorf("of %s, which %s owns: %v", a, node.Name, list)
			}
			if by := w.HostByMAC(list[0].Source); by != nil && by != node.Host && w.runs[w.NodeNamed(by.Name).Speaker] != r {
				across++
			}
		}
		return nil
	})
	w.begin(t, node.Speaker, r)
	w.serving(ctx, t)
	outcome := load.unharmed(t, 0)
	unmoved(t, before, w.owners(ctx, t, addresses))
	if across == 0 && w.alone(node) {
		t.Errorf("nobody of the other release stood in for %s, which owns %v", node.Name, owned)
	}
	measure.Report(t, len(w.Nodes), "the "+r.name+" release's speaker restarted among another's", "0 broken, 0 failed, owners unchanged",
		"%s; the other release stood in for %d of %d addresses", outcome, across, len(owned))
}

// testCable: the owner is cut off, and others take over, those of the other release too. The rest stays.
func (w *world) testCable(ctx context.Context, t *testing.T, r release, addresses []netip.Addr) {
	before := w.owners(ctx, t, addresses)
	node, vips := w.ownerOf(t, before, r)
	var probes []*lab.Probe
	for _, a := range vips {
		if err := w.Client(asking).FlushNeighbor(a); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Client(asking).Await(ctx, "tcp", at(a)); err != nil {
			t.Fatal(err)
		}
		probe := w.Client(asking).Probe(ctx, "tcp", at(a), 10*time.Millisecond)
		defer probe.Stop()
		probes = append(probes, probe)
	}
	measure.Pause(ctx, t, 300*time.Millisecond)
	cut := time.Now()
	if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
		t.Fatal(err)
	}
	for i, p := range probes {
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
	var gaps measure.Times
	for _, p := range probes {
		gaps = append(gaps, p.Stop().LongestBetween(cut.Add(-200*time.Millisecond), restored).Duration())
	}
	across := w.taken(t, before, w.owners(ctx, t, addresses), node)
	measure.Report(t, len(w.Nodes), "the "+r.name+" release's owner cut off among another's", "< 1 s", "IPv4, IPv6 %s; %s", gaps.List(), across)
	// The bound of layer 2's own suite, doubled: what is new here is who takes over, not how soon.
	if gaps.Part(100) >= time.Second {
		t.Errorf("without service for %s, want less than 1 s", gaps.List())
	}
}

// testDrain: what a node owns moves before it lets go, to the other release too.
func (w *world) testDrain(ctx context.Context, t *testing.T, r release, addresses []netip.Addr) {
	before := w.owners(ctx, t, addresses)
	node, vips := w.ownerOf(t, before, r)
	load := w.load(ctx, t, 0, vips...)
	if err := w.drain(ctx, node, true); err != nil {
		t.Fatal(err)
	}
	var after map[netip.Addr]*lab.Node
	measure.Eventually(ctx, t, "the moves away from "+node.Name, 10*time.Second, func() error {
		after = w.owners(ctx, t, addresses)
		for a, n := range after {
			if n == node {
				return fmt.Errorf("%s is still its own", a)
			}
		}
		return nil
	})
	// A move breaks the connections that are being made at its moment, and on a busy machine some are. Those that come
	// thereafter are what a drain is about.
	outcome := load.unharmed(t, 3)
	across := w.taken(t, before, after, node)
	if err := w.drain(ctx, node, false); err != nil {
		t.Fatal(err)
	}
	measure.Report(t, len(w.Nodes), "the "+r.name+" release's owner drained among another's", "none failed but those under way", "%s; %s", outcome, across)
}

// taken fails if a node's addresses are not all with others, none is with the other release, or another's moved.
func (w *world) taken(t *testing.T, before, now map[netip.Addr]*lab.Node, from *lab.Node) string {
	t.Helper()
	moved, across := 0, 0
	var wrong []string
	for a, n := range before {
		switch {
		case n != from && now[a] != n:
			wrong = append(wrong, fmt.Sprintf("%s moved from %s to %s", a, n.Name, now[a].Name))
		case n != from:
		case now[a] == from:
			wrong = append(wrong, fmt.Sprintf("%s is still %s's", a, n.Name))
		default:
			if moved++; w.runs[now[a].Speaker] != w.runs[from.Speaker] {
				across++
			}
		}
	}
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "; "))
	}
	if across == 0 && w.alone(from) {
		t.Errorf("none of the %d addresses of %s went to the other release", moved, from.Name)
	}
	return fmt.Sprintf("%d of %d addresses went to the other release", across, moved)
}
