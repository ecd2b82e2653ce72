package layer2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// fleet makes sure that there are n dual-stack Services, and returns the addresses of each, IPv4 first. They
// stay for the tests that come after.
func (w *world) fleet(ctx context.Context, t *testing.T, n int) [][]netip.Addr {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("fleet-%03d", i))
	}
	return w.services(ctx, t, "fleet", names...)
}

// services makes those of these Services that there are not, and waits for an address of each family each, for
// their owners, and for the path behind the last one.
func (w *world) services(ctx context.Context, t *testing.T, pool string, names ...string) [][]netip.Addr {
	t.Helper()
	inParallel(names, func(name string) {
		if err := w.makeService(ctx, name, pool); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	list := w.addresses(ctx, t, names...)
	w.owners(ctx, t, slices.Concat(list...))
	for _, a := range list[len(list)-1] {
		for _, network := range []string{"tcp", "udp"} {
			if _, err := w.Client(asking).Await(ctx, network, at(a)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return list
}

// addresses waits until each of these Services has an address of each family, and returns them, IPv4 first.
func (w *world) addresses(ctx context.Context, t *testing.T, names ...string) [][]netip.Addr {
	t.Helper()
	list := make([][]netip.Addr, len(names))
	measure.Eventually(ctx, t, "the addresses of "+names[0]+" and others", 30*time.Second, func() error {
		all, err := w.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		found := map[string][]netip.Addr{}
		for _, s := range all.Items {
			for _, i := range s.Status.LoadBalancer.Ingress {
				found[s.Name] = append(found[s.Name], netip.MustParseAddr(i.IP))
			}
		}
		for i, name := range names {
			list[i] = found[name]
			if len(list[i]) != 2 {
				return fmt.Errorf("%s has %v", name, list[i])
			}
			if list[i][0].Is6() {
				slices.Reverse(list[i])
			}
		}
		return nil
	})
	return list
}

// inParallel does something to each name, eight at a time.
func inParallel(names []string, do func(name string)) {
	var workers sync.WaitGroup
	for part := range 8 {
		workers.Go(func() {
			for i := part; i < len(names); i += 8 {
				do(names[i])
			}
		})
	}
	workers.Wait()
}

// makeService makes a Service whose only endpoint is the backend host, unless there is one of this name.
func (w *world) makeService(ctx context.Context, name, pool string) error {
	s := lab.BackedService(name)
	s.Annotations["fairlead.dev/address-pool"] = pool
	return w.Expose(ctx, s, w.Client(backend))
}

// removeServices deletes Services and waits until nobody answers for their addresses any more.
func (w *world) removeServices(t *testing.T, addresses []netip.Addr, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	inParallel(names, func(name string) {
		err := w.Kubernetes.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	measure.Eventually(ctx, t, "silence", 10*time.Second, func() error {
		answers, err := w.ask(ctx, addresses)
		for a, macs := range answers {
			if len(macs) > 0 {
				err = fmt.Errorf("%v answer for %s", macs, a)
			}
		}
		return err
	})
}

// ask asks the segment once who has each address.
func (w *world) ask(ctx context.Context, addresses []netip.Addr) (map[netip.Addr][]net.HardwareAddr, error) {
	return w.Client(watching).AnswerersOf(ctx, addresses...)
}

// owners waits until exactly one node answers for each address, and returns it.
func (w *world) owners(ctx context.Context, t *testing.T, addresses []netip.Addr) map[netip.Addr]*lab.Node {
	t.Helper()
	var owners map[netip.Addr]*lab.Node
	measure.Eventually(ctx, t, fmt.Sprintf("one owner each of %d addresses", len(addresses)), 20*time.Second, func() error {
		answers, err := w.ask(ctx, addresses)
		if err != nil {
			return err
		}
		owners = map[netip.Addr]*lab.Node{}
		for _, a := range addresses {
			if len(answers[a]) != 1 {
				return fmt.Errorf("%d answer for %s: %v", len(answers[a]), a, answers[a])
			}
			if owners[a] = w.nodeByMAC(answers[a][0]); owners[a] == nil {
				return fmt.Errorf("%s answers for %s and is no node", answers[a][0], a)
			}
		}
		return nil
	})
	return owners
}

func (w *world) nodeByMAC(mac net.HardwareAddr) *lab.Node {
	if host := w.HostByMAC(mac); host != nil {
		return w.NodeNamed(host.Name)
	}
	return nil
}

// victim chooses a node that owns an address of each family, if possible one that has not been chosen for
// long, and returns it with an address of each family.
func victim(t *testing.T, owners map[netip.Addr]*lab.Node, chosen []*lab.Node) (*lab.Node, []netip.Addr) {
	t.Helper()
	owned := map[*lab.Node][2][]netip.Addr{}
	for a, n := range owners {
		o := owned[n]
		family := 0
		if a.Is6() {
			family = 1
		}
		o[family] = append(o[family], a)
		owned[n] = o
	}
	var best *lab.Node
	last := func(n *lab.Node) int {
		for i := len(chosen) - 1; i >= 0; i-- {
			if chosen[i] == n {
				return i
			}
		}
		return -1
	}
	for n, o := range owned {
		if len(o[0]) == 0 || len(o[1]) == 0 {
			continue
		}
		if best == nil || last(n) < last(best) || last(n) == last(best) && n.Name < best.Name {
			best = n
		}
	}
	if best == nil {
		t.Fatal("no node owns an address of each family")
	}
	least := func(list []netip.Addr) netip.Addr { return slices.MinFunc(list, netip.Addr.Compare) }
	return best, []netip.Addr{least(owned[best][0]), least(owned[best][1])}
}

// moved lists what other nodes own now, of that which was not the victim's before.
func moved(before, now map[netip.Addr]*lab.Node, victim *lab.Node) (list []string) {
	for a, n := range before {
		if n != victim && now[a] != n {
			list = append(list, fmt.Sprintf("%s from %s to %s", a, n.Name, now[a].Name))
		}
	}
	slices.Sort(list)
	return list
}

// serving waits until every speaker sees all the others. It asks them and not the API server, which may be away.
func (w *world) serving(ctx context.Context, t *testing.T) time.Duration {
	t.Helper()
	return measure.Eventually(ctx, t, "all speakers among the others", 30*time.Second, func() error {
		for _, n := range w.Nodes {
			page, err := w.page(ctx, n, "/metrics")
			if err != nil {
				return err
			}
			if members := lab.Sum(page, "fairlead_gossip_members", ""); members != float64(len(w.Nodes)) {
				return fmt.Errorf("%s sees %v speakers", n.Name, members)
			}
			// Sessions that do not exist yet would leave detection to gossip. Absent in a product without them.
			if down := lab.Sum(page, "fairlead_bfd_sessions", `state="down"`); down > 0 {
				return fmt.Errorf("%s has %v sessions that are down", n.Name, down)
			}
		}
		return nil
	})
}

// page gets a page of a node's speaker.
func (w *world) page(ctx context.Context, n *lab.Node, path string) (string, error) {
	status, page, err := n.Page(ctx, lab.SpeakerHTTPPort, path)
	if err == nil && status != http.StatusOK {
		err = errors.New(path + " of " + n.Name + ": " + http.StatusText(status))
	}
	return page, err
}

// total adds up a metric over all speakers.
func (w *world) total(ctx context.Context, t *testing.T, name, label string) float64 {
	t.Helper()
	total, err := w.SpeakersSum(ctx, name, label)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func at(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }
