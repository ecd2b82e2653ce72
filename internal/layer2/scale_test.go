package layer2

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// owned tells whether each of some addresses has a node that answers for it.
func (s *swarm) owned(list []netip.Addr) bool {
	return s.each(list, func(a netip.Addr) bool {
		return slices.ContainsFunc(s.peers, func(p *simPeer) bool { return !s.down[p.name] && p.e.vips[a].owns() })
	})
}

// agreed tells whether all nodes know the same confirmed or unconfirmed owner of some addresses, who answers alone.
func (s *swarm) agreed(list []netip.Addr) bool {
	return s.each(list, func(a netip.Addr) bool {
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
		return answering == 1 && !s.down[owner]
	})
}

// each tells whether something holds for each of some addresses. It begins with the one for which it did not hold the last
// time: of many, which are asked for often, few are late.
func (s *swarm) each(list []netip.Addr, holds func(netip.Addr) bool) bool {
	for i := range list {
		if at := (s.late + i) % len(list); !holds(list[at]) {
			s.late = at
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
		if n := *view.load(p.name); !s.down[p.name] {
			nodes, sum, most = nodes+1, sum+n, max(most, n)
		}
	}
	return most, float64(sum) / float64(nodes)
}

// loss is what became of the addresses of nodes that were lost at once.
type loss struct {
	nodes, alive, addresses, orphans int
	owned, agreed                    time.Duration
	moves, claims, dropped           int
	packets, frames, octets          float64       // sent by a node, for all of it
	cpu                              time.Duration // of a node's elector
	most                             int
	mean                             float64
}

// lose takes nodes down and lets the rest find new owners: for exactly what those had. Then they come back, and nothing
// moves.
func (s *swarm) lose(names ...string) (l loss) {
	s.t.Helper()
	var lost []netip.Addr
	view := s.peers[0].e
	for _, name := range names {
		lost = slices.AppendSeq(lost, maps.Keys(view.owned[name]))
	}
	s.reset()
	start := s.now
	s.cut(names...)
	l.nodes, l.alive, l.addresses, l.orphans = len(names), len(s.peers)-len(s.down), len(lost), len(s.orphans)
	l.owned = s.run(time.Minute, func() bool { return s.owned(lost) })
	s.run(time.Minute, func() bool { return s.agreed(lost) })
	l.agreed = s.now.Sub(start)
	s.run(30*time.Second, nil)
	for _, a := range lost {
		l.moves += s.moves[a]
	}
	l.most, l.mean = s.spreadOf()
	n := float64(l.alive)
	l.claims, l.dropped, l.cpu = s.claims, s.dropped, s.busy/time.Duration(l.alive)
	l.packets, l.frames, l.octets = float64(s.packets)/n, float64(s.frames)/n, s.octets/n
	if !s.agreed(lost) || len(s.moves) != len(lost) {
		s.t.Errorf("%d addresses moved, %d were lost; agreed: %v", len(s.moves), len(lost), s.agreed(lost))
	}
	if l.moves > len(lost)+max(2, len(lost)/20) {
		s.t.Errorf("%d moves of %d addresses", l.moves, len(lost))
	}
	if l.most > int(math.Ceil(1.25*l.mean))+1 {
		s.t.Errorf("one node has %d addresses of a mean of %.1f", l.most, l.mean)
	}
	before := l.moves
	for _, p := range s.peers {
		if !s.down[p.name] {
			for _, name := range names {
				p.e.Join(name, swarmSegment)
			}
			s.decide(p)
		}
	}
	s.run(10*time.Second, nil)
	after := 0
	for _, n := range s.moves {
		after += n
	}
	if after != before {
		s.t.Errorf("%d addresses moved when the nodes were back", after-before)
	}
	s.t.Logf("%+v", l)
	return l
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
	s.add(i, i+1, &scope, vips, claims)
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
	// Who missed a frame hears of a claim by gossip, if it comes by, or by the next exchange with one who knows.
	s.run(30*time.Minute, func() bool { return s.agreed(all) })
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

// row is one event in a cluster of a size.
type row struct {
	what             string
	nodes, addresses int
	lost             func(nodes int) []string
	owned            time.Duration // at the latest; soonOwned if 0
}

const soonOwned = 1500 * time.Millisecond

func oneNode(nodes int) []string { return []string{nodeName(nodes / 2)} }

// rack is 20 of 500 nodes, and 40 at most.
func rack(nodes int) (names []string) {
	for i := range min(40, max(2, nodes/25)) {
		names = append(names, nodeName(nodes/2+i))
	}
	return names
}

func third(nodes int) (names []string) {
	for i := range nodes / 3 {
		names = append(names, nodeName(3*i+1))
	}
	return names
}

// What it costs a cluster that nodes are lost, and how long it takes. With FAIRLEAD_SCALE set it is that of 500 and 2,000
// nodes, takes long and 8 GB, and writes the table of docs/scale.md.
func TestScale(t *testing.T) {
	rows := []row{{"a node", 70, 800, oneNode, 0}, {"a rack", 100, 500, rack, 0}, {"a third", 60, 400, third, 0}}
	full := os.Getenv("FAIRLEAD_SCALE") != ""
	runtime.LockOSThread() // for threadTime
	defer runtime.UnlockOSThread()
	if full {
		rows = []row{
			{"a node", 500, 10_000, oneNode, 0}, {"a rack", 500, 10_000, rack, 0}, {"a third", 500, 10_000, third, 0},
			{"a node", 2_000, 50_000, oneNode, 0}, {"a rack", 2_000, 50_000, rack, 0},
			{"a third", 2_000, 8_000, third, 5 * time.Second}, // gossip has 666 losses to tell
		}
		defer debug.SetGCPercent(debug.SetGCPercent(30))
	}
	table := "| nodes, addresses | lost at once | addresses lost; nodes whose watchers were lost too | all owned again; all agree | moves | sent by a node: packets; frames; octets | frames not read | its election's CPU | most; mean |\n" +
		"|---|---|---|---|---|---|---|---|---|\n"
	for _, r := range rows {
		names := r.lost(r.nodes)
		s := newSwarm(t, r.nodes, r.addresses, names...)
		l := s.lose(names...)
		if l.owned > cmp.Or(r.owned, soonOwned) {
			t.Errorf("%d nodes, %s: an address was without owner for %v", r.nodes, r.what, l.owned)
		}
		table += fmt.Sprintf("| %d, %d | %s (%d) | %d; %d | %v; %v | %d | %.0f; %.1f; %.0f | %d | %v | %d; %.1f |\n", r.nodes, r.addresses, r.what, l.nodes, l.addresses, l.orphans,
			l.owned.Round(time.Millisecond), l.agreed.Round(10*time.Millisecond), l.moves, l.packets, l.frames, l.octets, l.dropped, l.cpu.Round(time.Millisecond), l.most, l.mean)
		if full {
			writeTable(t, "../../docs/scale.md", "losses", table)
		}
	}
	t.Log("\n" + table)
}

// A node joins a cluster and asks for its share.
func TestScaleJoin(t *testing.T) {
	nodes, addresses := 70, 800
	if os.Getenv("FAIRLEAD_SCALE") != "" {
		nodes, addresses = 500, 10_000
		defer debug.SetGCPercent(debug.SetGCPercent(30))
	}
	newSwarm(t, nodes, addresses).join()
}

// writeTable replaces what is between the markers of a name in a page.
func writeTable(t *testing.T, file, name, table string) {
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), "<!-- "+name+": ")
	marker, _, ok2 := strings.Cut(rest, "\n")
	_, tail, ok3 := strings.Cut(rest, "<!-- end of "+name+" -->")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no markers of %s", file, name)
	}
	text := head + "<!-- " + name + ": " + marker + "\n" + table + "<!-- end of " + name + " -->" + tail
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An elector that knows the lost addresses alone, and how many others there are at each node, chooses as one that
// knows all: what the simulation of large clusters relies on.
func TestOnlyTheLostAddressesMatter(t *testing.T) {
	const nodes, addresses = 40, 600
	doomed := third(nodes)
	all, few := newSwarm(t, nodes, addresses).peers[0].e, newSwarm(t, nodes, addresses, doomed...).peers[0].e
	now := time.Unix(100, 0)
	for _, name := range doomed {
		for _, e := range []*Elector{all, few} {
			e.Part(name, true, now)
			e.Decide(now)
		}
	}
	if len(few.vips) == 0 || len(few.vips) >= addresses {
		t.Fatalf("it knows %d addresses", len(few.vips))
	}
	for a, x := range few.vips {
		if y := all.vips[a]; x.owner != y.owner || x.counted != y.counted {
			t.Errorf("%s goes to %s, which counts for %s; knowing all to %s, for %s", a, x.owner, x.counted, y.owner, y.counted)
		}
	}
	for i := range nodes {
		if name := nodeName(i); *all.load(name) != *few.load(name) {
			t.Errorf("%s has %d addresses, and %d for who knows all", name, *few.load(name), *all.load(name))
		}
	}
}
