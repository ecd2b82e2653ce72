package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

const (
	// pace is the time between two addresses that a node gives away.
	pace = time.Second
	// offerPatience is how long an offer stands: by then the claim of who took it has been heard.
	offerPatience = 3 * time.Second
	// misses is how many offers in a row a node may leave until it is offered nothing more: it has its reasons.
	misses = 5
	// linger is how long a node that finds nothing to give looks on: others may give it too much meanwhile.
	linger = 5 * time.Second
)

// balance is a run in which this node gives addresses away. It moves nothing itself: a receiver takes what it
// is offered if that is an improvement by its own book, and as each node alone adds to its own load, no
// number of givers fills it beyond that. Every move leads to a higher weight or, at the same weight, from a
// node with at least two addresses more, so the run ends.
type balance struct {
	scopes map[string]bool   // that are balanced; empty for no run
	next   time.Time         // when to offer the next address
	idle   time.Time         // since when there was none; zero while there is
	open   lb.Offer          // not taken yet; no address for none
	until  time.Time         // when it is given up
	missed map[string]int    // offers in a row that a node did not take
	left   map[lb.Offer]bool // offers that were not taken
	list   []netip.Addr      // addresses to look at, in their own order
}

// Rebalance has this node give away what others are better owners of, of the addresses that a scope covers:
// one address each second, until nothing improves.
func (e *Elector) Rebalance(scope string, now time.Time) {
	b := &e.balance
	if len(b.scopes) == 0 {
		b.scopes, b.next = map[string]bool{}, now
	}
	b.scopes[scope] = true
	b.idle, b.missed, b.left, b.list = time.Time{}, map[string]int{}, map[lb.Offer]bool{}, nil
}

// Offered takes note of another's offer. It is taken or left when the address is decided.
func (e *Elector) Offered(o lb.Offer) {
	if e.vips[o.Address] != nil && o.To == e.self {
		e.offers[o.Address] = o
		e.touch(o.Address)
	}
}

// accepts tells whether this node takes what it is offered. Its own load is exact, whatever the giver thought.
func (e *Elector) accepts(x *vip, o lb.Offer, now time.Time) bool {
	c := x.claim
	if e.blind || e.outvoted || x.owns() || c.Node == "" || c.Epoch != o.Epoch || c.Standing != lb.Confirmed || c.Asking || !e.candidate(e.self, x) {
		return false
	}
	if !slices.Contains(e.receivers(x, c.Node, now, true), e.self) {
		return false
	}
	e.balance.idle = time.Time{} // it may be this node's turn again
	return true
}

// receivers returns the nodes that an address had better be moved to: by the giver's choice, or all whose
// taking it is no harm.
func (e *Elector) receivers(x *vip, giver string, now time.Time, all bool) []string {
	tier := e.best(x, now)
	if len(tier) == 0 {
		return nil
	}
	from := slices.IndexFunc(tier, func(r contender) bool { return r.node == giver })
	if from < 0 {
		// The giver is of a lower weight, or suppressed, or may own the address no longer.
		g := e.nodes[giver]
		if weight, ok := e.fit(giver, g, x); !ok || weight >= tier[0].weight {
			return nil
		}
		if all {
			return below(tier, bound(tier)) // many give at once
		}
		return below(tier, mean(tier, 1))
	}
	// At best every node of the tier owns the mean, rounded down or up. Who is above gives to who is below; what
	// is in between only serves to even out the rest. No address visits a third node on its way there.
	tier[from].load++ // this address is its own still
	floor, ceil := mean(tier, 1-len(tier)), mean(tier, 0)
	switch poor := below(tier, floor); {
	case tier[from].load > floor && len(poor) > 0:
		return poor
	case tier[from].load > ceil:
		return below(tier, ceil)
	}
	return nil
}

// mean returns the mean load of a tier with more addresses added, rounded up.
func mean(tier []contender, more int) int {
	for i := range tier {
		more += tier[i].load
	}
	return (more + len(tier) - 1) / len(tier)
}

// below returns the nodes of a tier that own less than some addresses.
func below(tier []contender, load int) (list []string) {
	for i := range tier {
		if tier[i].load < load {
			list = append(list, tier[i].node)
		}
	}
	return list
}

// give returns the offer that is due, if there is one.
func (e *Elector) give(now time.Time) (lb.Offer, bool) {
	b := &e.balance
	if len(b.scopes) == 0 {
		return lb.Offer{}, false
	}
	if b.open.Address.IsValid() {
		x := e.vips[b.open.Address]
		if stands := x != nil && x.owns() && x.claim == x.duty.claim && x.claim.Epoch == b.open.Epoch; stands {
			if now.Before(b.until) {
				return lb.Offer{}, false
			}
			b.missed[b.open.To]++
			b.left[b.open] = true
		} else {
			delete(b.missed, b.open.To)
		}
		b.open = lb.Offer{}
	}
	if now.Before(b.next) {
		return lb.Offer{}, false
	}
	if e.outvoted || e.blind {
		b.next = now.Add(pace) // what it knows of the others is old
		return lb.Offer{}, false
	}
	o, ok := e.offer(now)
	switch {
	case !ok && b.idle.IsZero():
		b.idle = now
	case !ok && now.Sub(b.idle) >= linger:
		e.balance = balance{}
		return lb.Offer{}, false
	}
	b.next = now.Add(pace)
	if !ok {
		return lb.Offer{}, false
	}
	b.open, b.until, b.idle = o, now.Add(offerPatience), time.Time{}
	return o, true
}

// offer returns the next offer worth making.
func (e *Elector) offer(now time.Time) (o lb.Offer, ok bool) {
	b := &e.balance
	for fresh := false; ; {
		if len(b.list) == 0 {
			if fresh && len(b.left) == 0 {
				return lb.Offer{}, false // all were looked at just now
			}
			if fresh {
				clear(b.left) // what was left once may be taken now: who never takes has missed too often soon
			}
			fresh = true
			b.list = slices.SortedFunc(maps.Keys(e.owned[e.self]), netip.Addr.Compare)
		}
		for len(b.list) > 0 {
			x := e.vips[b.list[0]]
			b.list = b.list[1:]
			if o, ok := e.offerOf(x, now); ok {
				return o, true
			}
		}
	}
}

// offerOf returns the offer worth making of an address: to the first by rank.
func (e *Elector) offerOf(x *vip, now time.Time) (o lb.Offer, ok bool) {
	b := &e.balance
	if x == nil || !x.owns() || x.claim != x.duty.claim || x.claim.Standing != lb.Confirmed || x.duty.inherits ||
		!slices.ContainsFunc(x.Scopes, func(s string) bool { return b.scopes[s] }) {
		return lb.Offer{}, false
	}
	for _, to := range e.receivers(x, e.self, now, false) {
		c := lb.Offer{Address: x.Address, To: to, Epoch: x.claim.Epoch}
		if b.missed[to] < misses && !b.left[c] && (o.To == "" || lb.Outranks(x.Address, to, o.To)) {
			o = c
		}
	}
	return o, o.To != ""
}

// gave tells whether a claim takes what this node has offered.
func (b *balance) gave(c lb.Claim) bool {
	return b.open.Address == c.Address && b.open.To == c.Node && c.Epoch == b.open.Epoch+1
}

// wake returns when the run goes on; zero if there is none.
func (b *balance) wake() time.Time {
	switch {
	case len(b.scopes) == 0:
		return time.Time{}
	case b.open.Address.IsValid():
		return b.until
	}
	return b.next
}
