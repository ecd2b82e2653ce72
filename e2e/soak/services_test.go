package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// Services that come and go. There are between fewest and most of them.
const fewest, most = 8, 24

const (
	addressesAnnotation = "fairlead.dev/load-balancer-ips"
	sharingAnnotation   = "fairlead.dev/allow-shared-ip"
	sharingKey          = "life"
)

// made is a Service that was made, as it was asked for.
type made struct {
	name, pool string
	port       int32
	dual       bool
	local      bool // its endpoints are Pods, else the backend that no node takes along
	shares     bool
	addresses  []netip.Addr
}

// atOnce is within what a Service has what it asks for, and answers.
const atOnce = 5 * time.Second

// serviceActs are what people do with Services.
var serviceActs = []string{"create", "edit", "edit", "delete"}

func (l *life) serviceStep(ctx context.Context, act string, r *rand.Rand) error {
	switch n := len(l.services); {
	case n <= fewest:
		act = "create"
	case n >= most:
		act = "delete"
	}
	l.did("Services: " + act)
	switch act {
	case "create":
		return l.create(ctx, r)
	case "edit":
		return l.edit(ctx, r)
	}
	i := r.IntN(len(l.services))
	s := l.services[i]
	l.services = slices.Delete(l.services, i, i+1)
	return l.Kubernetes.CoreV1().Services(fleet.Namespace).Delete(ctx, s.name, metav1.DeleteOptions{})
}

func (l *life) create(ctx context.Context, r *rand.Rand) error {
	l.number++
	s := &made{name: fmt.Sprintf("life-%05d", l.number), port: 80, dual: r.IntN(2) == 0, pool: fleet.SegmentPool}
	if r.IntN(2) == 0 {
		s.pool = fleet.RoutedPool
	}
	o := lab.BackedService(s.name)
	o.Annotations[fleet.PoolAnnotation] = s.pool
	if !s.dual {
		o.Spec.IPFamilyPolicy = ptrTo(corev1.IPFamilyPolicySingleStack)
		o.Spec.IPFamilies = []corev1.IPFamily{[]corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}[r.IntN(2)]}
	}
	switch r.IntN(4) {
	case 0: // Pods, and the client's address in them
		s.local = true
		o.Spec.Selector = map[string]string{"app": rolled}
		if r.IntN(2) == 0 {
			o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}
	case 1: // an address of its own choice
		if a, ok := l.free(r, s.pool, !s.dual && o.Spec.IPFamilies[0] == corev1.IPv6Protocol); ok && !s.dual {
			o.Annotations[addressesAnnotation] = a.String()
		}
	case 2: // shared with an earlier one, if there is one
		s.shares, s.port = true, int32(1000+l.number%30000)
		o.Annotations[sharingAnnotation] = sharingKey
		for i := range o.Spec.Ports {
			o.Spec.Ports[i].Port = s.port
		}
		for _, other := range l.services {
			if other.shares && other.pool == s.pool && other.dual && s.dual {
				o.Annotations[addressesAnnotation] = text(other.addresses)
				break
			}
		}
	}
	var err error
	if s.local {
		_, err = l.Kubernetes.CoreV1().Services(fleet.Namespace).Create(ctx, o, metav1.CreateOptions{})
	} else {
		err = l.Lab.Expose(ctx, o, l.Backend)
	}
	if err != nil {
		return err
	}
	l.services = append(l.services, s)
	return l.served(ctx, s, o.Annotations[addressesAnnotation])
}

// free is an address that nobody has, of a part of the pool that is given to who asks for it, as the lowest come first.
func (l *life) free(r *rand.Rand, pool string, six bool) (netip.Addr, bool) {
	from := map[string][2]string{
		fleet.SegmentPool: {"192.0.2.200", "2001:db8::1:a000"}, fleet.RoutedPool: {"198.51.100.200", "2001:db8:51::a000"},
	}[pool]
	a := netip.MustParseAddr(from[0])
	if six {
		a = netip.MustParseAddr(from[1])
	}
	for range r.IntN(25) {
		a = a.Next()
	}
	for _, s := range l.services {
		if slices.Contains(s.addresses, a) {
			return a, false
		}
	}
	return a, true
}

