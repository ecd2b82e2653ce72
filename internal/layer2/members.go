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
	name string
	load *int // how many addresses count for it
	// alive is true while the node's speaker takes part in gossip and serves.
	alive bool
	// resting marks a node whose speaker is gone while its kernel goes on forwarding: it keeps what it owns.
	resting bool
	// lost marks a node that neither is there nor said good-bye: it may be cut off from us, or we from it.
	lost bool
	// barred says why the node must own nothing; empty if it may.
	barred string
	// drained is true if it is barred only from what another node may own.
	drained    bool
	interfaces []lb.Interface
	// gone is true when the cluster has no such node (any more): once its speaker is gone too, it is forgotten.
	gone    bool
	penalty penalty
}

// present tells whether a node may keep what it owns, as far as its own state goes.
func (n *node) present() bool { return n != nil && (n.alive || n.resting) }

// absent tells whether a node is known not to be there.
func (n *node) absent() bool { return n != nil && !n.alive && !n.resting }

// Join takes note of a node whose speaker serves, and of its interfaces. It tells whether the speaker did not
// take part before.
func (e *Elector) Join(name string, interfaces []lb.Interface) (fresh bool) {
	n := e.changing(name)
	fresh = !n.alive
	e.unheard = e.unheard && name == e.self
	n.alive, n.resting, n.lost, n.interfaces = true, false, false, interfaces
	delete(e.resting, name)
	e.touchNode(name)
	e.touchUnsettled()
	return fresh
}

// Rest takes note of a node whose speaker is gone for the moment while its kernel still answers: it owns
// what it has claimed, and another node stands in for it. The interfaces are those of its last Join.
func (e *Elector) Rest(name string) {
	if name == e.self {
		return
	}
	n := e.changing(name)
	n.alive, n.resting, n.lost = false, true, false
	e.resting[name] = true
	e.touchNode(name)
	e.touchUnsettled()
}

// Part takes note of a node whose speaker serves no longer; lost if it was not heard to leave. A loss counts
// as a flap.
func (e *Elector) Part(name string, lost bool, now time.Time) {
	n := e.changing(name)
	if lost && n.present() {
		e.penalize(n, now)
	}
	n.alive, n.resting, n.lost = false, false, lost
	delete(e.resting, name)
	if n.gone {
		e.drop(name)
	}
	e.touchNode(name)
	e.touchResting()
}

// Bar keeps a node from owning anything, for a reason fit to show, or admits it again with an empty one.
func (e *Elector) Bar(name, reason string) { e.bar(name, reason, false) }

// Drain is like Bar, but the node keeps what nobody else may own: its users lose nothing before they have to.
func (e *Elector) Drain(name, reason string) { e.bar(name, reason, true) }

func (e *Elector) bar(name, reason string, drained bool) {
	n := e.node(name)
	if n.barred == reason && n.drained == drained && !n.gone {
		return
	}
	e.changing(name)
	n.barred, n.drained, n.gone = reason, drained, false
	e.touchNode(name)
	e.touchUnsettled()
}

// RemoveNode takes note that the cluster has no such node any more: it may own nothing, and it does not
// count as lost.
func (e *Elector) RemoveNode(name string) {
	n := e.changing(name)
	n.gone, n.barred, n.drained, n.lost = true, "the cluster has no such node", false, false
	if !n.alive {
		e.drop(name)
		delete(e.resting, name)
	}
	e.touchNode(name)
	e.touchResting()
}

func (e *Elector) node(name string) *node {
	if e.nodes[name] == nil {
		e.nodes[name] = &node{name: name, load: e.load(name)}
	}
	return e.nodes[name]
}

// changing returns a node of which something is about to change that counts for the majority or for candidates.
func (e *Elector) changing(name string) *node {
	e.polled = false
	clear(e.fields)
	return e.node(name)
}

func (e *Elector) drop(name string) {
	delete(e.nodes, name)
	delete(e.flapping, name)
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

// Isolated takes note of a time in which this node heard nobody at all on the wire, or did not run at all,
// and which ended at end, or goes on if end is now. It was the one that was cut off: for a while it does not
// insist on what others took over from it.
func (e *Elector) Isolated(end time.Time) {
	if end.After(e.isolated) {
		e.isolated = end
		touchSorted(e, e.unproven)
	}
}

// Contact takes note of when another host last answered this node. What it insists on has to be heard: one that hears
// the others but is not heard by them would come back to it when its cable is mended, long after it lost it.
func (e *Elector) Contact(at time.Time) {
	if at.After(e.contact) {
		e.contact = at
		touchSorted(e, e.unproven)
	}
}

// yields tells whether this node was isolated so lately that others may have taken over from it.
func (e *Elector) yields(now time.Time) bool {
	return !e.isolated.IsZero() && now.Sub(e.isolated) < steadyAfter
}

// majority tells whether this node sees more than half of the speakers that there are. A resting one counts
// neither way: its node is there, but nothing is known of what it sees.
//
// Nodes are counted after one of them has changed, not at each look.
func (e *Elector) majority() bool {
	if !e.polled {
		alive, lost := 0, 0
		for _, n := range e.nodes {
			if n.alive {
				alive++
			} else if n.lost {
				lost++
			}
		}
		e.most, e.polled = alive > lost, true
	}
	return e.most && !e.unheard
}

// poll takes note whether this node sees a majority.
func (e *Elector) poll(now time.Time) {
	switch majority := e.majority(); {
	case !majority:
		e.outvoted = true
		e.pending.queue = nil // they stay as sure as they were
	case e.outvoted:
		e.outvoted, e.regained = false, now
		for a, x := range e.owned[e.self] {
			if x.owns() && x.duty.claim.Standing != lb.Confirmed {
				x.duty.took = now
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
