package layer2

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

const (
	// inheritPause is the time between two looks at who has an inherited address: by then a node to which it was
	// offered has made its claim.
	inheritPause = time.Second
	// inheritPatience is how long an address is left to a host that is no speaker's. It may be a node whose speaker is
	// still to start, as its image is being pulled; through it clients are served.
	inheritPatience = 5 * time.Minute
	// inheritOffers is how often an address is offered to a node that has it. One that does not take it may not.
	inheritOffers = 3
)

// inheritance is an address that this node has claimed, and does not answer for before it knows who does.
type inheritance struct {
	since  time.Time
	offers int
}

// asks tells whether this node, once it has an address after a claim, has to ask who answers for it: nobody ever did, as
// far as is known, or the claimant was asking still. Whoever comes after that one has to: another owner, or its own
// speaker after a restart.
func (x *vip) asks(after lb.Claim) bool {
	return x.Inherited && !x.owns() && (after.Node == "" || after.Asking)
}

// ask has this node ask who has an address that it has just claimed.
func (x *vip) ask() {
	x.duty.inherits, x.claim.Asking = true, true
	x.duty.claim = x.claim
}

// Answers takes note that this node answers from now on for an address that it had to ask for.
func (e *Elector) Answers(address netip.Addr) {
	if x := e.vips[address]; x != nil && x.owns() && x.duty.inherits {
		x.duty.inherits = false
		e.answered = append(e.answered, address)
	}
}

// answers makes the claims to what this node has begun to answer for.
func (e *Elector) answers() (claims []lb.Claim) {
	for _, a := range e.answered {
		if x := e.vips[a]; x != nil && x.owns() && !x.duty.inherits && x.claim == x.duty.claim && x.claim.Asking {
			x.claim.Asking = false
			x.duty.claim = x.claim
			claims = append(claims, x.claim)
		}
	}
	e.answered = nil
	return claims
}

// Bequeath offers an address that this node has claimed, and never answered for, to the node that has it already. It
// tells whether that node may own it.
func (e *Elector) Bequeath(address netip.Addr, to string) bool {
	x := e.vips[address]
	if x == nil || !x.owns() || x.claim != x.duty.claim || !e.candidate(to, x) {
		return false
	}
	e.bequests = append(e.bequests, lb.Offer{Address: address, To: to, Epoch: x.claim.Epoch, Held: true})
	return true
}

// inherits tells whether this node takes an address because it has it already. Loads count for nothing here: every
// other owner would break the connections through this node.
func (e *Elector) inherits(x *vip, o lb.Offer) bool {
	c := x.claim
	return o.Held && !e.blind && !x.owns() && c.Node != "" && c.Epoch == o.Epoch && e.candidate(e.self, x)
}

// takesPart tells whether a node's speaker takes part.
func (e *Elector) takesPart(name string) bool {
	n := e.nodes[name]
	return n != nil && n.alive
}

// inherit says what to do about an address that another host has: to wait and look again, as it was offered to that
// node, or its speaker may still come; or else to answer for it all the same.
func (e *Engine) inherit(c *Change, s *Sighting, now time.Time) (wait bool) {
	i := e.conflicts.inheriting[c.Address]
	if i == nil {
		i = &inheritance{since: now}
		e.conflicts.inheriting[c.Address] = i
		e.Log.Info("another system answers for an address, leaving it on its node",
			"vip", c.Address, "service", c.Service, "hardware address", s.HardwareAddr, "interface", s.Interface)
	}
	node := e.byHardwareAddr[string(s.HardwareAddr)]
	if !e.elector.takesPart(node) {
		return now.Sub(i.since) < inheritPatience
	}
	i.offers++
	return i.offers <= inheritOffers && e.elector.Bequeath(c.Address, node)
}
