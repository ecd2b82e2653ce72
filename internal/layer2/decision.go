package layer2

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Cause says why a node answers from now on, or no longer.
type Cause string

const (
	// Elected: nobody owned the address.
	Elected Cause = "Elected"
	// Lost: the owner's node was lost.
	Lost Cause = "Lost"
	// Left: the owner's speaker is gone for good, after a good-bye or past the restart grace.
	Left Cause = "Left"
	// Moved: the owner may own the address no longer; it is there and answers until the successor does.
	Moved Cause = "Moved"
	// Rebalanced: the owner offered it.
	Rebalanced Cause = "Rebalanced"
	// Settled: two nodes had claimed it, and one claim counts; or a foreign host has it.
	Settled Cause = "Settled"
	// Resumed: the owner goes on, after a restart of its speaker or in another way.
	Resumed Cause = "Resumed"
)

// Change is a change of what this node does for an address.
type Change struct {
	Address netip.Addr
	Service lb.Key
	// Owned tells whether this node answers from now on, as the owner or in its place.
	Owned bool
	// Interfaces to answer on, while Owned.
	Interfaces []string
	// For is the resting node that this one stands in for; empty if it is the owner.
	For string
	// HardwareAddr is For's, to answer with; nil for each interface's own.
	HardwareAddr net.HardwareAddr
	// Bind tells an owner to put the address on the interfaces too.
	Bind bool
	// Probe tells an owner to ask the segment for a foreign host before the first announcement.
	Probe bool
	// Inherit tells an owner to ask the segment for a node that has the address already, by another system.
	Inherit bool
	// Claimed is true if this node became the owner just now, false if it goes on as one (after a restart of
	// its speaker, or on other interfaces).
	Claimed bool
	// From is the node that owned the address before, if this node took over from another.
	From string
	// Cause is empty for one who stands in, and when the Service is gone.
	Cause Cause
}

// Decision is what came of all that came up.
type Decision struct {
	Changes []Change
	// Claims are new ones of this node, for all the others; Offers are each for one of them.
	Claims []lb.Claim
	Offers []lb.Offer
	// Unproven are the nodes whose claims this one would contest if it were sure to be heard: see Contact.
	Unproven []string
	// Wake is when to decide again at the latest; zero for never.
	Wake time.Time
}

// Decide settles all that came up.
func (e *Elector) Decide(now time.Time) (d Decision) {
	e.poll(now)
	d.Claims = append(e.answers(), e.confirm(now)...)
	e.recall(now)
	queue := e.queue
	e.queue = nil
	for _, a := range queue {
		x := e.vips[a]
		x.queued = false
		before, from := x.duty, x.claim.Node
		made, cause := e.settle(x, now)
		e.tally(x)
		if made {
			d.Claims = append(d.Claims, x.claim)
		}
		if c, changed := e.change(x, before); changed {
			if x.owns() || (before != nil && before.standsFor == "" && x.Service != (lb.Key{})) {
				c.Cause = cause
			}
			if c.Claimed = made && x.owns() && (before == nil || before.standsFor != ""); c.Claimed && from != e.self && cause != Elected {
				c.From = from
			}
			c.Probe, c.Inherit = c.Claimed && from == "" && x.Probe, x.owns() && x.duty.inherits
			d.Changes = append(d.Changes, c)
		}
		if x.Service == (lb.Key{}) {
			e.forget(x)
		}
	}
	d.Offers, e.bequests = append(d.Offers, e.bequests...), nil
	if o, ok := e.give(now); ok {
		d.Offers = append(d.Offers, o)
	}
	for _, x := range e.unproven {
		if !slices.Contains(d.Unproven, x.claim.Node) {
			d.Unproven = append(d.Unproven, x.claim.Node)
		}
	}
	for _, q := range []*deadlines{&e.waits, &e.hurries, &e.pending, &e.again, &e.ends} {
		d.Wake = sooner(d.Wake, q.next())
	}
	d.Wake = sooner(sooner(d.Wake, e.balance.wake()), e.undamped(now))
	return d
}

// recall queues what this node wanted to come back to.
func (e *Elector) recall(now time.Time) {
	for _, q := range []*deadlines{&e.waits, &e.hurries} {
		for _, a := range q.due(now, func(d deadline) bool {
			x := e.awaited[d.address]
			return x != nil && x.wait.since.Equal(d.since)
		}) {
			x := e.awaited[a]
			if x.wait.passed == nil {
				x.wait.passed = map[string]bool{}
			}
			x.wait.passed[x.owner] = true
			e.touch(a)
		}
	}
	for _, a := range e.again.due(now, func(d deadline) bool {
		x := e.vips[d.address]
		return x != nil && x.heardAt.Equal(d.since)
	}) {
		e.touch(a)
	}
	for _, a := range e.ends.due(now, func(d deadline) bool {
		since, ok := e.ended[d.address]
		return ok && since.Equal(d.since)
	}) {
		e.touch(a)
	}
}

// confirm makes those takeovers good that were long enough ago.
func (e *Elector) confirm(now time.Time) (claims []lb.Claim) {
	for _, a := range e.pending.due(now, func(d deadline) bool {
		x := e.vips[d.address]
		return x != nil && x.owns() && x.duty.took.Equal(d.since) && x.claim.Standing != lb.Confirmed && x.claim == x.duty.claim
	}) {
		x := e.vips[a]
		x.duty.claim.Standing = lb.Confirmed
		x.claim = x.duty.claim
		claims = append(claims, x.claim)
	}
	return claims
}

// forget drops an address that is no Service's any more. Its claim stays, so that the next owner's beats it.
func (e *Elector) forget(x *vip) {
	e.place(x, "")
	delete(e.ownerless, x.Address)
	delete(e.left, x.Address)
	delete(e.ended, x.Address)
	delete(e.offers, x.Address)
	delete(e.vips, x.Address)
	if x.claim != (lb.Claim{}) {
		e.strays[x.Address] = x.claim
	}
}

// change compares what this node did for an address with what it does now.
func (e *Elector) change(x *vip, before *duty) (c Change, changed bool) {
	now := x.duty
	switch {
	case now == before, now != nil && before != nil && now.standsFor == before.standsFor && now.mac == before.mac &&
		now.bind == before.bind && now.service == before.service && slices.Equal(now.interfaces, before.interfaces):
		return Change{}, false
	case now == nil:
		return Change{Address: x.Address, Service: before.service}, true
	}
	c = Change{Address: x.Address, Service: now.service, Owned: true, Interfaces: now.interfaces, For: now.standsFor, Bind: now.bind}
	if now.standsFor != "" {
		c.HardwareAddr = net.HardwareAddr(now.mac)
	}
	return c, true
}
