package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

// makeService makes a Service whose only endpoint is the backend host.
func (w *world) makeService(ctx context.Context, t *testing.T, name string, edit func(*corev1.Service)) {
	t.Helper()
	s := lab.BackedService(name)
	s.Spec.AllocateLoadBalancerNodePorts, s.Spec.IPFamilyPolicy = nil, ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	s.Spec.Ports = s.Spec.Ports[:1]
	if edit != nil {
		edit(s)
	}
	if err := w.Expose(ctx, s, w.Client(backend)); err != nil {
		t.Fatal(err)
	}
}

// statuses are the addresses of each Service that has any.
func (w *world) statuses(ctx context.Context) (map[string][]netip.Addr, error) {
	list, err := w.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	all := map[string][]netip.Addr{}
	for i := range list.Items {
		if s := &list.Items[i]; s.Spec.Type == corev1.ServiceTypeLoadBalancer {
			all[s.Name] = ingress(s)
		}
	}
	return all, nil
}

func ingress(s *corev1.Service) (list []netip.Addr) {
	for _, i := range s.Status.LoadBalancer.Ingress {
		list = append(list, netip.MustParseAddr(i.IP))
	}
	return list
}

// assigned waits until each of these Services has so many addresses.
func (w *world) assigned(ctx context.Context, t *testing.T, each int) map[string][]netip.Addr {
	t.Helper()
	var all map[string][]netip.Addr
	measure.Eventually(ctx, t, "the Services' addresses", 30*time.Second, func() (err error) {
		if all, err = w.statuses(ctx); err != nil {
			return err
		}
		for name, list := range all {
			if len(list) != each {
				return fmt.Errorf("%s has %v", name, list)
			}
		}
		return nil
	})
	return all
}

// flat are all addresses of the Services, sorted.
func flat(all map[string][]netip.Addr) []netip.Addr {
	list := slices.Concat(slices.Collect(maps.Values(all))...)
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list) // some are shared
}

// owners waits until exactly one node answers for each address, and returns it.
func (w *world) owners(ctx context.Context, t *testing.T, addresses []netip.Addr) map[netip.Addr]*lab.Node {
	t.Helper()
	owners := map[netip.Addr]*lab.Node{}
	measure.Eventually(ctx, t, fmt.Sprintf("one node that answers for each of %d addresses", len(addresses)), 2*time.Minute, func() error {
		for _, a := range addresses {
			macs, err := w.Client(watching).Answerers(ctx, a, 50*time.Millisecond)
			if err != nil || len(macs) != 1 {
				return fmt.Errorf("%v answer for %s: %w", macs, a, err)
			}
			if owners[a] = w.node(macs[0]); owners[a] == nil {
				return fmt.Errorf("%s answers for %s and is no node", macs[0], a)
			}
		}
		return nil
	})
	return owners
}

func (w *world) node(mac net.HardwareAddr) *lab.Node {
	if host := w.HostByMAC(mac); host != nil {
		return w.NodeNamed(host.Name)
	}
	return nil
}

// ownedByFairlead are the addresses that Fairlead's speakers say they own, by their status.
func (w *world) ownedByFairlead(ctx context.Context) (map[netip.Addr]string, error) {
	list, err := w.fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	owned := map[netip.Addr]string{}
	for _, s := range list.Items {
		if s.Status.Layer2 == nil {
			continue
		}
		for _, a := range s.Status.Layer2.Addresses {
			owned[netip.MustParseAddr(a.Address)] = s.Name
		}
	}
	return owned, nil
}

// Of each node's addresses so many connections are held, and new ones made at this interval.
const (
	established = 100
	perSecond   = 100
)

// traffic is what clients do with addresses of every node, while others look at who answers and at what Services say.
type traffic struct {
	addresses []netip.Addr
	held      []*lab.Held
	probes    []*lab.Probe
	control   *lab.Probe // of the backend itself: what it misses the machine has missed
	watch     *lab.Watch
	watched   []netip.Addr
	owners    map[netip.Addr]*lab.Node
	services  watch.Interface
	lost      chan []string
	begin     time.Time
}

// traffic starts: connections and requests to one address of each node and family, eyes on all addresses.
func (w *world) traffic(ctx context.Context, t *testing.T, owners map[netip.Addr]*lab.Node) *traffic {
	t.Helper()
	x := &traffic{owners: owners, watched: slices.SortedFunc(maps.Keys(owners), netip.Addr.Compare), begin: time.Now()}
	taken := map[string]bool{}
	for _, a := range x.watched {
		if key := owners[a].Name + map[bool]string{true: " v4"}[a.Is4()]; !taken[key] {
			taken[key] = true
			x.addresses = append(x.addresses, a)
		}
	}
	for _, a := range x.addresses {
		if err := w.Client(asking).FlushNeighbor(a); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if x.watch, err = w.Client(watching).Watch(ctx, 100*time.Millisecond, x.watched...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.watch.Stop() })
	x.start(ctx, t, w, w.Client(asking))
	return x
}

