package layer2

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// steadyAfter is how long a majority has to be seen until an owner that missed it counts as having been
// there all the time again.
const steadyAfter = 10 * time.Second

// node is what the election knows of a node.
type node struct {
	// alive is true while the node's speaker takes part in gossip and serves.
	alive bool
	// lost marks a node that is not alive and did not say good-bye: it may be cut off from us, or we from it.
	lost bool
	// barred says why the node must own nothing; empty if it may.
	barred     string
	interfaces []lb.Interface
	// gone is true when the cluster has no such node (any more): once its speaker is gone too, it is forgotten.
	gone bool
}

// Join takes note of a node whose speaker serves, and of its interfaces. It tells whether the node is new.
func (e *Elector) Join(name string, interfaces []lb.Interface) (fresh bool) {
	n := e.node(name)
	fresh = !n.alive
	e.unheard = e.unheard && name == e.self
	n.alive, n.lost, n.interfaces = true, false, interfaces
	e.touchNode(name)
	e.touchUnsettled()
	return fresh
}

// Part takes note of a node whose speaker serves no longer; lost if it was not heard to leave.
func (e *Elector) Part(name string, lost bool) {
	n := e.node(name)
	n.alive, n.lost = false, lost
	if n.gone {
		delete(e.nodes, name)
	}
	e.touchNode(name)
}

// Bar keeps a node from owning anything, for a reason fit to show, or admits it again with an empty one.
func (e *Elector) Bar(name, reason string) {
	n := e.node(name)
	if n.barred == reason && !n.gone {
		return
	}
	n.barred, n.gone = reason, false
	e.touchNode(name)
	e.touchUnsettled()
}

// RemoveNode takes note that the cluster has no such node any more: it may own nothing, and it does not
// count as lost.
func (e *Elector) RemoveNode(name string) {
	n := e.node(name)
	n.gone, n.barred, n.lost = true, "the cluster has no such node", false
	if !n.alive {
		delete(e.nodes, name)
	}
	e.touchNode(name)
}

func (e *Elector) node(name string) *node {
	if e.nodes[name] == nil {
		e.nodes[name] = &node{}
	}
	return e.nodes[name]
}

// Unheard takes note that no other speaker answers although there are other nodes: it may be this node that
// is cut off.
func (e *Elector) Unheard() { e.unheard = true }

// Silence takes note of a time in which this node heard nothing of the others, and which ended at end: it
// may have been cut off without having missed the majority yet.
func (e *Elector) Silence(end time.Time) {
	if end.After(e.regained) {
		e.regained = end
	}
}

// majority tells whether this node sees more than half of the speakers that there are.
func (e *Elector) majority() bool {
	alive, lost := 0, 0
	for _, n := range e.nodes {
		if n.alive {
			alive++
		} else if n.lost {
			lost++
		}
	}
	return alive > lost && !e.unheard
}

// count takes note whether this node sees a majority.
func (e *Elector) count(now time.Time) {
	switch majority := e.majority(); {
	case !majority:
		e.outvoted = true
		e.pending.queue = nil // they stay as sure as they were
	case e.outvoted:
		e.outvoted, e.regained = false, now
		for a, x := range e.owned[e.self] {
			if x.answering && x.claim.Standing != lb.Confirmed {
				x.took = now
				e.pending.add(a, now)
			}
		}
	}
}

// steady tells whether this node has been in the majority for so long that it cannot have been cut off when
// another one took an address over from it.
func (e *Elector) steady(now time.Time) bool {
	return !e.outvoted && (e.regained.IsZero() || now.Sub(e.regained) >= steadyAfter)
}
