package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/tidwall/btree"
)

// Allocator holds pools, assignments, retained addresses and who waits. It is owned by one goroutine.
type Allocator struct {
	pools    []*pool // in the order of choice
	byName   map[string]*pool
	ranges   rangeMap[*pool] // which pool an address is of
	services map[lb.Key]*service

	// Each is ordered by address, so that a pool that changes finds what it means for whom.
	taken   *btree.BTreeG[*holding]
	unowned *btree.BTreeG[unowned]
	rings   map[ringKey]*ring

	retained map[netip.Addr]*retention
	expiry   *btree.BTreeG[*retention] // by time
	awaited  map[lb.Key][]*retention   // by the Service that may return

	queues   map[want]*queue
	waiting  *queue // all who wait for anything
	arrivals uint64

	dirty map[string]struct{}
}

// service is what the allocator knows of a Service.
type service struct {
	held    []held // in the order in which it got them
	sharing lb.Sharing
	// former are addresses that it lost with a pool; they are its again if a pool holds them in time.
	former []netip.Addr
	// since is its place among those who wait, 0 if it does not.
	since uint64
	waits []want
}

// held is an address that a Service has.
type held struct {
	addr netip.Addr
	// asked is the pool that the Service asked for when it got the address. An address that edits of pools
	// carried into another pool, or that was adopted, answers to it still: only another request moves it.
	asked string
}

// New returns an allocator without pools.
func New() *Allocator {
	return &Allocator{
		byName:   map[string]*pool{},
		ranges:   newRangeMap[*pool](),
		services: map[lb.Key]*service{},
		taken:    newTree(func(x, y *holding) bool { return x.addr.Less(y.addr) }),
		unowned:  newTree(unowned.less),
		rings:    map[ringKey]*ring{},
		retained: map[netip.Addr]*retention{},
		expiry:   newTree((*retention).sooner),
		awaited:  map[lb.Key][]*retention{},
		queues:   map[want]*queue{},
		waiting:  newQueue(),
		dirty:    map[string]struct{}{},
	}
}

