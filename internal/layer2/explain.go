package layer2

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Explanation says who owns an address, who else may, and why the others may not.
type Explanation struct {
	Service lb.Key
	// Owner is empty if nobody may own the address.
	Owner string
	// Candidates are all nodes, in the order in which they would be chosen if there were no owner; those that
	// may not own the address come last, by name.
	Candidates []Candidate
}

// Candidate is a node as an address sees it.
type Candidate struct {
	Node   string
	Owner  bool
	Weight int32
	// Owned is how many addresses the node owns in all.
	Owned int
	// May is false of a node that may not own the address, whoever else may.
	May bool
	// Reason says why it may not, or, if it may, why others are chosen before it; empty if they are not.
	Reason string
}

// Explain returns what this node knows of an address's owner and candidates; false if it does not know the
// address.
func (e *Elector) Explain(address netip.Addr, now time.Time) (Explanation, bool) {
	x := e.vips[address]
	if x == nil {
		return Explanation{}, false
	}
	tier := slices.Clone(e.best(x, now))
	most := 0
	if len(tier) > 0 {
		most = bound(tier)
	}
	type line struct {
		Candidate
		contender
		full bool
	}
	var lines []line
	for name, n := range e.nodes {
		l := line{Candidate: Candidate{Node: name, Owner: x.owner == name, Owned: len(e.owned[name])}}
		l.Weight, _ = e.fit(name, n, x)
		if l.contender, l.May = e.assess(name, n, x, now); l.May {
			l.rank = lb.Rank(address, name)
			l.full = l.class(&tier[0]) == 0 && l.load >= most
		}
		switch {
		case !l.May:
			l.Reason = e.objection(name, n, x)
		case l.suppressed:
			l.Reason = fmt.Sprintf("suppressed for flapping until %s: chosen only if no other node can be", n.penalty.reuse.UTC().Format(time.RFC3339))
		case l.passed:
			l.Reason = "it was chosen and did not answer: it may not know of the address"
		case l.weight < tier[0].weight:
			l.Reason = fmt.Sprintf("other nodes are preferred: its weight is %d, theirs %d", l.weight, tier[0].weight)
		case l.full && !l.Owner:
			addresses := "addresses"
			if l.load == 1 {
				addresses = "address"
			}
			l.Reason = fmt.Sprintf("owns %d %s of at most %d, a quarter above the mean", l.load, addresses, most)
		}
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b line) int {
		switch {
		case a.May != b.May:
			return less(a.May)
		case !a.May:
			return strings.Compare(a.Candidate.Node, b.Candidate.Node)
		case a.full != b.full && a.class(&b.contender) == 0:
			return less(b.full)
		}
		return cmp.Or(a.class(&b.contender), cmp.Compare(b.rank, a.rank), strings.Compare(a.Candidate.Node, b.Candidate.Node))
	})
	explanation := Explanation{Service: x.Service, Owner: x.owner}
	for _, l := range lines {
		explanation.Candidates = append(explanation.Candidates, l.Candidate)
	}
	return explanation, true
}

// objection says why a node may not take an address.
func (e *Elector) objection(name string, n *node, x *vip) string {
	switch {
	case n.barred != "":
		return n.barred
	case n.resting:
		return "only its speaker is gone: it keeps what it has for the restart grace, and takes nothing"
	case n.lost:
		return "the node is lost: its speaker fell silent without a good-bye"
	case !n.alive:
		return "its speaker takes no part"
	case !e.selected(name, x):
		return "no advertisement of the address selects the node"
	case x.Endpoints != nil && !x.Endpoints[name]:
		return "no ready endpoint of the Service on the node (externalTrafficPolicy: Local)"
	case x.foreign && name == e.self:
		return "another host on the segment has the address"
	}
	var globs []string
	for _, scope := range x.Scopes {
		if s := e.scopes[scope]; s != nil && s.Nodes[name] {
			if len(s.Interfaces) == 0 {
				return fmt.Sprintf("no interface in the subnet of %s", x.Address)
			}
			globs = append(globs, s.Interfaces...)
		}
	}
	slices.Sort(globs)
	return fmt.Sprintf("no interface matches those of the advertisement: %s", strings.Join(slices.Compact(globs), ", "))
}
