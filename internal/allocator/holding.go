package allocator

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/tidwall/btree"
	"go4.org/netipx"
)

// holding is an address of a pool and the Services that have it: one, or several that share it.
type holding struct {
	addr    netip.Addr
	pool    *pool
	holders []holder // in the order in which they got it
}

type holder struct {
	service lb.Key
	sharing lb.Sharing
}

// unowned is an address that a Service's status shows and no pool holds. Of several that show it, who was
// known first gets it when a pool does.
type unowned struct {
	addr    netip.Addr
	since   uint64
	service lb.Key
}

func (x unowned) less(y unowned) bool {
	if x.addr != y.addr {
		return x.addr.Less(y.addr)
	}
	return x.since < y.since
}

// ring are the addresses of one family that Services of one sharing key have.
type ring struct {
	addresses *btree.BTreeG[*holding] // by address
	// taken counts on how many of them a port is taken.
	taken map[lb.Port]int
}

type ringKey struct {
	key    string
	family lb.Family
}

// owned tells whether a pool holds an address.
func (a *Allocator) owned(addr netip.Addr) bool {
	_, ok := a.ranges.at(addr)
	return ok
}

func (a *Allocator) holding(addr netip.Addr) *holding {
	h, _ := a.taken.Get(&holding{addr: addr})
	return h
}

// Holders returns the Services that have an address, in the order in which they got it.
func (a *Allocator) Holders(addr netip.Addr) (keys []lb.Key) {
	if h := a.holding(addr); h != nil {
		for _, x := range h.holders {
			keys = append(keys, x.service)
		}
	}
	return keys
}

// attach gives an address of pool p to a Service, beside those who have it already.
func (a *Allocator) attach(addr netip.Addr, key lb.Key, sharing lb.Sharing, p *pool) {
	h := a.holding(addr)
	if h == nil {
		h = &holding{addr: addr, pool: p}
		a.taken.Set(h)
		p.take(addr)
	}
	if !h.of(key.Namespace) {
		p.byNamespace[key.Namespace]++
	}
	h.holders = append(h.holders, holder{key, sharing})
	a.intoRing(h, sharing)
	a.dirty[p.Name] = struct{}{}
}

// detach takes an address from a Service. It returns true if nobody has it any more: then it is neither
// taken nor free yet.
func (a *Allocator) detach(addr netip.Addr, key lb.Key) (last bool) {
	h := a.holding(addr)
	if h == nil {
		a.unowned.Ascend(unowned{addr: addr}, func(u unowned) bool {
			if u.addr == addr && u.service == key {
				a.unowned.Delete(u)
				return false
			}
			return u.addr == addr
		})
		return true
	}
	i := slices.IndexFunc(h.holders, func(x holder) bool { return x.service == key })
	a.outOfRing(h, h.holders[i].sharing)
	h.holders = slices.Delete(h.holders, i, i+1)
	if !h.of(key.Namespace) {
		h.pool.release(key.Namespace)
	}
	a.dirty[h.pool.Name] = struct{}{}
	if len(h.holders) > 0 {
		return false
	}
	a.taken.Delete(h)
	h.pool.leave(addr)
	return true
}

// of tells whether a Service of a namespace has the address.
func (h *holding) of(namespace string) bool {
	return slices.ContainsFunc(h.holders, func(x holder) bool { return x.service.Namespace == namespace })
}

// giveBack makes an address that nobody has any more free, if a pool gives it out.
func (a *Allocator) giveBack(addr netip.Addr, woken *wakes) {
	e, ok := a.ranges.at(addr)
	if !ok {
		return
	}
	p := e.value
	a.dirty[p.Name] = struct{}{}
	if !p.withholds(addr) {
		p.free.set(netipx.IPRangeFrom(addr, addr), struct{}{})
	}
	a.wakeFor(addr, woken)
}

