package allocator

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/tidwall/btree"
	"go4.org/netipx"
)

// Allocator holds pools, assignments and who waits. It is owned by one goroutine.
type Allocator struct {
	pools  []*pool // by name: the order of choice
	byName map[string]*pool
	ranges rangeMap[*pool] // which pool an address is of
	// taken is ordered by address, so that a pool that shrinks finds those it leaves behind.
	taken    *btree.BTreeG[holding]
	services map[lb.Key]*service
	queues   map[want]*queue
	dirty    map[string]struct{}
}

type holding struct {
	addr    netip.Addr
	service lb.Key
	pool    string
}

type service struct {
	addrs [2]netip.Addr // by family; invalid where it has none
	// asked is the requested pool that each of addrs answers to. An address that other pools' edits carried
	// into another pool, or that was adopted, stays: only a change of the request moves it.
	asked [2]string
	waits map[want]*waiter
}

// New returns an allocator without pools.
func New() *Allocator {
	return &Allocator{
		byName: map[string]*pool{},
		ranges: newRangeMap[*pool](),
		taken: btree.NewBTreeGOptions(func(x, y holding) bool { return x.addr.Less(y.addr) },
			btree.Options{NoLocks: true}),
		services: map[lb.Key]*service{},
		queues:   map[want]*queue{},
		dirty:    map[string]struct{}{},
	}
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

// Assignment is an address and the pool that it is of.
type Assignment struct {
	Address netip.Addr
	Pool    string
}

// Reason is why an address was refused, in the form of a condition's reason.
type Reason string

const (
	ReasonNoPool         Reason = "NoPool"           // there is no pool, or none of that name
	ReasonExhausted      Reason = "PoolExhausted"    // no pool that may be used has a free address of the family
	ReasonNotInPool      Reason = "AddressNotInPool" // the address is in no pool, or not in the one asked for
	ReasonInUse          Reason = "AddressInUse"     // another Service has the address
	ReasonInvalidRequest Reason = "InvalidRequest"   // the request contradicts itself
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
	// Again are the Services whose wait may be over by this decision: decide them again.
	Again []lb.Key
}

// Decide gives a Service what it asks for, as far as that is possible. What it has it keeps, unless the
// request excludes it and the replacement could be given. With RequireDualStack nothing new is given
// unless all is.
func (a *Allocator) Decide(r Request) Decision {
	var d Decision
	s := a.services[r.Service]
	if s == nil {
		s = &service{asked: [2]string{r.Pool, r.Pool}}
		a.services[r.Service] = s
		d.NotAdopted = a.adopt(r, s)
	}
	freed := a.dropFamilies(r, s)

	asked, invalid := askedByFamily(r)
	d.Refusals = invalid
	var took, replaced []netip.Addr
	var waits []want
	for _, f := range r.Families {
		have := s.addrs[f]
		if r.Hold || len(invalid) > 0 {
			continue
		}
		if have.IsValid() && a.fits(have, asked[f], r.Pool, s.asked[f]) {
			s.asked[f] = r.Pool
			continue
		}
		addr, refusal, wait := a.find(r, f, asked[f])
		if refusal != nil {
			d.Refusals = append(d.Refusals, *refusal)
			waits = append(waits, wait)
			continue
		}
		if have.IsValid() {
			replaced = append(replaced, have)
		}
		e, _ := a.ranges.at(addr)
		a.attach(addr, r.Service, e.value)
		s.addrs[f] = addr
		took = append(took, addr)
	}
	if r.Policy == lb.RequireDualStack && len(d.Refusals) > 0 {
		// All or nothing, of what is new: what it had before stays, so that no traffic is lost.
		for _, addr := range took {
			s.addrs[lb.FamilyOf(addr)] = netip.Addr{}
			freed = append(freed, addr)
		}
		for _, addr := range replaced {
			s.addrs[lb.FamilyOf(addr)] = addr
		}
	} else {
		freed = append(freed, replaced...)
		for _, addr := range took {
			s.asked[lb.FamilyOf(addr)] = r.Pool
		}
	}
	for _, addr := range freed {
		a.free(addr)
	}

	for _, f := range r.Families {
		if addr := s.addrs[f]; addr.IsValid() {
			e, _ := a.ranges.at(addr)
			d.Assignments = append(d.Assignments, Assignment{addr, e.value.name})
		}
	}
	enough := len(d.Assignments) == len(r.Families) || (r.Policy == lb.PreferDualStack && len(d.Assignments) > 0)
	asks := len(r.Addresses) > 0 || r.Pool != ""
	d.Satisfied = !r.Hold && len(invalid) == 0 && enough && (len(d.Refusals) == 0 || !asks && r.Policy == lb.PreferDualStack)

	d.Again = a.queue(r.Service, s, waits)
	for _, addr := range freed {
		d.Again = append(d.Again, a.wakeFor(addr)...)
	}
	d.Again = slices.DeleteFunc(sortedUnique(d.Again), func(k lb.Key) bool { return k == r.Service })
	return d
}

// Release takes back all that a Service has, when it is gone or no longer ours. It returns the Services
// whose wait may be over.
func (a *Allocator) Release(key lb.Key) (again []lb.Key) {
	s := a.services[key]
	if s == nil {
		return nil
	}
	again = a.queue(key, s, nil)
	for _, addr := range s.addrs {
		if addr.IsValid() {
			a.free(addr)
			again = append(again, a.wakeFor(addr)...)
		}
	}
	delete(a.services, key)
	return slices.DeleteFunc(sortedUnique(again), func(k lb.Key) bool { return k == key })
}

// Holder returns the Service that has an address.
func (a *Allocator) Holder(addr netip.Addr) (lb.Key, bool) {
	h, ok := a.taken.Get(holding{addr: addr})
	return h.service, ok
}

// adopt makes the addresses of a Service's status its own, those that a pool holds and no other has.
func (a *Allocator) adopt(r Request, s *service) (not []NotAdopted) {
	for _, addr := range r.Current {
		f := lb.FamilyOf(addr)
		e, inPool := a.ranges.at(addr)
		holder, used := a.Holder(addr)
		refuse := func(reason Reason, format string, args ...any) {
			not = append(not, NotAdopted{addr, Refusal{reason, fmt.Sprintf(format, args...)}})
		}
		switch {
		case !slices.Contains(r.Families, f):
			refuse(ReasonInvalidRequest, "%s is of a family that the Service does not have", addr)
		case s.addrs[f].IsValid():
			refuse(ReasonInvalidRequest, "%s is a second address of one family", addr)
		case !inPool:
			refuse(ReasonNotInPool, "no pool holds %s", addr)
		case used:
			refuse(ReasonInUse, "%s is in use by Service %s", addr, holder)
		default:
			a.attach(addr, r.Service, e.value)
			s.addrs[f] = addr
		}
	}
	return not
}

// dropFamilies takes from a Service the addresses of families that it no longer lists, and returns them.
func (a *Allocator) dropFamilies(r Request, s *service) (dropped []netip.Addr) {
	for _, f := range lb.Families {
		if addr := s.addrs[f]; addr.IsValid() && !slices.Contains(r.Families, f) {
			s.addrs[f] = netip.Addr{}
			dropped = append(dropped, addr)
		}
	}
	return dropped
}

// askedByFamily sorts the addresses that a request insists on by family, and refuses those that cannot be.
func askedByFamily(r Request) (asked [2]netip.Addr, refused []Refusal) {
	for _, addr := range r.Addresses {
		f := lb.FamilyOf(addr)
		switch {
		case !slices.Contains(r.Families, f):
			refused = append(refused, Refusal{ReasonInvalidRequest, fmt.Sprintf(
				"%s is asked for, but spec.ipFamilies has no %s", addr, f)})
		case asked[f].IsValid() && asked[f] != addr:
			refused = append(refused, Refusal{ReasonInvalidRequest, fmt.Sprintf(
				"%s and %s are asked for: a Service has one address of a family", asked[f], addr)})
		default:
			asked[f] = addr
		}
	}
	return asked, refused
}

// fits tells whether an address that a Service has is one that its request allows.
func (a *Allocator) fits(have, asked netip.Addr, pool, answersTo string) bool {
	if asked.IsValid() && asked != have {
		return false
	}
	e, ok := a.ranges.at(have)
	return ok && (pool == "" || pool == answersTo || pool == e.value.name)
}

// find looks for an address of a family, and says why not and what to wait for if there is none.
func (a *Allocator) find(r Request, f lb.Family, asked netip.Addr) (netip.Addr, *Refusal, want) {
	if asked.IsValid() {
		return a.findAsked(r, asked)
	}
	wait := want{pool: r.Pool, family: f}
	choice := a.pools
	if r.Pool != "" {
		p, ok := a.byName[r.Pool]
		if !ok {
			return netip.Addr{}, &Refusal{ReasonNoPool, fmt.Sprintf("there is no pool %q", r.Pool)}, wait
		}
		choice = []*pool{p}
	}
	for _, p := range choice {
		if e, ok := p.free.firstFrom(lowest[f]); ok {
			return e.ips.From(), nil, want{}
		}
	}
	if len(choice) == 0 {
		return netip.Addr{}, &Refusal{ReasonNoPool, "there is no IPAddressPool"}, wait
	}
	return netip.Addr{}, &Refusal{ReasonExhausted, explain(choice, f)}, wait
}

// findAsked looks whether the address that the Service insists on can be given.
func (a *Allocator) findAsked(r Request, asked netip.Addr) (netip.Addr, *Refusal, want) {
	wait := want{addr: asked, family: lb.FamilyOf(asked), pool: r.Pool}
	e, ok := a.ranges.at(asked)
	if !ok {
		return asked, &Refusal{ReasonNotInPool, fmt.Sprintf("no pool holds the requested address %s", asked)}, wait
	}
	if r.Pool != "" && r.Pool != e.value.name {
		return asked, &Refusal{ReasonNotInPool, fmt.Sprintf(
			"the requested address %s is of pool %s, not of the requested pool %s", asked, e.value.name, r.Pool)}, wait
	}
	if holder, used := a.Holder(asked); used {
		return asked, &Refusal{ReasonInUse, fmt.Sprintf("the requested address %s is in use by Service %s", asked, holder)}, wait
	}
	return asked, nil, want{}
}

// explain says of the first pools why none of them has an address to give.
func explain(pools []*pool, f lb.Family) string {
	const most = 5 // a condition is read by people
	var why []string
	for _, p := range pools[:min(most, len(pools))] {
		why = append(why, p.exhausted(f))
	}
	if more := len(pools) - most; more > 0 {
		why = append(why, fmt.Sprintf("%d more pools likewise", more))
	}
	return strings.Join(why, "; ")
}

// attach gives a free address of pool p to a Service.
func (a *Allocator) attach(addr netip.Addr, key lb.Key, p *pool) {
	a.taken.Set(holding{addr, key, p.name})
	p.free.remove(netipx.IPRangeFrom(addr, addr))
	p.used[lb.FamilyOf(addr)]++
	a.dirty[p.name] = struct{}{}
}

// free takes an address back into its pool.
func (a *Allocator) free(addr netip.Addr) {
	a.taken.Delete(holding{addr: addr})
	if e, ok := a.ranges.at(addr); ok {
		p := e.value
		p.free.set(netipx.IPRangeFrom(addr, addr), struct{}{})
		p.used[lb.FamilyOf(addr)]--
		a.dirty[p.name] = struct{}{}
	}
}

// detach takes what is assigned in ranges out of the books of its pools, and returns it. Its Services are
// not told yet: another pool may take the addresses over.
func (a *Allocator) detach(ranges []netipx.IPRange) []holding {
	var found []holding
	for _, r := range ranges {
		a.taken.Ascend(holding{addr: r.From()}, func(h holding) bool {
			if r.To().Less(h.addr) {
				return false
			}
			found = append(found, h)
			return true
		})
	}
	for _, h := range found {
		a.taken.Delete(h)
		if p, ok := a.byName[h.pool]; ok {
			p.used[lb.FamilyOf(h.addr)]--
			a.dirty[h.pool] = struct{}{}
		}
	}
	return found
}

func sortedUnique(keys []lb.Key) []lb.Key {
	slices.SortFunc(keys, func(x, y lb.Key) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return slices.Compact(keys)
}
