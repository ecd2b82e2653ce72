package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const namespace = "default"

// service makes sure that there is a dual-stack Service, whose only endpoint is the backend host, and returns its
// prefixes, IPv4 first. It stays for the tests that come after.
func (w *world) service(ctx context.Context, t *testing.T, name string) [2]netip.Prefix {
	t.Helper()
	if err := w.makeService(ctx, name); err != nil {
		t.Fatal(err)
	}
	var list [2]netip.Prefix
	measure.Eventually(ctx, t, "the addresses of "+name, 10*time.Second, func() error {
		s, err := w.Kubernetes.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(s.Status.LoadBalancer.Ingress) != 2 {
			return fmt.Errorf("it has %v", s.Status.LoadBalancer.Ingress)
		}
		for _, i := range s.Status.LoadBalancer.Ingress {
			a := netip.MustParseAddr(i.IP)
			family := 0
			if a.Is6() {
				family = 1
			}
			list[family] = netip.PrefixFrom(a, a.BitLen())
		}
		return nil
	})
	return list
}

func (w *world) makeService(ctx context.Context, name string) error {
	s := lab.BackedService(name)
	s.Annotations["fairlead.dev/address-pool"] = "routed"
	return w.Expose(ctx, s, w.backend)
}

// removeService deletes a Service. Its slices go with it.
func (w *world) removeService(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	err := w.Kubernetes.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// inParallel does something with each number below n, eight at a time.
func inParallel(n int, do func(i int) error) error {
	var workers sync.WaitGroup
	errs := make([]error, 8)
	for part := range errs {
		workers.Go(func() {
			for i := part; i < n; i += len(errs) {
				errs[part] = errors.Join(errs[part], do(i))
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// routed waits until the router's kernel has so many next hops for each of these prefixes.
func routed(ctx context.Context, t *testing.T, r *lab.Router, hops int, prefixes ...netip.Prefix) {
	t.Helper()
	for _, p := range prefixes {
		measure.Eventually(ctx, t, fmt.Sprintf("%d next hops of %s to %s", hops, r.Name, p), 15*time.Second, func() error {
			list, err := r.NextHops(p)
			if err == nil && len(list) != hops {
				err = fmt.Errorf("it has %v", list)
			}
			return err
		})
	}
}

// others are the nodes but one.
func (w *world) others(n *lab.Node) []*lab.Node {
	return slices.DeleteFunc(slices.Clone(w.Nodes), func(o *lab.Node) bool { return o == n })
}

// at is port 80 of a prefix that is an address.
func at(p netip.Prefix) netip.AddrPort { return netip.AddrPortFrom(p.Addr(), 80) }

// hop is a node's address of the family of a prefix.
func hop(n *lab.Node, p netip.Prefix) netip.Addr {
	if p.Addr().Is6() {
		return n.V6
	}
	return n.V4
}
