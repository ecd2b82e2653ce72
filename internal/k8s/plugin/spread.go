package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// Spread is how the addresses of an L2Advertisement lie on the nodes that may own them, and what a rebalance
// would move. A node's load are all its addresses, those of other advertisements too, as when an owner is
// chosen.
type Spread struct {
	Advertisement string
	// Nodes are by name. Those of the greatest weight come to the mean; others give away what they have.
	Nodes []NodeLoad
	// Moves is about how many addresses move, Longest how many of them one node gives away, one after another.
	Moves, Longest int
}

// NodeLoad is how many addresses a node owns.
type NodeLoad struct {
	Node   string
	Weight int32
	// Owned counts all its addresses, Here those of the advertisement.
	Owned, Here int
}

// newSpread works out what a rebalance moves between nodes: of those of the greatest weight, each comes to the
// mean, rounded down or up.
func newSpread(advertisement string, nodes []NodeLoad) Spread {
	s := Spread{Advertisement: advertisement, Nodes: nodes}
	slices.SortFunc(s.Nodes, func(a, b NodeLoad) int { return cmp.Compare(a.Node, b.Node) })
	if len(nodes) == 0 {
		return s
	}
	greatest := slices.MaxFunc(nodes, func(a, b NodeLoad) int { return cmp.Compare(a.Weight, b.Weight) }).Weight
	sum, tier := 0, 0
	for _, n := range nodes {
		if n.Weight == greatest {
			sum, tier = sum+n.Owned, tier+1
		} else {
			sum += n.Here
		}
	}
	floor, ceil := sum/tier, (sum+tier-1)/tier
	surplus, deficit, spare, lower := 0, 0, 0, 0
	for _, n := range nodes {
		if n.Weight < greatest {
			lower += n.Here
			s.Longest = max(s.Longest, n.Here)
			continue
		}
		surplus += min(n.Here, max(0, n.Owned-ceil))
		spare += min(n.Here, max(0, n.Owned-floor))
		deficit += max(0, floor-n.Owned)
		s.Longest = max(s.Longest, min(n.Here, n.Owned-ceil))
	}
	s.Moves = max(surplus+lower, min(deficit, spare+lower))
	s.Longest = max(s.Longest, min(s.Moves, 1))
	return s
}

// String says how many addresses each node has, in a line.
func (s Spread) String() string {
	if len(s.Nodes) == 0 {
		return s.Advertisement + ": no node may own its addresses"
	}
	const most = 12
	var loads []string
	sum := 0
	for i, x := range s.Nodes {
		if sum += x.Owned; i < most {
			loads = append(loads, fmt.Sprintf("%s %d", x.Node, x.Owned))
		}
	}
	if more := len(s.Nodes) - most; more > 0 {
		loads = append(loads, "and "+count(more, "node")+" more")
	}
	return fmt.Sprintf("%s: %s on %s: %s", s.Advertisement, counting(sum, "address", "addresses"), count(len(s.Nodes), "node"), strings.Join(loads, ", "))
}

// Spreads are those of advertisements by name, or of all for none. It returns an error if one is not there.
func Spreads(s *Snapshot, names []string) ([]Spread, error) {
	names = slices.Clone(names)
	for _, name := range names {
		if !slices.ContainsFunc(s.Advertisements, func(a *v1alpha1.L2Advertisement) bool { return a.Name == name }) {
			return nil, noSuch("L2Advertisement", name)
		}
	}
	if len(names) == 0 {
		for _, a := range s.Advertisements {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	g := newSegment(s)
	here := map[[2]string]int{} // by advertisement and node
	for a, vip := range g.view.VIPs {
		for _, name := range vip.Scopes {
			for _, node := range g.owners(a) {
				here[[2]string{name, node}]++
			}
		}
	}
	var spreads []Spread
	for _, name := range slices.Compact(names) {
		var nodes []NodeLoad
		scope := g.view.Scopes[name]
		for node := range scope.Nodes {
			if _, is := g.suppressed[node]; is || g.absent(node) != "" || g.view.Barred[node] != "" {
				continue
			}
			load := NodeLoad{Node: node, Weight: scope.Weights[node], Owned: g.owned(node), Here: here[[2]string{name, node}]}
			if slices.Contains(g.cut, node) {
				load.Here = load.Owned // as far as anybody can tell here
			}
			nodes = append(nodes, load)
		}
		spreads = append(spreads, newSpread(name, nodes))
	}
	return spreads, nil
}

// foresee says what a rebalance does.
func foresee(spreads []Spread) string {
	moves, longest := 0, 0
	for _, s := range spreads {
		moves += s.Moves
		longest = max(longest, s.Longest)
	}
	if moves == 0 {
		return "The addresses are spread evenly: nothing is to move."
	}
	return fmt.Sprintf("About %s to move; each move breaks the connections through the address. A node gives away one address a second: it takes about %s.",
		counting(moves, "address is", "addresses are"), time.Duration(longest)*time.Second)
}

// settled decides when a rebalance is over.
type settled struct {
	last  string
	since time.Time
}

// idleAfter is how long nothing must change until a rebalance counts as over, though a node has more than its
// share: its addresses may have nowhere else to go.
const idleAfter = 10 * time.Second

// see takes note of the spreads at a time. It tells whether they have changed, and whether it is over, and if
// so how.
func (x *settled) see(spreads []Spread, now time.Time) (changed bool, over string) {
	moves, text := 0, ""
	for _, s := range spreads {
		moves += s.Moves
		text += s.String() + "\n"
	}
	if changed = text != x.last; changed {
		x.last, x.since = text, now
	}
	switch {
	case moves == 0:
		return changed, "The addresses are spread evenly."
	case now.Sub(x.since) >= idleAfter:
		return changed, fmt.Sprintf("Nothing has moved for %s: the rest stays, as no other node that has room may own it.", idleAfter)
	}
	return changed, ""
}

// counting is "1 address", "2 addresses".
func counting(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
