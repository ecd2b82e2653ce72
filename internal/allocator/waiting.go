package allocator

import (
	"container/list"
	"net/netip"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// want is what a Service waits for: one address or any address of a family, from one pool or from any.
// Those in one queue wait for the very same, so whoever is first in it stands for all.
type want struct {
	addr   netip.Addr
	pool   string
	family lb.Family
}

// queue holds the Services that wait for the same, in order of arrival. Whoever frees something wakes
// only the first: if that one leaves the queue and more is free, the next is woken in turn. So what a freed
// address costs does not grow with the number of those who wait.
type queue = list.List

type waiter = list.Element

// queue makes a Service wait for exactly waits. A place that it has in a queue it keeps. It returns those
// who come first, now, in the queues that it left.
func (a *Allocator) queue(key lb.Key, s *service, waits []want) (again []lb.Key) {
	still := make(map[want]bool, len(waits))
	for _, w := range waits {
		still[w] = true
		if s.waits[w] != nil {
			continue
		}
		q := a.queues[w]
		if q == nil {
			q = list.New()
			a.queues[w] = q
		}
		if s.waits == nil {
			s.waits = map[want]*waiter{}
		}
		s.waits[w] = q.PushBack(key)
	}
	for w, place := range s.waits {
		if still[w] {
			continue
		}
		q := a.queues[w]
		q.Remove(place)
		delete(s.waits, w)
		if q.Len() == 0 {
			delete(a.queues, w)
		}
		again = append(again, a.wake(w)...)
	}
	return again
}

// wake returns the first Service that waits for w, if w can be had.
func (a *Allocator) wake(w want) []lb.Key {
	q := a.queues[w]
	if q == nil || !a.available(w) {
		return nil
	}
	return []lb.Key{q.Front().Value.(lb.Key)}
}

// wakeFor returns the Services that a freed address may serve, at most one of each queue.
func (a *Allocator) wakeFor(addr netip.Addr) []lb.Key {
	e, ok := a.ranges.at(addr)
	if !ok {
		return nil
	}
	f, p := lb.FamilyOf(addr), e.value.name
	var again []lb.Key
	for _, w := range []want{{addr: addr, family: f}, {addr: addr, family: f, pool: p}, {family: f}, {family: f, pool: p}} {
		again = append(again, a.wake(w)...)
	}
	return again
}

// wakeAll returns the first of every queue whose wait may be over, after pools have grown.
func (a *Allocator) wakeAll() (again []lb.Key) {
	for w := range a.queues {
		again = append(again, a.wake(w)...)
	}
	return again
}

// available tells whether what w stands for could be given now.
func (a *Allocator) available(w want) bool {
	if w.addr.IsValid() {
		e, inPool := a.ranges.at(w.addr)
		if !inPool || (w.pool != "" && w.pool != e.value.name) {
			return false
		}
		_, free := e.value.free.at(w.addr)
		return free
	}
	for _, p := range a.pools {
		if w.pool != "" && w.pool != p.name {
			continue
		}
		if _, ok := p.free.firstFrom(lowest[w.family]); ok {
			return true
		}
	}
	return false
}
