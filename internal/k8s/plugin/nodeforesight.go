package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
)

// Foresight is where a node's addresses go. The speakers' own rule says so; as things change by then, it is what would
// be if it were now.
type Foresight struct {
	// To are the nodes that get some, by name.
	To []NodeShare `json:"to"`
	// Nowhere are those that no other node may own.
	Nowhere []Stuck `json:"nowhere,omitempty"`
	// Unlisted is how many more it owns that its speaker's list leaves out.
	Unlisted int `json:"unlisted,omitempty"`
}

// NodeShare is how many addresses a node gets.
type NodeShare struct {
	Node      string `json:"node"`
	Addresses int    `json:"addresses"`
}

// believed is for how long the speakers go along with a claim of a node that may not own an address by what they
// know (see layer2.Elector): only then do they choose another.
const believed = time.Second

// ifLost is what becomes of a node's addresses if it is lost now.
func ifLost(s *Snapshot, node string) *Foresight {
	g := newSegment(s)
	g.elector.Part(node, true, s.Time)
	g.elector.Decide(s.Time)
	return g.foresight(node, g.elector.Owners())
}

// ifDrained is what becomes of them if it is drained now.
func ifDrained(s *Snapshot, node string) *Foresight {
	g, owners := settledOwners(withDrain(s, node))
	return g.foresight(node, owners)
}

// settledOwners are who owns what once the speakers have done all that they are about to.
func settledOwners(s *Snapshot) (*segment, map[netip.Addr]string) {
	g := newSegment(s)
	owners := g.elector.Owners()
	// By then a node that was chosen at first would have been waited for in vain: whoever was chosen stays it.
	g.elector.Decide(s.Time.Add(believed))
	for a, owner := range g.elector.Owners() {
		if slices.Contains(g.owners(a), owners[a]) {
			owners[a] = owner
		}
	}
	return g, owners
}

// withDrain is a snapshot in which a node is drained.
func withDrain(s *Snapshot, node string) *Snapshot {
	drained := *s
	drained.Nodes = slices.Clone(s.Nodes)
	for i, n := range drained.Nodes {
		if n.Name == node && !Drained(n) {
			drained.Nodes[i] = drainedCopy(n)
		}
	}
	return &drained
}

func drainedCopy(n *corev1.Node) *corev1.Node {
	n = n.DeepCopy()
	setDrain(n)
	return n
}

// foresight is where the addresses that a node is listed to own go, given who owns what then.
func (g *segment) foresight(node string, owners map[netip.Addr]string) *Foresight {
	left, shares := LeftOn(g.s.Speakers, node), map[string]int{}
	f := &Foresight{To: []NodeShare{}, Unlisted: left.Owned - len(left.Addresses)}
	for _, a := range left.Addresses {
		if owner := owners[a]; owner != "" && owner != node {
			shares[owner]++
			continue
		}
		f.Nowhere = append(f.Nowhere, g.stuck(a, node))
	}
	for name, n := range shares {
		f.To = append(f.To, NodeShare{name, n})
	}
	slices.SortFunc(f.To, func(a, b NodeShare) int { return cmp.Compare(a.Node, b.Node) })
	return f
}

// stuck says why no node but one may own an address.
func (g *segment) stuck(a netip.Addr, but string) Stuck {
	x := Stuck{Address: a, Service: "no Service"}
	if services := g.services[a]; len(services) > 0 {
		x.Service = k8s.Key(services[0]).String()
	}
	if _, known := g.view.VIPs[a]; !known {
		x.Why = "no pool holds it, or no Service shows it: nobody is to own it"
		return x
	}
	others := slices.DeleteFunc(g.verdicts(a), func(v NodeVerdict) bool { return v.Node == but })
	x.Why = cmp.Or(refusals(others), "there is no other node")
	return x
}

// text says where the addresses go, and what becomes of the rest.
func (f *Foresight) text(rest string) string {
	const most = 5
	var parts []string
	for i, to := range f.To {
		if i == most {
			more := 0
			for _, x := range f.To[most:] {
				more += x.Addresses
			}
			parts = append(parts, fmt.Sprintf("%d to %s", more, count(len(f.To)-most, "more node")))
			break
		}
		parts = append(parts, fmt.Sprintf("%d to %s", to.Addresses, to.Node))
	}
	if n := len(f.Nowhere); n > 0 {
		parts = append(parts, fmt.Sprintf("%d %s", n, rest))
	}
	text := enumerate(parts)
	if f.Unlisted > 0 {
		text += ", of those that are listed"
	}
	return text
}