// start starts the clients on a host, and has an eye on the Services' statuses.
func (x *traffic) start(ctx context.Context, t *testing.T, w *world, from *lab.Host) {
	t.Helper()
	n := len(x.addresses)
	for i, a := range x.addresses {
		to := netip.AddrPortFrom(a, 80)
		if _, err := from.Await(ctx, "tcp", to); err != nil {
			t.Fatal(err)
		}
		held, err := from.Hold(ctx, to, (established*(i+1))/n-(established*i)/n, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { held.Stop() })
		probe := from.Probe(ctx, "tcp", to, time.Second*time.Duration(n)/perSecond)
		t.Cleanup(func() { probe.Stop() })
		x.held, x.probes = append(x.held, held), append(x.probes, probe)
	}
	host := w.Client(backend)
	x.control = from.Probe(ctx, "tcp", netip.AddrPortFrom(host.V4, lab.BackendPort), 40*time.Millisecond)
	t.Cleanup(func() { x.control.Stop() })
	x.lost = make(chan []string, 1)
	before, err := w.statuses(ctx)
	if err == nil {
		x.services, err = w.Kubernetes.CoreV1().Services(namespace).Watch(ctx, metav1.ListOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.services.Stop)
	go func() {
		var lost []string
		for e := range x.services.ResultChan() {
			if s, ok := e.Object.(*corev1.Service); ok && before[s.Name] != nil && !slices.Equal(ingress(s), before[s.Name]) {
				lost = append(lost, fmt.Sprintf("%s: %s has %v", e.Type, s.Name, ingress(s)))
			}
		}
		x.lost <- lost
	}()
}

// tell is what clients and onlookers have noticed.
type tell struct {
	established, broken, sent, failed int
	longest, slowest                  time.Duration
	stalled                           time.Duration // the longest gap in answers of the backend itself
	moved                             []netip.Addr  // addresses that another node than the first answered for
	late                              int           // of the broken: whose answer was late; the others were reset
	unanswered                        int           // addresses that nobody answered for, for more than a moment
	lost                              []string      // statuses that showed something else for a while
	why                               []string
}

func (x *traffic) stop(w *world) (o tell) {
	time.Sleep(time.Second) // in which what is late may come
	o.stalled = x.control.Stop().Longest.Duration()
	for i, p := range x.probes {
		r := p.Stop()
		o.sent, o.failed, o.longest = o.sent+r.Sent, o.failed+r.Failed, max(o.longest, r.Longest.Duration())
		if r.Failure != nil {
			o.why = append(o.why, fmt.Sprintf("%s: longest gap %s: %v", x.addresses[i], r.Longest, r.Failure))
		}
	}
	for i, h := range x.held {
		r := h.Stop()
		o.established, o.broken, o.slowest = o.established+r.Connections, o.broken+len(r.Broken), max(o.slowest, r.Slowest)
		for _, err := range r.Broken {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				o.late++
			}
		}
		if len(r.Broken) > 0 {
			o.why = append(o.why, fmt.Sprintf("%s: %d broken, the first: %v", x.addresses[i], len(r.Broken), r.Broken[0]))
		}
	}
	for _, a := range x.watched {
		rounds := x.watch.Rounds(a, x.begin)
		silent, most := 0, 0
		for _, r := range rounds[:max(0, len(rounds)-1)] {
			if len(r.MACs) == 0 {
				silent++
			} else {
				silent = 0
			}
			most = max(most, silent)
			for _, mac := range r.MACs {
				if w.node(mac) != x.owners[a] && !slices.Contains(o.moved, a) {
					o.moved = append(o.moved, a)
					o.why = append(o.why, fmt.Sprintf("%s was %s's: %s", a, x.owners[a].Name, r.Since(x.begin)))
				}
			}
		}
		if most > 3 {
			o.unanswered++
		}
	}
	x.services.Stop()
	o.lost = <-x.lost
	return o
}

func (o tell) String() string {
	return fmt.Sprintf("%d of %d established connections broken, slowest answer %d ms; %d of %d new connections failed, longest gap %d ms; "+
		"%d addresses moved to another node; %d statuses changed", o.broken, o.established, o.slowest.Milliseconds(), o.failed, o.sent,
		o.longest.Milliseconds(), len(o.moved), len(o.lost))
}

// stall is a gap in the answers of the backend itself from which on a request that was not answered in time says
// nothing about the addresses: the machine had other things to do.
const stall = 400 * time.Millisecond

// unharmed fails if a client or an onlooker noticed anything.
func (o tell) unharmed(t *testing.T) {
	t.Helper()
	late := o.late + o.failed + o.unanswered
	if late > 0 && o.stalled >= stall {
		t.Logf("the machine stood still for %d ms: %d connections, %d requests and %d addresses without an answer in time do not count: %q",
			o.stalled.Milliseconds(), o.late, o.failed, o.unanswered, o.why)
		late = 0
	}
	if o.broken-o.late+late+len(o.moved)+len(o.lost) > 0 {
		t.Errorf("%s; %d unanswered: %q %q", o, o.unanswered, o.why, o.lost)
	}
}
