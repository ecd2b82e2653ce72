package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Namespace is that of the fleet's Services.
const Namespace = "default"

// PoolAnnotation has a Service take its addresses from a pool.
const PoolAnnotation = "fairlead.dev/address-pool"

// holdTime is that of the sessions without BFD, which docs/bgp.md names for them.
const holdTime = 9 * time.Second

// Service is one of the fleet, and its addresses.
type Service struct {
	Name   string
	V4, V6 netip.Addr
}

// Addresses are both.
func (s Service) Addresses() []netip.Addr { return []netip.Addr{s.V4, s.V6} }

// Addresses are those of Services.
func Addresses(services []Service) (list []netip.Addr) {
	for _, s := range services {
		list = append(list, s.Addresses()...)
	}
	return list
}

// At is where an address is asked.
func At(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }

// Expose makes n Services of a pool whose only endpoint is the backend, waits for their addresses, and returns them.
func (f *Fleet) Expose(ctx context.Context, pool, prefix string, n int) ([]Service, error) {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%03d", prefix, i))
	}
	err := inParallel(n, func(i int) error {
		s := lab.BackedService(names[i])
		s.Annotations[PoolAnnotation] = pool
		return f.Lab.Expose(ctx, s, f.Backend)
	})
	if err != nil {
		return nil, err
	}
	return f.Await(ctx, names...)
}

// Await waits until each of these Services has an address of each family.
func (f *Fleet) Await(ctx context.Context, names ...string) ([]Service, error) {
	list := make([]Service, len(names))
	_, err := await(ctx, func() error {
		all, err := f.Kubernetes.CoreV1().Services(Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing Services: %w", err)
		}
		for i, name := range names {
			at := slices.IndexFunc(all.Items, func(s corev1.Service) bool { return s.Name == name })
			if at < 0 {
				return fmt.Errorf("there is no Service %s", name)
			}
			if list[i] = serviceOf(&all.Items[at]); !list[i].V4.IsValid() || !list[i].V6.IsValid() {
				return fmt.Errorf("the Service %s has %v", name, all.Items[at].Status.LoadBalancer.Ingress)
			}
		}
		return nil
	})
	return list, err
}

func serviceOf(s *corev1.Service) Service {
	service := Service{Name: s.Name}
	for _, i := range s.Status.LoadBalancer.Ingress {
		switch a, err := netip.ParseAddr(i.IP); {
		case err != nil:
		case a.Is4():
			service.V4 = a
		default:
			service.V6 = a
		}
	}
	return service
}

// Remove deletes Services. Their endpoints go with them.
func (f *Fleet) Remove(ctx context.Context, services ...Service) error {
	return inParallel(len(services), func(i int) error {
		return f.Kubernetes.CoreV1().Services(Namespace).Delete(ctx, services[i].Name, metav1.DeleteOptions{})
	})
}

// inParallel does something with each number below n, eight at a time.
func inParallel(n int, do func(i int) error) error {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		first   error
	)
	for part := range 8 {
		workers.Go(func() {
			for i := part; i < n; i += 8 {
				if err := do(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return first
}

// pollInterval is how often what is awaited is looked at.
const pollInterval = 50 * time.Millisecond

// await waits until check returns nil; its last error tells what did not come until ctx is done.
func await(ctx context.Context, check func() error) (time.Duration, error) {
	begin := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(begin), nil
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return time.Since(begin), fmt.Errorf("after %s: %w", time.Since(begin).Round(time.Millisecond), err)
		}
	}
}