// served waits until a Service has what it asks for, and clients get an answer.
func (l *life) served(ctx context.Context, s *made, asked string) error {
	ctx, cancel := context.WithTimeout(ctx, atOnce)
	defer cancel()
	err := await(ctx, func() error {
		o, err := l.Kubernetes.CoreV1().Services(fleet.Namespace).Get(ctx, s.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		s.addresses = nil
		for _, a := range ingress(o) {
			s.addresses = append(s.addresses, netip.MustParseAddr(a))
		}
		want := 1
		if s.dual {
			want = 2
		}
		switch {
		case len(s.addresses) != want:
			return fmt.Errorf("it has %v: %+v", s.addresses, o.Status.Conditions)
		case asked != "" && text(s.addresses) != asked:
			return fmt.Errorf("it has %v, and asks for %s", s.addresses, asked)
		case slices.ContainsFunc(s.addresses, func(a netip.Addr) bool { return poolOf(a) != s.pool }):
			return fmt.Errorf("it has %v, not of the pool %s", s.addresses, s.pool)
		}
		return nil
	})
	for _, a := range s.addresses {
		for _, from := range l.clientsOf(s.pool) {
			if err == nil {
				_, err = from.Await(ctx, "tcp", netip.AddrPortFrom(a, uint16(s.port)))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("the Service %s does not serve within %s: %w", s.name, atOnce, err)
	}
	return nil
}

func poolOf(a netip.Addr) string {
	if lab.Segment4.Contains(a) || lab.Segment6.Contains(a) {
		return fleet.SegmentPool
	}
	return fleet.RoutedPool
}

// clientsOf are the hosts that use addresses of a pool.
func (l *life) clientsOf(pool string) []*lab.Host {
	if pool == fleet.SegmentPool {
		return []*lab.Host{l.User}
	}
	return l.Visitors
}

// text is a list of addresses as an annotation has it, and as ingress sorts it.
func text(list []netip.Addr) string {
	var all []string
	for _, a := range list {
		all = append(all, a.String())
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// edit changes something of a Service.
func (l *life) edit(ctx context.Context, r *rand.Rand) error {
	s := l.services[r.IntN(len(l.services))]
	var change func(*corev1.Service)
	moves, asked := false, ""
	switch what := r.IntN(6); {
	case what == 0 && !s.shares: // its port
		s.port = int32(1000 + r.IntN(30000))
		change = func(o *corev1.Service) {
			for i := range o.Spec.Ports {
				o.Spec.Ports[i].Port = s.port
			}
		}
	case what == 1 && s.local: // its policy
		change = func(o *corev1.Service) {
			if o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
				o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
			} else {
				o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			}
		}
	case what == 2 && !s.shares: // its pool
		moves = true
		s.pool = map[string]string{fleet.SegmentPool: fleet.RoutedPool, fleet.RoutedPool: fleet.SegmentPool}[s.pool]
		change = func(o *corev1.Service) {
			o.Annotations[fleet.PoolAnnotation] = s.pool
			delete(o.Annotations, addressesAnnotation)
		}
	case what == 3 && !s.shares: // its families
		moves = true
		s.dual = !s.dual
		change = func(o *corev1.Service) {
			delete(o.Annotations, addressesAnnotation)
			if s.dual {
				o.Spec.IPFamilyPolicy = ptrTo(corev1.IPFamilyPolicyRequireDualStack)
				return
			}
			o.Spec.IPFamilyPolicy = ptrTo(corev1.IPFamilyPolicySingleStack)
			o.Spec.IPFamilies, o.Spec.ClusterIPs = o.Spec.IPFamilies[:1], o.Spec.ClusterIPs[:1]
		}
	case what == 4 && !s.shares && !s.dual: // its address
		a, ok := l.free(r, s.pool, s.addresses[0].Is6())
		if !ok {
			return nil
		}
		moves, asked = true, a.String()
		change = func(o *corev1.Service) { o.Annotations[addressesAnnotation] = asked }
	default: // what is none of Fairlead's business
		mark := fmt.Sprint(r.IntN(1000))
		change = func(o *corev1.Service) { o.Labels["mark"] = mark }
	}
	if moves {
		defer l.diary.begin(cause{what: s.name + " asks for another address", subject: s.name, kinds: []kind{changed}})()
	}
	services := l.Kubernetes.CoreV1().Services(fleet.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := services.Get(ctx, s.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(o)
		_, err = services.Update(ctx, o, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return l.served(ctx, s, asked)
}

func ptrTo[T any](x T) *T { return &x }

// await waits until check returns nil; its last error tells what did not come.
func await(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