// share follows a change of what a Service shares by. Addresses that it may not share any more with those
// who have them too it gives up.
func (a *Allocator) share(r Request, s *service, woken *wakes) (left []NotAdopted) {
	now := r.Sharing
	if r.Hold {
		// What cannot be followed changes nothing, but the ports are there whatever else is wrong.
		now.Key, now.Backends = s.sharing.Key, s.sharing.Backends
	}
	if equalSharing(s.sharing, now) {
		return nil
	}
	s.sharing = now
	for _, mine := range slices.Clone(s.held) {
		h := a.holding(mine.addr)
		if h == nil {
			continue
		}
		if clash := a.clash(mine.addr, r.Service, now); clash != "" {
			left = append(left, NotAdopted{mine.addr, Refusal{ReasonInUse, clash}})
			s.held = slices.DeleteFunc(s.held, func(x held) bool { return x.addr == mine.addr })
			a.drop(mine.addr, r.Service, woken)
			continue
		}
		i := slices.IndexFunc(h.holders, func(x holder) bool { return x.service == r.Service })
		a.outOfRing(h, h.holders[i].sharing)
		h.holders[i].sharing = now
		a.intoRing(h, now)
		a.wakeSharers(mine.addr, woken)
	}
	return left
}

// sharingAsBefore returns what a Service shared by when it was given what it shows, as far as those tell who have that too.
func (a *Allocator) sharingAsBefore(r Request) lb.Sharing {
	for _, addr := range r.Current {
		if h := a.holding(addr); h != nil {
			then := r.Sharing
			then.Key, then.Backends = h.holders[0].sharing.Key, h.holders[0].sharing.Backends
			if a.clash(addr, r.Service, then) == "" {
				return then
			}
		}
	}
	return r.Sharing
}

func equalSharing(x, y lb.Sharing) bool {
	return x.Key == y.Key && x.Backends == y.Backends && slices.Equal(x.Ports, y.Ports)
}

// clash says why a Service cannot have an address beside those who have it; "" if it can.
func (a *Allocator) clash(addr netip.Addr, key lb.Key, sharing lb.Sharing) string {
	h := a.holding(addr)
	if h == nil {
		return ""
	}
	for _, x := range h.holders {
		if x.service == key {
			continue
		}
		use := fmt.Sprintf("%s is in use by Service %s", addr, x.service)
		switch {
		case sharing.Key == "":
			return use
		case x.sharing.Key == "":
			return use + ", which shares with nobody"
		case x.sharing.Key != sharing.Key:
			return use + ", whose sharing key is another"
		}
		if i := slices.IndexFunc(sharing.Ports, func(p lb.Port) bool { return slices.Contains(x.sharing.Ports, p) }); i >= 0 {
			return fmt.Sprintf("%s on port %s", use, sharing.Ports[i])
		}
		if x.sharing.Backends != sharing.Backends {
			return use + ", whose externalTrafficPolicy or, with Local, selector differs"
		}
	}
	return ""
}

// intoRing notes that an address has a Service of a sharing key.
func (a *Allocator) intoRing(h *holding, sharing lb.Sharing) {
	if sharing.Key == "" {
		return
	}
	k := ringKey{sharing.Key, lb.FamilyOf(h.addr)}
	x := a.rings[k]
	if x == nil {
		x = &ring{newTree(func(x, y *holding) bool { return x.addr.Less(y.addr) }), map[lb.Port]int{}}
		a.rings[k] = x
	}
	x.addresses.Set(h)
	for _, p := range sharing.Ports {
		x.taken[p]++
	}
}

// outOfRing is the inverse of intoRing, while the Service is still among the holders.
func (a *Allocator) outOfRing(h *holding, sharing lb.Sharing) {
	k := ringKey{sharing.Key, lb.FamilyOf(h.addr)}
	x := a.rings[k]
	if x == nil {
		return
	}
	for _, p := range sharing.Ports {
		if x.taken[p]--; x.taken[p] == 0 {
			delete(x.taken, p)
		}
	}
	if len(h.holders) == 1 {
		x.addresses.Delete(h)
	}
	if x.addresses.Len() == 0 {
		delete(a.rings, k)
	}
}
