package layer2

import (
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// settle decides one address. It tells whether x.claim is a new one of this node's, and the cause of a change.
func (e *Elector) settle(x *vip, now time.Time) (made bool, cause Cause) {
	heard := x.claim
	mine := e.self != "" && heard.Node == e.self
	if x.news {
		x.news, x.heardAt = false, now
	}
	delete(e.left, x.Address)
	delete(e.unproven, x.Address)
	offer, offered := e.offers[x.Address]
	delete(e.offers, x.Address)
	switch {
	case x.foreign && mine:
		e.release(x, x.Service)
		e.ended[x.Address] = now
		e.ends.add(x.Address, now)
		return true, Settled
	case e.fades(x, now):
		return false, ""
	case x.owns() && !mine && e.contests(x, heard, now):
		if !e.contact.IsZero() && !e.contact.After(x.heardAt) {
			e.unproven[x.Address] = x // it goes on as before till then
			return false, ""
		}
		// It was the other one that was cut off, not we: it has to know that the owner is still there.
		e.take(x, lb.Confirmed, now)
		return true, Settled
	case offered && e.inherits(x, offer):
		e.take(x, lb.Confirmed, now)
		x.duty.inherits = false
		return true, Elected // who offers it never answered
	case offered && e.accepts(x, offer, now):
		e.take(x, lb.Confirmed, now)
		return true, Rebalanced
	case x.owns() && !mine && heard.Beats(x.duty.claim) && e.nodes[heard.Node].absent():
		// A claim that was made while this node was cut off reaches it before the claimant does.
		x.duty = nil
		e.await(x, heard.Node, now)
		return false, Settled
	case x.owner == heard.Node && x.awaiting() && !x.passed(x.owner) && e.nodes[heard.Node].absent():
		return false, "" // still to show that it is there
	case x.Service == (lb.Key{}) && x.owns() && mine:
		e.release(x, x.duty.service)
		return true, ""
	case heard.Node != "" && (e.keeps(heard.Node, x) || e.believes(x, heard, now)):
		return false, e.follow(x, heard, now)
	}
	chosen := e.choose(x, now)
	switch {
	case chosen == "" && e.clings(heard.Node, x):
		e.left[x.Address] = x
		return false, e.follow(x, heard, now)
	case chosen == "":
		cause = Moved
		e.place(x, "")
		x.duty = nil
	case chosen == e.self:
		cause = e.cause(heard.Node)
		asks := x.asks(heard)
		if e.take(x, e.standing(heard.Node), now); asks {
			x.ask()
		}
		return true, cause
	default:
		// This node may answer still; it does so until the other has made its claim. But nobody is to be sent to
		// a node that is gone.
		if x.duty != nil && x.duty.standsFor != "" && !e.nodes[x.duty.standsFor].present() {
			x.duty = nil
		}
		if x.owner != chosen || !x.awaiting() {
			e.await(x, chosen, now)
		}
	}
	return false, cause
}

// follow goes along with a claim. It returns why this node answers from now on, or no longer.
func (e *Elector) follow(x *vip, heard lb.Claim, now time.Time) (cause Cause) {
	x.wait = nil
	owned := x.owns()
	e.book(x, heard.Node)
	if heard.Standing == lb.Confirmed || x.counted == "" {
		e.count(x, heard.Node)
	} else if e.nodes[x.counted].absent() {
		e.count(x, e.plan(x, now))
	}
	switch {
	case heard.Node == e.self:
		asks := x.asks(heard) // as before a restart
		e.answer(x)
		x.duty.inherits = x.duty.inherits || asks
		return Resumed
	case !e.nodes[heard.Node].resting || !e.standIn(x, heard.Node):
		x.duty = nil
	}
	switch {
	case !owned:
		return ""
	case e.balance.gave(heard):
		return Rebalanced
	case !e.keeps(e.self, x):
		return Moved
	}
	return Settled
}

// believes tells whether this node goes along with another's claim although, as far as it knows, that one may
// not own the address. The claimant may know better: news of the API server reach the speakers at different
// times. So a claim is believed for a while, and by a node that has no news at all it is believed for good.
func (e *Elector) believes(x *vip, heard lb.Claim, now time.Time) bool {
	n := e.nodes[heard.Node]
	switch {
	case heard.Node == e.self || !n.present() || x.Service == (lb.Key{}):
		return false
	case e.blind:
		return true
	case !n.alive || now.Sub(x.heardAt) >= patience:
		return false
	}
	e.again.add(x.Address, x.heardAt)
	return true
}

// fades tells whether an address whose owner let go of it is to stay silent, and sees to that.
func (e *Elector) fades(x *vip, now time.Time) bool {
	since, ended := e.ended[x.Address]
	if !ended {
		return false
	}
	if x.claim.Node != "" || x.Service == (lb.Key{}) || (!e.blind && !since.IsZero() && now.Sub(since) >= endAfter) {
		delete(e.ended, x.Address)
		return false
	}
	if since.IsZero() {
		e.ended[x.Address] = now
		e.ends.add(x.Address, now)
	}
	e.place(x, "")
	x.duty = nil
	return true
}

// contests tells whether this node, which owns, has reason to insist against a claim that beats its own.
func (e *Elector) contests(x *vip, heard lb.Claim, now time.Time) bool {
	if heard.Epoch <= x.duty.claim.Epoch || !e.candidate(e.self, x) || e.yields(now) {
		return false // of one epoch: it was taken over from a third node
	}
	switch heard.Standing {
	case lb.Pending:
		return e.steady(now)
	case lb.Provisional:
		return x.duty.claim.Standing != lb.Provisional || e.steady(now)
	}
	return false
}

// standing is how sure this node is when it takes over from another, or from nobody.
func (e *Elector) standing(from string) lb.Standing {
	switch n := e.nodes[from]; {
	case e.outvoted:
		return lb.Provisional
	case n != nil && n.lost:
		return lb.Pending
	}
	return lb.Confirmed
}

// cause is why this node takes over from another, or from nobody.
func (e *Elector) cause(from string) Cause {
	switch n := e.nodes[from]; {
	case from == "":
		return Elected
	case n.present():
		return Moved
	case n != nil && n.lost:
		return Lost
	}
	return Left
}

// take makes this node the owner.
func (e *Elector) take(x *vip, standing lb.Standing, now time.Time) {
	x.claim = lb.Claim{Address: x.Address, Node: e.self, Epoch: x.claim.Epoch + 1, Standing: standing}
	if standing == lb.Pending {
		e.pending.add(x.Address, now)
	}
	x.wait = nil
	e.place(x, e.self)
	e.answer(x)
	x.duty.took = now
}

// release gives up what this node owns, for all to know.
func (e *Elector) release(x *vip, of lb.Key) {
	x.claim = lb.Claim{Address: x.Address, Epoch: x.claim.Epoch + 1, Of: of}
	x.wait, x.duty = nil, nil
	e.place(x, "")
}

// answer makes this node answer for what it owns.
func (e *Elector) answer(x *vip) {
	d := &duty{interfaces: names(e.via(e.self, e.nodes[e.self], x)), bind: e.bind(x), service: x.Service, claim: x.claim}
	if x.owns() {
		d.inherits = x.duty.inherits
	}
	if x.owns() && x.duty.claim == x.claim {
		d.took = x.duty.took
	}
	x.duty = d
}

// bind tells whether one of the scopes that let this node own an address wants it on the interfaces.
func (e *Elector) bind(x *vip) bool {
	return slices.ContainsFunc(x.Scopes, func(scope string) bool {
		s := e.scopes[scope]
		return s != nil && s.Bind && s.Nodes[e.self] && s.Reaches(x.Address, e.nodes[e.self].interfaces)
	})
}

// standIn makes this node answer in place of a resting owner if it is the one to do so. Speakers that see
// different nodes may choose several: they all say the owner's hardware address. It is that of one segment,
// if possible the one of the address's subnet: where the owner has another one, or may have, this node is silent, as
// clients that are told nothing go on with what they know.
func (e *Elector) standIn(x *vip, owner string) bool {
	if x.asks(x.claim) || e.substitute(x) != e.self {
		return false
	}
	d := &duty{standsFor: owner, service: x.Service}
	mine, theirs := e.via(e.self, e.nodes[e.self], x), e.via(owner, e.nodes[owner], x)
	for _, i := range mine {
		o := opposite(i, mine, theirs)
		if o == nil || len(o.HardwareAddr) == 0 || d.mac != "" && d.mac != string(o.HardwareAddr) {
			continue
		}
		d.mac, d.interfaces = string(o.HardwareAddr), append(d.interfaces, i.Name)
	}
	if d.mac == "" {
		return false
	}
	slices.Sort(d.interfaces)
	x.duty = d
	return true
}
