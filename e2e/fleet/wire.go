package fleet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// poolRanges are the addresses of a pool.
func poolRanges(p v1alpha1.IPAddressPool) (*netipx.IPSet, error) {
	var b netipx.IPSetBuilder
	for i, list := range [][]v1alpha1.AddressRange{p.Spec.Addresses, p.Spec.ExcludeAddresses} {
		for _, text := range list {
			r, err := lb.ParseRange(string(text))
			if err != nil {
				return nil, fmt.Errorf("the IPAddressPool %s: %w", p.Name, err)
			}
			if i == 0 {
				b.AddRange(r)
			} else {
				b.RemoveRange(r)
			}
		}
	}
	return b.IPSet()
}

// Ask asks the segment once who has each address.
func (f *Fleet) Ask(ctx context.Context, addresses ...netip.Addr) (map[netip.Addr][]net.HardwareAddr, error) {
	return f.Watcher.AnswerersOf(ctx, addresses...)
}

// Owners are the nodes that answer for addresses, if exactly one does for each.
func (f *Fleet) Owners(ctx context.Context, addresses ...netip.Addr) (map[netip.Addr]*lab.Node, error) {
	answers, err := f.Ask(ctx, addresses...)
	if err != nil {
		return nil, err
	}
	owners := map[netip.Addr]*lab.Node{}
	for _, a := range addresses {
		if len(answers[a]) != 1 {
			return nil, fmt.Errorf("%d answer for %s: %v", len(answers[a]), a, answers[a])
		}
		if owners[a] = f.NodeByMAC(answers[a][0]); owners[a] == nil {
			return nil, fmt.Errorf("%s answers for %s and is no node", answers[a][0], a)
		}
	}
	return owners, nil
}

// NodeByMAC is the node with this hardware address, nil if there is none.
func (f *Fleet) NodeByMAC(mac net.HardwareAddr) *lab.Node {
	if host := f.HostByMAC(mac); host != nil {
		return f.NodeNamed(host.Name)
	}
	return nil
}

// unused is how many addresses of each pool and family that no Service has are asked for.
const unused = 8

// told splits the Services' addresses by pool, and adds some of each pool that no Service has: the lowest, which are the
// next to be given.
func told(s *state, pool string) (used, free []netip.Addr, err error) {
	for _, p := range s.pools {
		if p.Name != pool {
			continue
		}
		ranges, err := poolRanges(p)
		if err != nil {
			return nil, nil, err
		}
		for a := range s.owners {
			if ranges.Contains(a) {
				used = append(used, a)
			}
		}
		var count [2]int
		for _, r := range ranges.Ranges() {
			for a := r.From(); r.Contains(a) && count[family(a)] < unused; a = a.Next() {
				if s.owners[a] == nil {
					free = append(free, a)
					count[family(a)]++
				}
			}
		}
	}
	slices.SortFunc(used, netip.Addr.Compare)
	return used, free, nil
}

// owned checks that the segment, and the Speakers' statuses, have one owner for each address of the layer-2 pool, and
// none for the others.
func (f *Fleet) owned(ctx context.Context, s *state) error {
	used, free, err := told(s, SegmentPool)
	if err != nil {
		return err
	}
	answers, err := f.Ask(ctx, slices.Concat(used, free)...)
	if err != nil {
		return err
	}
	says := map[netip.Addr]string{}
	for node, status := range s.speakers {
		if status.Layer2 == nil {
			continue
		}
		if int(status.Layer2.Owned) != len(status.Layer2.Addresses) && !status.Layer2.Truncated {
			return fmt.Errorf("the Speaker %s says that it owns %d addresses, and names %d", node, status.Layer2.Owned, len(status.Layer2.Addresses))
		}
		for _, x := range status.Layer2.Addresses {
			a, err := netip.ParseAddr(x.Address)
			if err != nil {
				return fmt.Errorf("the Speaker %s: %w", node, err)
			}
			if x.For != "" {
				return fmt.Errorf("the Speaker %s says that it stands in for %s with %s", node, x.For, a)
			}
			if other := says[a]; other != "" {
				return fmt.Errorf("the Speakers %s and %s both say that they own %s", node, other, a)
			}
			says[a] = node
		}
	}
	for _, a := range used {
		if len(answers[a]) != 1 {
			return fmt.Errorf("%d answer for %s: %v", len(answers[a]), a, answers[a])
		}
		node := f.NodeByMAC(answers[a][0])
		if node == nil {
			return fmt.Errorf("%s answers for %s and is no node", answers[a][0], a)
		}
		if says[a] != node.Name {
			return fmt.Errorf("%s answers for %s, and the Speakers' statuses say %q", node.Name, a, says[a])
		}
		delete(says, a)
	}
	for _, a := range free {
		if len(answers[a]) > 0 {
			return fmt.Errorf("%v answer for %s, which no Service has", answers[a], a)
		}
	}
	for a, node := range says {
		return fmt.Errorf("the Speaker %s says that it owns %s, which no Service has", node, a)
	}
	return nil
}

