package layer2

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// The owner's cable fails and returns ten times: the address leaves once and does not come back each time.
func TestFlappingCable(t *testing.T) {
	each(t, measure.Less([]int{2}, []int{2, 3, 10}), 8*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		const times = 10
		down, up := measure.Less(1500*time.Millisecond, 15*time.Second), measure.Less(2500*time.Millisecond, 15*time.Second)
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		node, vips := victim(t, w.owners(ctx, t, addresses), nil)
		begin := time.Now()
		watch := w.watch(ctx, t, 100*time.Millisecond, addresses...)
		load := w.load(ctx, t, 0, vips...)
		for i := range times {
			if err := w.Cut(node.Host, sides[i%2]); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, down)
			if err := w.Restore(node.Host); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, up)
		}
		took := time.Since(begin)
		outcome := load.stop()
		w.serving(ctx, t)
		w.owners(ctx, t, addresses)
		most := 0
		for _, a := range addresses {
			most = max(most, len(watch.Owners(a, begin))-1)
		}
		measure.Report(t, len(w.Nodes), "owner's cable fails and returns 10 times", "at most 2 owner changes, gaps < 500 ms",
			"at most %d changes of any of %d addresses in %.0f s; longest gap %d ms", most, len(addresses), took.Seconds(), outcome.longest.Milliseconds())
		if most > 2 {
			t.Errorf("an address changed its owner %d times, want at most 2", most)
		}
		if outcome.longest >= gapWorst {
			t.Errorf("without service for %s, want less than %s", outcome.longest, gapWorst)
		}
	})
}

// Gossip and the sessions between speakers are cut between two halves while ARP and Neighbor Discovery pass:
// one node answers for each address all the time, also for one that comes meanwhile, and nothing moves.
func TestGossipCut(t *testing.T) {
	each(t, both, 3*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		before := w.owners(ctx, t, addresses)
		var hosts []*lab.Host
		for _, n := range w.Nodes {
			hosts = append(hosts, n.Host)
		}
		half := len(hosts) / 2
		watch := w.watch(ctx, t, 200*time.Millisecond, addresses...)
		cut := time.Now()
		if err := w.Block(ctx, hosts[:half], hosts[half:], gossipPort, gossipPort+1); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 3*time.Second)
		const name = "meanwhile"
		born := slices.Concat(w.services(ctx, t, "fleet", name)...)
		t.Cleanup(func() { w.removeServices(t, born, name) })
		if err := watch.Add(born...); err != nil {
			t.Fatal(err)
		}
		known := time.Now()
		measure.Pause(ctx, t, time.Until(cut.Add(25*time.Second)))
		healed := time.Now()
		if err := w.Unblock(ctx, hosts...); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 5*time.Second)
		w.serving(ctx, t)
		rounds := alone(t, watch, cut.Add(time.Second), addresses...)
		rounds += alone(t, watch, known.Add(time.Second), born...)
		if list := moved(before, w.owners(ctx, t, addresses), nil); list != nil {
			t.Errorf("there moved %v", list)
		}
		measure.Report(t, len(w.Nodes), "gossip cut between two halves for 25 s, segment whole; then healed", "one answering MAC within 1 s, at all times after",
			"%d rounds of questions for %d addresses, one answer each, %.0f s of them after healing", rounds, len(addresses)+len(born), time.Since(healed).Seconds())
	})
}

// gossipPort is the speakers' default. Their sessions use the next one.
const gossipPort = 7956
