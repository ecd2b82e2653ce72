//go:build linux

package layer2

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxNeighbors is how many hosts of an interface are enough to tell a segment that is silent from one that is not.
const maxNeighbors = 8

// Neighbors returns, from the kernel's neighbour table, hosts on the segments of interfaces that are likely to
// answer a probe: a few of each, the one heard of last first.
func Neighbors(interfaces []string) ([]Target, error) {
	links, err := consistently(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		if a := l.Attrs(); slices.Contains(interfaces, a.Name) {
			names[a.Index] = a.Name
		}
	}
	table, err := consistently(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, unix.AF_UNSPEC) })
	if err != nil {
		return nil, fmt.Errorf("listing neighbours: %w", err)
	}
	return witnesses(table, names, maxNeighbors), nil
}

// witnesses returns up to most hosts of each interface, by the interface's name and then by when they were last
// heard of. One host counts once, however many addresses it has: it is hosts that are asked for.
func witnesses(table []netlink.Neigh, names map[int]string, most int) []Target {
	const alive = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	type host struct {
		Target
		since     uint32 // the kernel heard of it last, in ticks ago
		permanent bool   // by configuration: it may never have been heard of
	}
	var hosts []host
	for _, n := range table {
		address, ok := netip.AddrFromSlice(n.IP)
		name, known := names[n.LinkIndex]
		address = address.Unmap()
		if !ok || !known || n.State&alive == 0 || n.Flags&netlink.NTF_PROXY != 0 || !isHost(n.HardwareAddr) ||
			address.IsMulticast() || address.IsUnspecified() {
			continue
		}
		hosts = append(hosts, host{Target{name, n.HardwareAddr, address}, n.Confirmed, n.State&netlink.NUD_PERMANENT != 0})
	}
	slices.SortFunc(hosts, func(a, b host) int {
		permanent := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), permanent[a.permanent]-permanent[b.permanent],
			cmp.Compare(a.since, b.since), bytes.Compare(a.HardwareAddr, b.HardwareAddr), a.Address.Compare(b.Address))
	})
	var targets []Target
	taken := map[string]int{}
	for _, h := range hosts {
		key := h.Interface + "/" + h.HardwareAddr.String()
		if taken[key] == 0 && taken[h.Interface] < most {
			taken[key]++
			taken[h.Interface]++
			targets = append(targets, h.Target)
		}
	}
	return targets
}