// newTree makes an ordered set. One goroutine owns the allocator: the tree's own lock would only cost.
func newTree[T any](less func(x, y T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// Request is what a Service asks for.
type Request struct {
	Service lb.Key
	// Families in the order in which the Service lists them; its addresses come in the same order.
	Families []lb.Family
	Policy   lb.FamilyPolicy
	// Addresses that the Service insists on: it has as many of a family as it lists, and one where it lists none.
	Addresses []netip.Addr
	// Pool that the addresses are to come from; empty for any.
	Pool string
	// Sharing says whom it may share its addresses with.
	Sharing lb.Sharing
	// KeyUnknown is true if the key of Sharing, which is empty then, cannot be read: on Hold, the Service keeps to the one
	// that it had, and where it adopts what it was given, to the one of who has that too, if it can share with it.
	KeyUnknown bool
	// Labels of the Service and of its namespace, which pools select by.
	Labels, NamespaceLabels map[string]string
	// Hold has the Service keep what it has, or adopt what its status shows, and gives it nothing new: for a
	// request that cannot be followed, and while others have still to be adopted.
	Hold bool
	// Current is what the Service's status shows. It counts when the allocator does not know the Service
	// yet: after a restart, the status is the record of what was assigned.
	Current []netip.Addr
	// Asked is the pool that the Service asked for when it got Current: another pool asked for now is another request,
	// and an address that pools carried over since then stays. It counts where Current does.
	Asked string
	// Given is true if Current was given to the Service from pools: an address of it that no pool holds is lost, as it
	// would have been had somebody decided when its pool went. It counts where Current does.
	Given bool
}

// Assignment is an address and the pool that it is of; without a pool, the Service's status shows the
// address and no pool holds it.
type Assignment struct {
	Address netip.Addr
	Pool    string
}

// Reason is why an address was refused, in the form of a condition's reason.
type Reason string

const (
	ReasonNoPool            Reason = "NoPool"            // there is no pool, or none of that name
	ReasonExhausted         Reason = "PoolExhausted"     // no pool that may be used has a free address of the family
	ReasonQuotaExceeded     Reason = "QuotaExceeded"     // the namespace has all that it may have of a pool
	ReasonDisabled          Reason = "PoolDisabled"      // the pool gives nothing new
	ReasonOnRequestOnly     Reason = "OnRequestOnly"     // the pool serves only those who ask for it
	ReasonNotSelected       Reason = "NotSelected"       // the pool is for other namespaces or Services
	ReasonNotRequested      Reason = "NotRequested"      // the Service asks for another pool or address; of verdicts only
	ReasonNoAddressOfFamily Reason = "NoAddressOfFamily" // the pool has no address of the family
	ReasonNotInPool         Reason = "AddressNotInPool"  // the address is in no pool, or not in the one asked for
	ReasonInUse             Reason = "AddressInUse"      // another Service has the address, and it cannot be shared
	ReasonWithheld          Reason = "AddressWithheld"   // the pool has the address and does not give it out
	ReasonRetained          Reason = "AddressRetained"   // the address waits for another Service
	ReasonNotAdopted        Reason = "NotAdopted"        // the status shows an address that no pool holds
	ReasonLost              Reason = "AddressLost"       // no pool holds an address any more that was given; of NotAdopted only
	ReasonInvalidRequest    Reason = "InvalidRequest"    // the request contradicts itself
)

// Refusal says, in words for the Service's owner, what could not be given and why.
type Refusal struct {
	Reason  Reason
	Message string
}

// NotAdopted is an address in a Service's status that cannot be its own, and why.
type NotAdopted struct {
	Address netip.Addr
	Refusal
}

// Decision is what a Service has from now on.
type Decision struct {
	// Assignments in the order of the request's families.
	Assignments []Assignment
	// Refusals for what was asked and not given. A Service may have both: what it had it keeps.
	Refusals []Refusal
	// Satisfied is true if the Service has what it asked for: of PreferDualStack, one family is enough.
	Satisfied bool
	// Asked is the pool that the Service asked for when it got what it has: the Request.Asked of whoever decides next.
	Asked string
	// NotAdopted are the addresses in the request's Current that did not become the Service's.
	NotAdopted []NotAdopted
	// LeftShare are the addresses that the Service gave up since it may not share them any more, and why.
	LeftShare []NotAdopted
	// GivenUp are the retained addresses of other Services that it was given, since all else was taken.
	GivenUp []Retained
	// Again are the Services whose wait may be over by this decision: decide them again, in this order.
	Again []lb.Key
}

// place is one address that a Service is to have.
type place struct {
	family lb.Family
	asked  netip.Addr // invalid if any of the family will do
}

// pick is an address found for a place.
type pick struct {
	addr netip.Addr
	pool *pool
	// early is the retained address that is given up for it; nil as a rule.
	early *retention
}

// Decide gives a Service what it asks for, as far as that is possible; doc.go has the rules.
func (a *Allocator) Decide(r Request) Decision {
	var d Decision
	var woken wakes
	s := a.services[r.Service]
	if s == nil {
		s = &service{sharing: r.Sharing}
		a.services[r.Service] = s
		d.NotAdopted = a.adopt(r, s, &woken)
	} else {
		d.LeftShare = a.share(r, s, &woken)
	}
	places, invalid := placesOf(r)
	d.Refusals = invalid
	var waits []want
	for again := !r.Hold && len(invalid) == 0; again; {
		d.Refusals = nil
		x, had := a.fill(r, s, places, &d), s.held
		a.commit(r, s, x, &d, &woken)
		waits = x.waits
		again = len(d.Refusals) > 0 && !slices.EqualFunc(had, s.held, sameAddress) // what it gives back may be what it lacks
	}
	for _, h := range s.held {
		name, _ := a.PoolOf(h.addr)
		d.Assignments = append(d.Assignments, Assignment{h.addr, name})
	}
	sortByFamily(d.Assignments, r.Families)
	d.Asked = s.asked(r.Pool)

	enough := len(d.Refusals) == 0 && len(d.Assignments) > 0
	if r.Policy == lb.PreferDualStack && len(r.Addresses) == 0 { // one place a family, of which one is enough
		enough = len(d.Refusals) < len(places)
	}
	d.Satisfied = !r.Hold && len(invalid) == 0 && enough
	a.wait(r.Service, s, len(d.Refusals) > 0 && !r.Hold && len(invalid) == 0, waits, &woken)
	d.Again = woken.except(r.Service)
	return d
}

// asked returns the pool that a Service asked for when it got what it has. Where that differs between addresses, since
// only one could be replaced, it is not the pool that it asks for now: what is left to replace is the one that matters.
func (s *service) asked(now string) (pool string) {
	for _, h := range s.held {
		if pool = h.asked; pool != now {
			break
		}
	}
	return pool
}

func sameAddress(x, y held) bool { return x.addr == y.addr }

// placesOf returns what a Service is to have, and refuses what contradicts itself.
func placesOf(r Request) (places []place, refused []Refusal) {
	for _, addr := range r.Addresses {
		if f := lb.FamilyOf(addr); !slices.Contains(r.Families, f) {
			refused = append(refused, Refusal{ReasonInvalidRequest, fmt.Sprintf(
				"%s is asked for, but spec.ipFamilies has no %s", addr, f)})
		}
	}
	for _, f := range r.Families {
		any := true
		for i, addr := range r.Addresses {
			if lb.FamilyOf(addr) == f && !slices.Contains(r.Addresses[:i], addr) {
				places, any = append(places, place{f, addr}), false
			}
		}
		if any {
			places = append(places, place{family: f})
		}
	}
	return places, refused
}

// filling is what a Service is to have, before it has it.
type filling struct {
	has   []held // what it keeps and what it gets
	picks []pick // what it gets
	waits []want
	// settled are the families of which it has all that it asks for.
	settled []lb.Family
}

// fill finds an address for each place. It changes nothing, and adds refusals to d.
func (a *Allocator) fill(r Request, s *service, places []place, d *Decision) (out filling) {
	type family struct {
		filled, extra []held // by place, and beyond
		open          []int  // the places that are not filled by what it has
		new           []int  // those of them that are filled with something new
		shown         int    // places with an address that no pool holds
	}
	// What works goes before what does not, where not all can be kept.
	keep := func(x *family, unfilled int) (kept, back []held) {
		works := func(h held) bool { return a.owned(h.addr) }
		n := unfilled
		for _, first := range []bool{true, false} {
			for _, h := range x.extra {
				if works(h) != first {
					continue
				} else if n > 0 {
					kept = append(kept, h)
					n--
				} else {
					back = append(back, h)
				}
			}
		}
		slices.SortFunc(kept, func(y, z held) int { return slices.Index(x.extra, y) - slices.Index(x.extra, z) })
		return kept, back
	}
	var families [2]family
	var leaves []held // of families that it does not list any more
	for _, h := range s.held {
		if f := lb.FamilyOf(h.addr); !slices.Contains(r.Families, f) {
			leaves = append(leaves, h)
		} else {
			families[f].extra = append(families[f].extra, h)
		}
	}
	for _, f := range r.Families {
		x := &families[f]
		x.filled = make([]held, len(places))
		for n, p := range places {
			if p.family != f {
				continue
			}
			i := slices.IndexFunc(x.extra, func(h held) bool { return a.fits(h, p, r.Pool) })
			if i < 0 {
				x.open = append(x.open, n)
				continue
			}
			x.filled[n] = held{x.extra[i].addr, r.Pool}
			x.extra = slices.Delete(x.extra, i, i+1)
		}
		for _, n := range x.open {
			if h, ok := a.shown(x.extra, places[n], r.Pool); ok {
				d.Refusals = append(d.Refusals, Refusal{ReasonNotAdopted, fmt.Sprintf("the status has %s, which no pool holds: it is neither announced "+
					"nor replaced; add it to a pool, or ask for another address", h.addr)})
				x.filled[n], x.shown = h, x.shown+1
				x.extra = slices.DeleteFunc(x.extra, func(y held) bool { return y.addr == h.addr })
			}
		}
		x.open = slices.DeleteFunc(x.open, func(n int) bool { return x.filled[n].addr.IsValid() })
	}
	for _, f := range r.Families {
		x := &families[f]
		for _, n := range x.open {
			// What the Service gives back if this place is filled, and no other, counts for no quota.
			found := search{a: a, r: r, s: s, picked: out.picks, replaced: slices.Clone(leaves)}
			for _, g := range r.Families {
				y := &families[g]
				unfilled := len(y.open) - len(y.new)
				if g == f {
					unfilled--
				}
				_, back := keep(y, unfilled)
				found.replaced = append(found.replaced, back...)
			}
			got, refusal, wait := found.find(places[n])
			if refusal != nil {
				d.Refusals, out.waits = append(d.Refusals, *refusal), append(out.waits, wait...)
				continue
			}
			out.picks = append(out.picks, got)
			x.filled[n], x.new = held{got.addr, r.Pool}, append(x.new, n)
		}
	}
	nothingNew := r.Policy == lb.RequireDualStack && len(d.Refusals) > 0
	if nothingNew {
		out.picks = nil
	}
	for _, f := range r.Families {
		x := families[f]
		if nothingNew { // what it had before stays, so that no traffic is lost
			for _, n := range x.new {
				x.filled[n] = held{}
			}
			x.new = nil
		}
		for _, h := range x.filled {
			if h.addr.IsValid() {
				out.has = append(out.has, h)
			}
		}
		unfilled := len(x.open) - len(x.new)
		kept, _ := keep(&x, unfilled)
		out.has = append(out.has, kept...)
		if unfilled+x.shown == 0 && !nothingNew {
			out.settled = append(out.settled, f)
		}
	}
	return out
}

// fits tells whether an address that a Service has fills a place.
func (a *Allocator) fits(h held, p place, pool string) bool {
	if p.asked.IsValid() && p.asked != h.addr {
		return false
	}
	e, ok := a.ranges.at(h.addr)
	return ok && (pool == "" || pool == h.asked || pool == e.value.Name)
}

// shown returns the address of a Service's status, of those that no pool holds, that stands in a place.
func (a *Allocator) shown(extra []held, p place, pool string) (held, bool) {
	i := slices.IndexFunc(extra, func(h held) bool { return !p.asked.IsValid() && pool == h.asked && !a.owned(h.addr) })
	if i < 0 {
		return held{}, false
	}
	return extra[i], true
}

// commit makes what was found the Service's.
func (a *Allocator) commit(r Request, s *service, x filling, d *Decision, woken *wakes) {
	for _, p := range x.picks {
		if p.early != nil {
			d.GivenUp = append(d.GivenUp, p.early.Retained)
		}
		if ret := a.retained[p.addr]; ret != nil {
			a.endRetention(ret)
		}
		a.attach(p.addr, r.Service, s.sharing, p.pool)
		a.wakeSharers(p.addr, woken)
	}
	old := s.held
	s.held = x.has
	for _, h := range old {
		if !slices.ContainsFunc(s.held, func(k held) bool { return k.addr == h.addr }) {
			a.drop(h.addr, r.Service, woken)
		}
	}
	for _, f := range x.settled {
		a.forgo(r.Service, s, f, woken)
	}
}

// forgo ends what waits for a Service that has what it asks for of a family without it.
func (a *Allocator) forgo(key lb.Key, s *service, f lb.Family, woken *wakes) {
	s.former = slices.DeleteFunc(s.former, func(addr netip.Addr) bool { return lb.FamilyOf(addr) == f })
	for _, ret := range slices.Clone(a.awaited[key]) {
		if lb.FamilyOf(ret.Address) == f {
			a.endRetention(ret)
			a.giveBack(ret.Address, woken)
		}
	}
}

// drop takes an address from a Service, for good.
func (a *Allocator) drop(addr netip.Addr, key lb.Key, woken *wakes) {
	if a.detach(addr, key) {
		a.giveBack(addr, woken)
	} else {
		a.wakeSharers(addr, woken)
	}
}

// Release takes back all that a Service has, when it is gone or no longer ours. Addresses of a pool with
// retention wait for it from now on. It returns the Services whose wait may be over.
func (a *Allocator) Release(key lb.Key, now time.Time) (again []lb.Key) {
	return a.remove(key, func(p *pool) (until time.Time, waits bool) {
		return now.Add(p.Retention), p.Retention > 0
	})
}

// Forget takes back all that a Service has, and has nothing wait for it: its status is to be read anew.
func (a *Allocator) Forget(key lb.Key) (again []lb.Key) {
	return a.remove(key, func(*pool) (until time.Time, waits bool) { return until, false })
}

func (a *Allocator) remove(key lb.Key, retains func(*pool) (time.Time, bool)) (again []lb.Key) {
	s := a.services[key]
	if s == nil {
		return nil
	}
	var woken wakes
	a.wait(key, s, false, nil, &woken)
	for _, h := range s.held {
		if !a.detach(h.addr, key) {
			a.wakeSharers(h.addr, &woken)
			continue
		}
		if e, owned := a.ranges.at(h.addr); owned && !e.value.withholds(h.addr) {
			if until, waits := retains(e.value); waits {
				a.retain(Retained{h.addr, key, e.value.Name, until}, e.value)
				a.wakeFor(h.addr, &woken) // who waits at a pool that is exhausted does not wait for this
				continue
			}
		}
		a.giveBack(h.addr, &woken)
	}
	delete(a.services, key)
	return woken.except(key)
}

// adopt makes the addresses of a Service's status its own, of those that no other Service has: as many as it
// has places. Those that it insists on go first, then those of a pool: what works is not lost for what an
// editor put before it. What it was given and no pool holds any more is lost, as in rehome; but not while there is no
// pool at all: then they have still to come, as in an installation that is made anew, and in a migration.
func (a *Allocator) adopt(r Request, s *service, woken *wakes) (not []NotAdopted) {
	if r.KeyUnknown && r.Given {
		r.Sharing = a.sharingAsBefore(r)
		s.sharing = r.Sharing
	}
	places, _ := placesOf(r)
	var room [2]int
	for _, p := range places {
		room[p.family]++
	}
	refuse := func(addr netip.Addr, reason Reason, format string, args ...any) {
		not = append(not, NotAdopted{addr, Refusal{reason, fmt.Sprintf(format, args...)}})
	}
	var byWorth [3][]netip.Addr
	for i, addr := range r.Current {
		clash := a.clash(addr, r.Service, r.Sharing)
		switch f := lb.FamilyOf(addr); {
		case slices.Contains(r.Current[:i], addr):
		case !slices.Contains(r.Families, f):
			refuse(addr, ReasonInvalidRequest, "%s is of a family that the Service does not have", addr)
		case r.Given && len(a.pools) > 0 && !a.owned(addr):
			refuse(addr, ReasonLost, "no pool holds %s any more", addr)
			s.former = append(s.former, addr)
		case clash != "":
			refuse(addr, ReasonInUse, "%s", clash)
		case slices.Contains(r.Addresses, addr):
			byWorth[0] = append(byWorth[0], addr)
		case a.owned(addr):
			byWorth[1] = append(byWorth[1], addr)
		default:
			byWorth[2] = append(byWorth[2], addr)
		}
	}
	var surplus []netip.Addr
	for _, addr := range slices.Concat(byWorth[:]...) {
		f := lb.FamilyOf(addr)
		if room[f]--; room[f] < 0 {
			refuse(addr, ReasonInvalidRequest, "%s is one more %s address than the Service asks for", addr, f)
			surplus = append(surplus, addr)
		}
	}
	left := slices.Concat(byWorth[:]...)
	for _, addr := range r.Current { // in the order of the status, which stays as it is
		i := slices.Index(left, addr)
		if i < 0 || slices.Contains(surplus, addr) {
			continue
		}
		left = slices.Delete(left, i, i+1)
		s.held = append(s.held, held{addr, r.Asked})
		e, ok := a.ranges.at(addr)
		if !ok {
			a.arrivals++
			a.unowned.Set(unowned{addr, a.arrivals, r.Service})
			continue
		}
		if ret := a.retained[addr]; ret != nil {
			a.endRetention(ret)
		}
		a.attach(addr, r.Service, r.Sharing, e.value)
		a.wakeSharers(addr, woken)
	}
	return not
}

// sortByFamily sorts assignments by the families' order, and leaves those of one family as they are.
func sortByFamily(list []Assignment, families []lb.Family) {
	place := func(x Assignment) int {
		if i := slices.Index(families, lb.FamilyOf(x.Address)); i >= 0 {
			return i
		}
		return len(families)
	}
	slices.SortStableFunc(list, func(x, y Assignment) int { return place(x) - place(y) })
}
