package scale

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// seen is what the watch has shown of a Service.
type seen struct {
	addresses []string  // all that its status ever showed, in order, none if it showed none
	at        time.Time // of the first
	shows     int       // how many its status shows now
	updates   int
}

// observer watches the Services and forgets nothing.
type observer struct {
	mu       sync.Mutex
	services map[string]*seen
	served   int // have shown an address
	updates  int
	ended    bool
	changed  chan struct{} // of size 1
}

// observe watches until the test ends.
func (w *world) observe(ctx context.Context, t *testing.T) *observer {
	t.Helper()
	list, err := w.core.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// An API server that has no time ends watches; this one goes on where it ended.
	events, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return w.core.CoreV1().Services(namespace).Watch(ctx, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	o := &observer{services: map[string]*seen{}, changed: make(chan struct{}, 1)}
	for i := range list.Items {
		o.note(watch.Event{Type: watch.Added, Object: &list.Items[i]}, time.Now())
	}
	go func() {
		for e := range events.ResultChan() {
			o.note(e, time.Now())
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ended = true
	}()
	return o
}

func (o *observer) note(e watch.Event, now time.Time) {
	svc, ok := e.Object.(*corev1.Service)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.services[svc.Name]
	if s == nil {
		s = &seen{}
		o.services[svc.Name] = s
	} else {
		s.updates++
		o.updates++
	}
	s.shows = len(svc.Status.LoadBalancer.Ingress)
	for _, i := range svc.Status.LoadBalancer.Ingress {
		if len(s.addresses) == 0 {
			s.at = now
			o.served++
		}
		if len(s.addresses) == 0 || s.addresses[len(s.addresses)-1] != i.IP {
			s.addresses = append(s.addresses, i.IP)
		}
	}
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// await waits until n Services have shown an address.
func (o *observer) await(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for {
		o.mu.Lock()
		served, ended := o.served, o.ended
		o.mu.Unlock()
		if served >= n {
			return
		}
		if ended {
			t.Fatalf("the watch of Services has ended; %d of %d have an address", served, n)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d Services have an address", served, n)
		case <-o.changed:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// latencies are the times from the return of each Create to the address, and those of the Creates.
func (o *observer) latencies(all map[string]made) (toAddress, creates times) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, m := range all {
		toAddress = append(toAddress, max(0, o.services[name].at.Sub(m.at)))
		creates = append(creates, m.took)
	}
	return toAddress, creates
}

func (o *observer) updated() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.updates
}

// atTheEnd holds n Services to one address each that no other has now. It returns how many have ever shown
// another address, or one that another has shown.
func (o *observer) atTheEnd(t *testing.T, n int) (moved, shared int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var problems []string
	holders, ever := map[string]string{}, map[string]int{}
	for name, s := range o.services {
		if s.shows != 1 || len(s.addresses) == 0 {
			problems = append(problems, fmt.Sprintf("%s shows %d addresses, and showed %v", name, s.shows, s.addresses))
			continue
		}
		if len(s.addresses) > 1 {
			moved++
		}
		last := s.addresses[len(s.addresses)-1]
		if other := holders[last]; other != "" {
			problems = append(problems, fmt.Sprintf("%s is shown by %s and %s", last, name, other))
		}
		holders[last] = name
		for _, a := range slices.Compact(slices.Sorted(slices.Values(s.addresses))) {
			if ever[a]++; ever[a] == 2 {
				shared++
			}
		}
	}
	slices.Sort(problems)
	for _, p := range problems[:min(len(problems), 10)] {
		t.Error(p)
	}
	if len(problems) > 10 || len(o.services) != n {
		t.Errorf("%d of %d Services are wrong, want %d right", len(problems), len(o.services), n)
	}
	return moved, shared
}

// poolUpdates counts the changes of the pool until stop is called.
func (w *world) poolUpdates(ctx context.Context, t *testing.T) (stop func() int) {
	t.Helper()
	events, err := w.fairlead.FairleadV1alpha1().IPAddressPools().Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	count := make(chan int)
	go func() {
		n := 0
		for e := range events.ResultChan() {
			if _, ok := e.Object.(*v1alpha1.IPAddressPool); ok && e.Type == watch.Modified {
				n++
			}
		}
		count <- n
	}()
	return func() int { events.Stop(); return <-count }
}
