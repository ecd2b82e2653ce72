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
	// Labels of the Service and of its namespace, which pools select by.
	Labels, NamespaceLabels map[string]string
	// Hold has the Service keep what it has, or adopt what its status shows, and gives it nothing new: for a
	// request that cannot be followed, and while others have still to be adopted.
	Hold bool
	// Current is what the Service's status shows. It counts when the allocator does not know the Service
	// yet: after a restart, the status is the record of what was assigned.
	Current []netip.Addr
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
	s := a.services[r.Service]
	known := s != nil
	if !known {
		s = &service{sharing: r.Sharing}
		a.services[r.Service] = s
		d.NotAdopted = a.adopt(r, s)
	}
	var woken wakes
	if known {
		d.LeftShare = a.share(r, s, &woken)
	}
	places, invalid := placesOf(r)
	d.Refusals = invalid
	var waits []want
	if !r.Hold && len(invalid) == 0 {
		x := a.fill(r, s, places, &d)
		a.commit(r, s, x, &d, &woken)
		waits = x.waits
	}
	for _, h := range s.held {
		name, _ := a.PoolOf(h.addr)
		d.Assignments = append(d.Assignments, Assignment{h.addr, name})
	}
	sortByFamily(d.Assignments, r.Families)

	enough := len(d.Refusals) == 0 && len(d.Assignments) > 0
	if r.Policy == lb.PreferDualStack && len(r.Addresses) == 0 && r.Pool == "" {
		enough = slices.ContainsFunc(d.Assignments, func(x Assignment) bool { return x.Pool != "" })
	}
	d.Satisfied = !r.Hold && enough
	a.wait(r.Service, s, len(d.Refusals) > 0 && !r.Hold && len(invalid) == 0, waits, &woken)
	d.Again = woken.except(r.Service)
	return d
}

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
		new           []int  // the places that are filled with something new
		refused       int
	}
	var families [2]family
	for _, f := range r.Families {
		x := &families[f]
		var open []int
		for _, h := range s.held {
			if lb.FamilyOf(h.addr) == f {
				x.extra = append(x.extra, h)
			}
		}
		x.filled = make([]held, len(places))
		for n, p := range places {
			if p.family != f {
				continue
			}
			i := slices.IndexFunc(x.extra, func(h held) bool { return a.fits(h, p, r.Pool) })
			if i < 0 {
				open = append(open, n)
				continue
			}
			x.filled[n] = held{x.extra[i].addr, r.Pool}
			x.extra = slices.Delete(x.extra, i, i+1)
		}
		for _, n := range open {
			p := places[n]
			refuse := func(refusal Refusal, wait ...want) {
				d.Refusals, out.waits = append(d.Refusals, refusal), append(out.waits, wait...)
				x.refused++
			}
			if h, ok := a.shown(x.extra, p, r.Pool); ok {
				refuse(Refusal{ReasonNotAdopted, fmt.Sprintf("the status has %s, which no pool holds: it is neither announced "+
					"nor replaced; add it to a pool, or ask for another address", h.addr)})
				continue
			}
			found := search{a: a, r: r, s: s, picked: out.picks}
			if len(open) == 1 { // what a single address replaces is given back, and so counts for no quota
				found.replaced = x.extra
			}
			got, refusal, wait := found.find(p)
			if refusal != nil {
				refuse(*refusal, wait...)
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
			x.refused = len(x.extra)
		}
		for _, h := range x.filled {
			if h.addr.IsValid() {
				out.has = append(out.has, h)
			}
		}
		out.has = append(out.has, x.extra[:min(x.refused, len(x.extra))]...)
		if x.refused == 0 && !nothingNew {
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

// adopt makes the addresses of a Service's status its own: as many as it has places, those that it insists
// on first, of those that no other Service has.
func (a *Allocator) adopt(r Request, s *service) (not []NotAdopted) {
	places, _ := placesOf(r)
	var room [2]int
	for _, p := range places {
		room[p.family]++
	}
	insists := func(addr netip.Addr) bool { return slices.Contains(r.Addresses, addr) }
	for _, addr := range r.Current {
		if insists(addr) {
			room[lb.FamilyOf(addr)]--
		}
	}
	for _, addr := range r.Current {
		f := lb.FamilyOf(addr)
		refuse := func(reason Reason, format string, args ...any) {
			not = append(not, NotAdopted{addr, Refusal{reason, fmt.Sprintf(format, args...)}})
		}
		switch {
		case slices.ContainsFunc(s.held, func(h held) bool { return h.addr == addr }):
			continue
		case !slices.Contains(r.Families, f):
			refuse(ReasonInvalidRequest, "%s is of a family that the Service does not have", addr)
			continue
		case insists(addr):
		case room[f] <= 0:
			refuse(ReasonInvalidRequest, "%s is one more %s address than the Service asks for", addr, f)
			continue
		default:
			room[f]--
		}
		e, ok := a.ranges.at(addr)
		if !ok {
			a.arrivals++
			a.unowned.Set(unowned{addr, a.arrivals, r.Service})
			s.held = append(s.held, held{addr, r.Pool})
			continue
		}
		if clash := a.clash(addr, r.Service, r.Sharing); clash != "" {
			refuse(ReasonInUse, "%s", clash)
			continue
		}
		if ret := a.retained[addr]; ret != nil {
			a.endRetention(ret)
		}
		a.attach(addr, r.Service, r.Sharing, e.value)
		s.held = append(s.held, held{addr, r.Pool})
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
