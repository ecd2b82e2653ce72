package layer2

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// contender is a node that may be chosen for an address, with all that the choice depends on. See class for the
// order.
type contender struct {
	node               string
	passed, suppressed bool
	weight             int32
	load               int // without the address itself
	rank               uint64
}

// class compares what makes nodes be chosen before others whatever their load: negative if r's is better.
func (r *contender) class(other *contender) int {
	switch {
	case r.passed != other.passed:
		return less(other.passed)
	case r.suppressed != other.suppressed:
		return less(other.suppressed)
	case r.weight != other.weight:
		return less(r.weight > other.weight)
	}
	return 0
}

func less(yes bool) int {
	if yes {
		return -1
	}
	return 1
}

// outranks tells whether r comes before other in the address's order; names break a tie.
func (r *contender) outranks(other *contender) bool {
	return r.rank > other.rank || (r.rank == other.rank && r.node < other.node)
}

// choose returns the node that is to own an address which has no owner. Who is the owner already, by this
// node's book, is chosen again: the claim that counts may be that of a node which was cut off and that we do
// not see yet, and the owner is about to contest it.
func (e *Elector) choose(x *vip, now time.Time) string {
	if x.owner != "" && !x.passed(x.owner) && e.candidate(x.owner, x) {
		return x.owner
	}
	return e.plan(x, now)
}

// plan returns the node that is to own an address, whoever does.
func (e *Elector) plan(x *vip, now time.Time) string {
	if node, ok := e.fromField(x, now); ok {
		return node
	}
	tier := e.best(x, now)
	if len(tier) == 0 {
		return ""
	}
	if tier[0].passed {
		x.wait.passed = nil // everybody was waited for in vain: begin again
	}
	return pick(x, tier)
}

// pick returns the first of a tier by rank that is not loaded by more than a quarter above the mean.
func pick(x *vip, tier []contender) string {
	most, first := bound(tier), -1
	for i := range tier {
		r := &tier[i]
		if r.load >= most {
			continue
		}
		r.rank = lb.Rank(x.Address, r.node)
		if first < 0 || r.outranks(&tier[first]) {
			first = i
		}
	}
	return tier[first].node // the least loaded node is below the bound
}

// bound is how many addresses a node of a tier may own at most: a quarter above the mean, the address that is to be
// placed included.
func bound(tier []contender) int {
	sum := 1
	for i := range tier {
		sum += tier[i].load
	}
	return boundOf(sum, len(tier))
}

// boundOf is ceil(1.25 × sum/nodes) in whole numbers.
func boundOf(sum, nodes int) int { return (5*sum + 4*nodes - 1) / (4 * nodes) }

// best returns the candidates of the best class, in no order. The result is good until the next call.
func (e *Elector) best(x *vip, now time.Time) []contender {
	tier := e.tier[:0]
	for name, n := range e.nodes {
		r, ok := e.assess(name, n, x, now)
		if !ok {
			continue
		}
		if len(tier) > 0 {
			switch c := r.class(&tier[0]); {
			case c > 0:
				continue
			case c < 0:
				tier = tier[:0]
			}
		}
		tier = append(tier, r)
	}
	e.tier = tier
	return tier
}

// assess returns what the choice of a node depends on, but for its rank, if it is a candidate.
func (e *Elector) assess(name string, n *node, x *vip, now time.Time) (r contender, ok bool) {
	if !n.alive || !e.allowed(name, n, x) {
		return contender{}, false
	}
	weight, ok := e.fit(name, n, x)
	if !ok {
		return contender{}, false
	}
	r = contender{node: name, weight: weight, load: *n.load}
	if x.counted == name {
		r.load--
	}
	vain := 0
	if x.wait != nil {
		r.passed, vain = x.wait.passed[name], len(x.wait.passed)
	}
	// Speakers count losses each on their own, so each may be waiting for another one. When that has gone wrong
	// twice, flapping makes no difference any more.
	r.suppressed = vain < 2 && n.penalty.suppressed(now)
	return r, true
}

// substitute returns the node that is to stand in for an address's resting owner: the first by weight and
// rank. What it costs is small and for a short time, so loads do not count.
func (e *Elector) substitute(x *vip) string {
	var first contender
	for name, n := range e.nodes {
		if !n.alive || !e.allowed(name, n, x) {
			continue
		}
		weight, ok := e.fit(name, n, x)
		if !ok || (first.node != "" && weight < first.weight) {
			continue
		}
		r := contender{node: name, weight: weight, rank: lb.Rank(x.Address, name)}
		if first.node == "" || weight > first.weight || r.outranks(&first) {
			first = r
		}
	}
	return first.node
}

// candidate tells whether a node may take an address.
func (e *Elector) candidate(name string, x *vip) bool {
	n := e.nodes[name]
	if n == nil || !n.alive || !e.allowed(name, n, x) {
		return false
	}
	_, ok := e.fit(name, n, x)
	return ok
}

// keeps tells whether a node may own an address that it has claimed.
func (e *Elector) keeps(name string, x *vip) bool {
	n := e.nodes[name]
	if !n.present() || !e.allowed(name, n, x) {
		return false
	}
	if n.resting && n.interfaces == nil {
		return e.selected(name, x) // never seen by this node: its claim is all that there is
	}
	_, ok := e.fit(name, n, x)
	return ok
}

// clings tells whether a node keeps an address for as long as nobody else may own it: it is drained, and nothing
// else is against it.
func (e *Elector) clings(name string, x *vip) bool {
	n := e.nodes[name]
	if !n.present() || !n.drained {
		return false
	}
	barred := n.barred
	n.barred = ""
	keeps := e.keeps(name, x)
	n.barred = barred
	return keeps
}

// allowed tells whether nothing but its speaker, selectors and interfaces may keep a node from an address.
func (e *Elector) allowed(name string, n *node, x *vip) bool {
	return n.barred == "" && (x.Endpoints == nil || x.Endpoints[name]) && !(x.foreign && name == e.self)
}
