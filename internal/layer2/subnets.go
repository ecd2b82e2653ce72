//go:build linux

package layer2

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lone is an IPv6 address on an interface that has no subnet of its own.
type lone struct {
	netip.Addr
	expires bool
}

// mayHaveSubnet tells whether such an address may be the node's own, by DHCPv6, which tells no prefix length (RFC 8415
// section 21.6). What keepalived puts on an interface for a Service is deprecated from the start, and for ever.
func mayHaveSubnet(ip netip.Addr, ones, flags int) bool {
	const never = unix.IFA_F_DEPRECATED | unix.IFA_F_PERMANENT
	return ip.Is6() && ones == ip.BitLen() && flags&never != never
}

// withSubnets gives addresses of an interface that have no subnet of their own that which is on the link (RFC 5942
// section 4), as far as no other address there has it. So of the addresses in a subnet, as those of Services that
// another system has put beside the node's own, it is one: sooner one that expires, which is DHCPv6's way, and nobody
// else's, than another.
func withSubnets(prefixes []netip.Prefix, of []lone, onLink []netip.Prefix) {
	slices.SortFunc(of, func(a, b lone) int {
		switch {
		case a.expires == b.expires:
			return a.Compare(b.Addr)
		case a.expires:
			return -1
		}
		return 1
	})
	for _, a := range of {
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return isSubnet(p) && p.Contains(a.Addr) }) {
			continue
		}
		bits := 0
		for _, p := range onLink {
			if p.Contains(a.Addr) {
				bits = max(bits, p.Bits())
			}
		}
		if i := slices.Index(prefixes, netip.PrefixFrom(a.Addr, a.BitLen())); bits > 0 && i >= 0 {
			prefixes[i] = netip.PrefixFrom(a.Addr, bits)
		}
	}
}

// onLink returns the IPv6 subnets that routes without a gateway say are on a link, by the link's index: those of Router
// Advertisements above all. WatchLinks does not follow them: an advertisement is what has a node ask for an address by
// DHCPv6, and where a route does come later it is found within relinkInterval.
func onLink() (map[int][]netip.Prefix, error) {
	routes, err := consistently(func() ([]netlink.Route, error) { return netlink.RouteList(nil, unix.AF_INET6) })
	if err != nil {
		return nil, fmt.Errorf("listing IPv6 routes: %w", err)
	}
	subnets := map[int][]netip.Prefix{}
	for _, r := range routes {
		if r.Dst == nil || r.Type != unix.RTN_UNICAST || r.Gw != nil || r.Via != nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(r.Dst.IP)
		if bits, most := r.Dst.Mask.Size(); ok && bits > 0 && bits < most {
			subnets[r.LinkIndex] = append(subnets[r.LinkIndex], netip.PrefixFrom(ip, bits))
		}
	}
	return subnets, nil
}