// Labels and annotations by which a node is to take no traffic.
const (
	ExcludeLabel    = "node.kubernetes.io/exclude-from-external-load-balancers"
	DrainAnnotation = "fairlead.dev/drain"
	outOfService    = "node.kubernetes.io/out-of-service"
)

// takesPart are the nodes that are to take traffic.
func (f *Fleet) takesPart(s *state) (list []*lab.Node) {
	for _, n := range s.nodes {
		_, excluded := n.Labels[ExcludeLabel]
		_, drained := n.Annotations[DrainAnnotation]
		for _, t := range n.Spec.Taints {
			excluded = excluded || t.Key == outOfService
		}
		if node := f.NodeNamed(n.Name); node != nil && !excluded && !drained {
			list = append(list, node)
		}
	}
	return list
}

// routed checks that each router, and the Speakers' statuses, have exactly the expected nodes as next hops to each address
// of the routed pool, and no route to others.
func (f *Fleet) routed(ctx context.Context, s *state) error {
	used, free, err := told(s, RoutedPool)
	if err != nil {
		return err
	}
	nodes := f.takesPart(s)
	var want [2][]netip.Addr
	for _, n := range nodes {
		want[0], want[1] = append(want[0], n.V4), append(want[1], n.V6)
	}
	for i := range want {
		slices.SortFunc(want[i], netip.Addr.Compare)
	}
	for _, r := range f.Routers {
		for _, a := range slices.Concat(used, free) {
			hops, err := r.NextHops(netip.PrefixFrom(a, a.BitLen()))
			if err != nil {
				return err
			}
			switch has := s.owners[a] != nil; {
			case has && !slices.Equal(hops, want[family(a)]):
				return fmt.Errorf("%s has the next hops %v to %s, and is to have %v", r.Name, hops, a, want[family(a)])
			case !has && len(hops) > 0:
				return fmt.Errorf("%s has the next hops %v to %s, which no Service has", r.Name, hops, a)
			}
		}
		received, err := r.Received(ctx)
		if err != nil {
			return err
		}
		for _, n := range f.Nodes {
			expect := 0
			if slices.Contains(nodes, n) {
				expect = len(used)
			}
			if received[n.Name] != expect {
				return fmt.Errorf("%s has %d prefixes from %s, and is to have %d", r.Name, received[n.Name], n.Name, expect)
			}
			if err := says(s.speakers[n.Name], n.Name, r.Name, expect); err != nil {
				return err
			}
		}
	}
	return nil
}

func says(status v1alpha1.SpeakerStatus, node, peer string, prefixes int) error {
	for _, b := range status.BGPSessions {
		if b.Peer != peer {
			continue
		}
		if b.State != v1alpha1.BGPSessionEstablished || int(b.PrefixesAdvertised) != prefixes {
			return fmt.Errorf("the Speaker %s says that its session with %s is %s, with %d prefixes instead of %d: %s",
				node, peer, b.State, b.PrefixesAdvertised, prefixes, b.LastError)
		}
		if b.BFDState == v1alpha1.BFDSessionDown {
			return fmt.Errorf("the Speaker %s says that BFD with %s is down", node, peer)
		}
		return nil
	}
	return fmt.Errorf("the Speaker %s has no session with %s", node, peer)
}
