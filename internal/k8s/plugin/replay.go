package plugin

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// replay is what a controller that starts now would have in memory.
type replay struct {
	alloc *allocator.Allocator
	// order is that of the Services' age.
	order []lb.Key
	// decided is the latest of each of our Services.
	decided   map[lb.Key]*decided
	conflicts []allocator.Conflict
	aside     aside
}

// decided is what a Service asks for and what it has.
type decided struct {
	service *corev1.Service
	request allocator.Request
	// problems are why the request cannot be followed.
	problems []allocator.Refusal
	allocator.Decision
}

// missing is what the Service was refused.
func (d *decided) missing() []allocator.Refusal {
	if len(d.problems) > 0 {
		return d.problems
	}
	return d.Refusals
}

// pending tells whether the Service misses something that it asks for.
func (d *decided) pending() bool { return len(d.problems) > 0 || !d.Satisfied }

// holding returns the assignment of an address, and false if the Service does not have it.
func (d *decided) holding(addr netip.Addr) (allocator.Assignment, bool) {
	for _, a := range d.Assignments {
		if a.Address == addr {
			return a, true
		}
	}
	return allocator.Assignment{}, false
}

// newReplay has every Service adopt what its status shows, as a controller does at its start before it sets
// addresses aside and gives anybody anything new.
func newReplay(s *Snapshot) *replay {
	r := &replay{alloc: allocator.New(), decided: map[lb.Key]*decided{}}
	r.alloc.SetPools(poolValues(s.Pools))
	ours := s.ours()
	for _, svc := range ours {
		r.order = append(r.order, k8s.Key(svc))
	}
	for _, svc := range k8s.Adopting(ours) {
		d := &decided{service: svc}
		d.request, d.problems = k8s.Request(svc, s.Namespaces[svc.Namespace])
		hold := d.request
		hold.Given = k8s.Given(svc)
		if hold.Hold = true; len(d.problems) > 0 {
			hold.Addresses = hold.Current // what it has stays until they are resolved
		}
		d.Decision = r.alloc.Decide(hold)
		r.decided[d.request.Service] = d
	}
	for _, svc := range k8s.LeftBehind(s.Services, s.Class) {
		request, _ := k8s.Request(svc, s.Namespaces[svc.Namespace])
		request.Hold, request.Addresses = true, request.Current
		r.alloc.Decide(request)
	}
	r.alloc.Retain(retained(s))
	r.setPools(s.Pools, s.Speakers)
	return r
}

// settle decides Services and all whose wait may be over by that, in the order of a controller's queue.
func (r *replay) settle(keys []lb.Key) {
	queued := map[lb.Key]bool{}
	queue := slices.Clone(keys)
	for _, key := range queue {
		queued[key] = true
	}
	for ; len(queue) > 0; queue = queue[1:] {
		key := queue[0]
		delete(queued, key)
		for _, again := range r.decide(key) {
			if !queued[again] {
				queued[again] = true
				queue = append(queue, again)
			}
		}
	}
}

// decide gives a Service what it asks for, and returns whose wait may be over.
func (r *replay) decide(key lb.Key) (again []lb.Key) {
	d := r.decided[key]
	if d == nil {
		return nil
	}
	request := d.request
	request.Hold = len(d.problems) > 0
	d.Decision = r.alloc.Decide(request)
	d.Refusals = k8s.ExplainAside(r.aside.users, request.Addresses, d.Refusals)
	return d.Again
}

// queue is the order in which to decide the Services when all have adopted what they show.
func (r *replay) queue() (keys []lb.Key) {
	services := make([]*corev1.Service, 0, len(r.order))
	for _, key := range r.order {
		services = append(services, r.decided[key].service)
	}
	for _, svc := range k8s.InLine(services) {
		keys = append(keys, k8s.Key(svc))
	}
	return keys
}

// sharers counts the Services of each address.
func (r *replay) sharers() map[netip.Addr]int {
	n := make(map[netip.Addr]int, len(r.decided))
	for _, d := range r.decided {
		for _, a := range d.Assignments {
			n[a.Address]++
		}
	}
	return n
}

func poolValues(objects []*v1alpha1.IPAddressPool) []lb.Pool {
	pools := make([]lb.Pool, 0, len(objects))
	for _, object := range objects {
		pool, _ := k8s.Pool(object) // what cannot be read does not count; the pool's condition says so
		pools = append(pools, pool)
	}
	return pools
}

// retained are the addresses that still wait, as the pools' statuses list them.
func retained(s *Snapshot) (list []allocator.Retained) {
	for _, p := range s.Pools {
		list = append(list, k8s.Retained(p, s.Time)...)
	}
	return slices.DeleteFunc(list, func(r allocator.Retained) bool { return !r.Until.After(s.Time) })
}
