package upgrade

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const namespace = "default"

// fleetOf are the names of the Services that stay for all tests: 18 addresses of each family, six for each node.
func fleetOf() (names []string) {
	for i := range 9 {
		names = append(names, fmt.Sprintf("fleet-%d", i))
	}
	return names
}

// fleet makes the Services that stay, unless they are there, and returns their addresses.
func (w *world) fleet(ctx context.Context, t *testing.T) []netip.Addr {
	t.Helper()
	for _, name := range fleetOf() {
		if err := w.makeService(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	var all []netip.Addr
	for _, pair := range w.addresses(ctx, t, fleetOf()...) {
		all = append(all, pair...)
	}
	w.owners(ctx, t, all)
	return all
}

// addresses waits until each of these Services has an address of each family, and returns them, IPv4 first.
func (w *world) addresses(ctx context.Context, t *testing.T, names ...string) (list [][]netip.Addr) {
	t.Helper()
	measure.Eventually(ctx, t, "the addresses of "+strings.Join(names, ", "), 30*time.Second, func() error {
		list = nil
		for _, name := range names {
			s, err := w.Kubernetes.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			var pair []netip.Addr
			for _, i := range s.Status.LoadBalancer.Ingress {
				pair = append(pair, netip.MustParseAddr(i.IP))
			}
			if len(pair) != 2 {
				return fmt.Errorf("%s has %v", name, pair)
			}
			slices.SortFunc(pair, netip.Addr.Compare)
			list = append(list, pair)
		}
		return nil
	})
	return list
}

// makeService makes a Service whose only endpoint is the backend host, unless there is one of this name.
func (w *world) makeService(ctx context.Context, name string) error {
	return w.Expose(ctx, lab.BackedService(name), w.Client(backend))
}

// ask asks the segment once who has each address. An answer's Source is who gives it, its MAC who has the address.
func (w *world) ask(ctx context.Context, addresses []netip.Addr) (map[netip.Addr][]lab.Answer, error) {
	type reply struct {
		address netip.Addr
		answers []lab.Answer
		err     error
	}
	replies := make(chan reply, len(addresses))
	for _, a := range addresses {
		go func() {
			answers, err := w.Client(watching).WhoHas(ctx, a, 150*time.Millisecond)
			replies <- reply{a, answers, err}
		}()
	}
	all := map[netip.Addr][]lab.Answer{}
	var failure error
	for range addresses {
		r := <-replies
		if all[r.address] = r.answers; r.err != nil {
			failure = r.err
		}
	}
	return all, failure
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
		for a, list := range answers {
			if len(list) != 1 {
				return fmt.Errorf("%d answer for %s: %v", len(list), a, list)
			}
			host := w.HostByMAC(list[0].MAC)
			if host == nil || w.NodeNamed(host.Name) == nil {
				return fmt.Errorf("%s answers for %s and is no node", list[0].MAC, a)
			}
			owners[a] = w.NodeNamed(host.Name)
		}
		return nil
	})
	return owners
}

// ownerOf chooses a node whose speaker is of a release and that owns an address of each family, the one that is named
// last, and returns it with an address of each.
func (w *world) ownerOf(t *testing.T, owners map[netip.Addr]*lab.Node, r release) (*lab.Node, []netip.Addr) {
	t.Helper()
	for _, n := range slices.Backward(w.Nodes) {
		var pair [2]netip.Addr
		for a, owner := range owners {
			if owner == n && a.Is4() {
				pair[0] = a
			} else if owner == n {
				pair[1] = a
			}
		}
		if w.runs[n.Speaker] == r && pair[0].IsValid() && pair[1].IsValid() {
			return n, pair[:]
		}
	}
	t.Fatalf("no speaker of the %s release owns an address of each family", r.name)
	return nil, nil
}

// unmoved fails if an address has another owner than before.
func unmoved(t *testing.T, before, now map[netip.Addr]*lab.Node) {
	t.Helper()
	for a, n := range before {
		if now[a] != n {
			t.Errorf("%s moved from %s to %s", a, n.Name, now[a].Name)
		}
	}
}

// drain asks for the addresses of a node to be moved away, or ends that.
func (w *world) drain(ctx context.Context, n *lab.Node, wanted bool) error {
	value := "null"
	if wanted {
		value = strconv.Quote("an upgrade")
	}
	patch := fmt.Sprintf(`{"metadata": {"annotations": {"fairlead.dev/drain": %s}}}`, value)
	_, err := w.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func at(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }
