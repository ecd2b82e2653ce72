package layer2

import (
	"net/netip"
	"time"
)

// await books an address as owned by a node that has still to show that it is there.
func (e *Elector) await(x *vip, owner string, now time.Time) {
	e.place(x, owner)
	if x.wait == nil {
		x.wait = &wait{}
	}
	x.wait.since = now
	e.awaited[x.Address] = x
	if n := e.nodes[x.claim.Node]; n != nil && n.lost && owner != x.claim.Node && len(x.wait.passed) < hurried {
		if e.hurries.after = hurry; len(e.nodes) > fewNodes {
			e.hurries.after = longHurry
		}
		e.hurries.add(x.Address, now)
	} else {
		e.waits.add(x.Address, now)
	}
}

// place books an address as owned by a node, or by nobody, and counts it there.
func (e *Elector) place(x *vip, owner string) {
	e.book(x, owner)
	e.count(x, owner)
}

func (e *Elector) book(x *vip, owner string) {
	a := x.Address
	delete(e.awaited, a)
	if x.wait != nil {
		x.wait.since = time.Time{}
	}
	if x.owner == owner {
		return
	}
	delete(e.owned[x.owner], a)
	delete(e.ownerless, a)
	if x.owner = owner; owner == "" {
		e.ownerless[a] = x
	} else {
		if e.owned[owner] == nil {
			e.owned[owner] = map[netip.Addr]*vip{}
		}
		e.owned[owner][a] = x
	}
	e.count(x, x.counted)
}

// count lets an address count for a node where owners are chosen by their load. That is its owner, but while
// a takeover is not confirmed it is the node that all who know of the loss choose alike, in the same order:
// whose claims were heard before the loss must make no difference to the rest of the lost node's addresses.
func (e *Elector) count(x *vip, node string) {
	if x.counted != node {
		if x.counted != "" {
			*e.load(x.counted)--
		}
		if node != "" {
			*e.load(node)++
		}
		x.counted = node
	}
	if node != x.owner {
		e.early[x.Address] = x
	} else {
		delete(e.early, x.Address)
	}
}

// load is how many addresses count for a node, also for one that is not known yet or no longer.
func (e *Elector) load(node string) *int {
	n := e.loads[node]
	if n == nil {
		n = new(int)
		e.loads[node] = n
	}
	return n
}
