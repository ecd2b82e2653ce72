package allocator

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/tidwall/btree"
)

// want is what a Service waits for, one of:
//
//	addr               that very address
//	pool, family       any address of a family from a pool
//	pool, namespace    room in a namespace's quota of a pool
//	sharing, family    an address to share with others of a key
type want struct {
	addr      netip.Addr
	pool      string
	family    lb.Family
	namespace string
	sharing   string
}

// queue holds Services in the order in which they began to wait. Whoever frees something wakes only the
// first that it may serve: if that one leaves the queue and there is more, the next is woken in turn. So
// what a freed address costs does not grow with the number of those who wait.
type queue = btree.BTreeG[waiter]

type waiter struct {
	since   uint64
	service lb.Key
}

func newQueue() *queue { return newTree(func(x, y waiter) bool { return x.since < y.since }) }

// wakes collects who is to be decided again.
type wakes struct{ list []waiter }

func (w *wakes) add(x waiter) { w.list = append(w.list, x) }

// except returns those collected but one, in the order in which they began to wait.
func (w *wakes) except(key lb.Key) (again []lb.Key) {
	slices.SortFunc(w.list, func(x, y waiter) int { return cmp.Compare(x.since, y.since) })
	for _, x := range slices.Compact(w.list) {
		if x.service != key {
			again = append(again, x.service)
		}
	}
	return again
}

// wait has a Service wait for exactly waits, or for nothing but other pools. In the queues that it leaves
// the next are woken.
func (a *Allocator) wait(key lb.Key, s *service, refused bool, waits []want, woken *wakes) {
	was := waiter{s.since, key}
	switch {
	case refused && s.since == 0:
		a.arrivals++
		s.since = a.arrivals
		was.since = s.since
		a.waiting.Set(was)
	case !refused && s.since != 0:
		a.waiting.Delete(was)
		s.since = 0
	}
	before := s.waits
	s.waits = nil
	for _, w := range waits { // both families may wait for room in one quota
		if !slices.Contains(s.waits, w) {
			s.waits = append(s.waits, w)
		}
	}
	waits = s.waits
	for _, w := range waits {
		q := a.queues[w]
		if q == nil {
			q = newQueue()
			a.queues[w] = q
		}
		q.Set(was)
	}
	for _, w := range waits {
		// Who could have it and yet does not take it, as with RequireDualStack, does not stand in the way of those
		// behind.
		if a.possible(w, key) {
			a.wake(w, s.since, woken)
		}
	}
	for _, w := range before {
		if slices.Contains(waits, w) {
			continue
		}
		q := a.queues[w]
		q.Delete(was)
		if q.Len() == 0 {
			delete(a.queues, w)
			continue
		}
		a.wake(w, 0, woken)
	}
}

// Waiting returns the Services of a namespace that wait for something, in the order in which they began:
// those to decide again when the namespace's labels change.
func (a *Allocator) Waiting(namespace string) (keys []lb.Key) {
	a.waiting.Scan(func(x waiter) bool {
		if x.service.Namespace == namespace {
			keys = append(keys, x.service)
		}
		return true
	})
	return keys
}

// wake wakes the first Service, of those who began to wait after since, that waits for w and may have it now.
func (a *Allocator) wake(w want, since uint64, woken *wakes) {
	q := a.queues[w]
	if q == nil || !a.available(w) {
		return
	}
	q.Ascend(waiter{since: since + 1}, func(x waiter) bool {
		if !a.possible(w, x.service) {
			return true
		}
		woken.add(x)
		return false
	})
}

// available tells whether there is anything of what w stands for, for whomever.
func (a *Allocator) available(w want) bool {
	switch {
	case w.addr.IsValid():
		h := a.holding(w.addr)
		return a.owned(w.addr) && (h == nil || h.holders[0].sharing.Key != "")
	case w.sharing != "":
		return a.rings[ringKey{w.sharing, w.family}] != nil
	}
	p, ok := a.byName[w.pool]
	switch {
	case !ok:
		return false
	case w.namespace != "":
		return p.Quota == nil || p.byNamespace[w.namespace] < *p.Quota
	}
	_, free := p.free.firstFrom(lowest[w.family])
	return free || p.waits[w.family].Len() > 0
}

// possible tells whether a Service may have what it waits for as w. Those in one queue differ only in what
// they can share, and in what waits for them.
func (a *Allocator) possible(w want, key lb.Key) bool {
	s := a.services[key]
	switch {
	case w.addr.IsValid():
		ret := a.retained[w.addr]
		return (ret == nil || ret.Service == key) && a.clash(w.addr, key, s.sharing) == ""
	case w.sharing != "":
		x := &search{a: a, r: Request{Service: key, Sharing: s.sharing}, s: s}
		_, ok := x.shared(w.family, a.pools)
		return ok
	}
	return a.available(w)
}

// wakeFor wakes those whom an address of a pool may serve that is nobody's any more.
func (a *Allocator) wakeFor(addr netip.Addr, woken *wakes) {
	e, ok := a.ranges.at(addr)
	if !ok {
		return
	}
	a.wake(want{addr: addr}, 0, woken)
	a.wake(want{pool: e.value.Name, family: lb.FamilyOf(addr)}, 0, woken)
	a.wakeQuota(e.value, woken)
}

// wakeSharers wakes those who may share an address, after a change among those who have it.
func (a *Allocator) wakeSharers(addr netip.Addr, woken *wakes) {
	h := a.holding(addr)
	if h == nil {
		return
	}
	a.wake(want{addr: addr}, 0, woken)
	if key := h.holders[0].sharing.Key; key != "" {
		a.wake(want{sharing: key, family: lb.FamilyOf(addr)}, 0, woken)
	}
	a.wakeQuota(h.pool, woken)
}

// wakeQuota wakes those who wait for room in a quota that a namespace has left since.
func (a *Allocator) wakeQuota(p *pool, woken *wakes) {
	for _, namespace := range p.roomier {
		a.wake(want{pool: p.Name, namespace: namespace}, 0, woken)
	}
	p.roomier = p.roomier[:0]
}
