package layer2

import (
	"math"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// owned tells whether each of some addresses has a node that answers for it.
func (s *swarm) owned(list []netip.Addr) bool {
	return !slices.ContainsFunc(list, func(a netip.Addr) bool {
		return !slices.ContainsFunc(s.peers, func(p *simPeer) bool { return !s.down[p.name] && p.e.vips[a].owns() })
	})
}

// agreed tells whether all nodes know the same confirmed or unconfirmed owner of some addresses, who answers alone.
func (s *swarm) agreed(list []netip.Addr) bool {
	for _, a := range list {
		owner, answering := "", 0
		for _, p := range s.peers {
			if s.down[p.name] {
				continue
			}
			x := p.e.vips[a]
			if x.awaiting() || (owner != "" && x.owner != owner) {
				return false
			}
			if owner = x.owner; x.duty != nil {
				answering++
			}
		}
		if answering != 1 || s.down[owner] {
			return false
		}
	}
	return true
}

// spreadOf returns the highest load of those alive, and the mean.
func (s *swarm) spreadOf() (most int, mean float64) {
	nodes, sum := 0, 0
	view := s.alive().e
	for _, p := range s.peers {
		if n := len(view.owned[p.name]); !s.down[p.name] {
			nodes, sum, most = nodes+1, sum+n, max(most, n)
		}
	}
	return most, float64(sum) / float64(nodes)
}

// lose takes nodes down and lets the rest find new owners: for exactly what those had.
func (s *swarm) lose(n int) {
	s.t.Helper()
	var names []string
	var lost []netip.Addr
	for len(names) < n {
		if name := s.alive().name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	view := s.alive().e
	for _, name := range names {
		for a := range view.owned[name] {
			lost = append(lost, a)
		}
	}
	s.reset()
	start := s.now
	s.cut(names...)
	owned := s.run(10*time.Second, func() bool { return s.owned(lost) })
	s.run(10*time.Second, func() bool { return s.agreed(lost) })
	agreed := s.now.Sub(start)
	s.run(10*time.Second, nil)
	moved, again := 0, 0
	for _, a := range lost {
		if s.moves[a] > 0 {
			moved++
		}
		again += max(0, s.moves[a]-1)
	}
	alive := len(s.peers) - len(s.down)
	most, mean := s.spreadOf()
	s.t.Logf("%d of %d nodes lost with %d addresses: all owned again after %v, all agree after %v; %d moves, %d of them by two at once, none elsewhere; "+
		"%d claims, %.0f packets and %.0f claims sent per node; most %d of a mean of %.1f", n, alive+n, len(lost),
		owned.Round(time.Millisecond), agreed.Round(time.Millisecond), moved+again, again, s.claims,
		float64(s.packets)/float64(alive), float64(s.items)/float64(alive), most, mean)
	if moved != len(lost) || len(s.moves) != len(lost) || again > len(lost)/20 {
		s.t.Errorf("%d addresses moved, %d were lost; %d moved twice", len(s.moves), len(lost), again)
	}
	if !s.agreed(lost) || most > int(math.Ceil(1.25*mean)) {
		s.t.Errorf("agreed: %v, most %d of a mean of %.1f", s.agreed(lost), most, mean)
	}
	if owned > detectionTime+gossipInterval+longHurry+50*time.Millisecond {
		s.t.Errorf("an address was without owner for %v", owned)
	}
}

// join adds a node: nothing moves until somebody asks for it, and then no more than it needs.
func (s *swarm) join() {
	s.t.Helper()
	i := len(s.peers)
	var vips []VIP
	var claims []lb.Claim
	from := s.alive().e
	for a := range from.vips {
		vips, claims = append(vips, from.vips[a].VIP), append(claims, from.claim(a))
	}
	scope := everywhere()
	for j := range i + 1 {
		scope.Nodes[nodeName(j)] = true
	}
	s.add(i, i+1, vips, claims)
	for _, p := range s.peers {
		if s.down[p.name] {
			s.peers[i].e.Part(p.name, true, s.now)
		}
	}
	s.reset()
	for _, p := range s.peers {
		if !s.down[p.name] {
			p.e.SetScope(scope)
			s.send(p, []rumor{{joins: nodeName(i)}})
		}
	}
	s.spread(s.peers[i], []rumor{{joins: nodeName(i)}})
	s.run(30*time.Second, nil)
	if len(s.moves) > 0 {
		s.t.Errorf("%d addresses moved when a node joined", len(s.moves))
	}

	before := s.loads()
	s.reset()
	for _, p := range s.peers {
		if !s.down[p.name] {
			p.e.Rebalance("all", s.now)
			s.decide(p)
		}
	}
	even, nodes := 0, len(before)
	for _, n := range before {
		even += n
	}
	over, under := 0, 0
	for _, n := range before {
		over += max(0, n-(even+nodes-1)/nodes)
		under += max(0, even/nodes-n)
	}
	took := s.run(time.Hour, func() bool {
		return !slices.ContainsFunc(s.peers, func(p *simPeer) bool { return !s.down[p.name] && len(p.e.balance.scopes) > 0 })
	})
	after := s.loads()
	moves := 0
	for _, n := range s.moves {
		moves += n
	}
	s.t.Logf("one node joined, then rebalanced in %v: from %d..%d to %d..%d addresses a node, %d moves where %d are the least, %d offers",
		took.Round(time.Second), slices.Min(before), slices.Max(before), slices.Min(after), slices.Max(after), moves, max(over, under), s.offers)
	if slices.Max(after)-slices.Min(after) > 1 || moves > max(over, under)*5/4+nodes/10 {
		s.t.Errorf("%d moves where %d are the least; loads after: %v", moves, max(over, under), after)
	}
	var all []netip.Addr
	for a := range from.vips {
		all = append(all, a)
	}
	if !s.agreed(all) {
		s.t.Error("the nodes do not agree")
	}
}

func (s *swarm) loads() (list []int) {
	view := s.alive().e
	for _, p := range s.peers {
		if !s.down[p.name] {
			list = append(list, len(view.owned[p.name]))
		}
	}
	return list
}

// What an event costs a cluster, and how long it takes. With FAIRLEAD_SCALE set it is that of 500 nodes and
// 10,000 addresses, which takes some minutes and 4 GB.
func TestScale(t *testing.T) {
	nodes, addresses := 70, 800
	if os.Getenv("FAIRLEAD_SCALE") != "" {
		nodes, addresses = 500, 10_000
		defer debug.SetGCPercent(debug.SetGCPercent(30))
	}
	s := newSwarm(t, nodes, addresses)
	most, mean := s.spreadOf()
	t.Logf("%d nodes, %d addresses: most %d of a mean of %.1f", nodes, addresses, most, mean)
	s.lose(1)
	s.run(time.Minute, nil)
	s.lose(10)
	s.join()
}
