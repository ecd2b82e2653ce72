package lab

import (
	"fmt"
	"net"
	"net/netip"
)

// The lab's addresses come from the ranges that RFC 5737, RFC 3849 and RFC 2544 keep for documentation and
// tests, so that nothing can be confused with a network that exists.
var (
	Segment4  = netip.MustParsePrefix("192.0.2.0/24")
	Segment6  = netip.MustParsePrefix("2001:db8::/64")
	Pods4     = netip.MustParsePrefix("198.18.0.0/16")
	Pods6     = netip.MustParsePrefix("2001:db8:18::/48")
	Services4 = netip.MustParsePrefix("198.19.0.0/16")
	Services6 = netip.MustParsePrefix("2001:db8:19::/112")

	// The segment beyond the routers.
	Outside4 = netip.MustParsePrefix("203.0.113.0/24")
	Outside6 = netip.MustParsePrefix("2001:db8:113::/64")

	// Routed4, Routed6 and the much larger RoutedMany4 are on no segment, for pools of addresses that only
	// routers lead to.
	Routed4     = netip.MustParsePrefix("198.51.100.0/24")
	Routed6     = netip.MustParsePrefix("2001:db8:51::/64")
	RoutedMany4 = netip.MustParsePrefix("198.18.128.0/17")
)

// The ranges that no host of the segment uses, for pools.
const (
	Pool4 = "192.0.2.200-192.0.2.250"
	Pool6 = "2001:db8::200-2001:db8::2ff"
)

// apiServerPort is where the API server listens in the cp namespace.
const apiServerPort = 6443

// The last part of the hosts' addresses: cp is 2, the first router 3, the first node 11, the first client 101.
// Addresses from 200 on are for pools. A router has the same number on both of its segments.
const (
	numberCP      = 2
	numberRouters = 3
	maxRouters    = numberNodes - numberRouters
	numberNodes   = 11
	numberClients = 101
	maxNodes      = numberClients - numberNodes
	maxClients    = 200 - numberClients
)

// segmentAddresses are the addresses of the host with this number. The v6 address reads like the v4 one:
// number 11 is 192.0.2.11 and 2001:db8::11.
func segmentAddresses(number int) (v4, v6 netip.Addr) {
	return netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", number)), netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", number))
}

// segmentMAC is a locally administered address that says whose it is: 02:fa:1e:ad:00:11 is node 11,
// 02:fa:1e:ad:01:01 is client 101.
func segmentMAC(number int) net.HardwareAddr {
	decimal := func(n int) byte { return byte(n/10<<4 | n%10) }
	return net.HardwareAddr{0x02, 0xfa, 0x1e, 0xad, decimal(number / 100), decimal(number % 100)}
}

// outsideAddresses and outsideMAC are the same on the segment beyond the routers.
func outsideAddresses(number int) (v4, v6 netip.Addr) {
	return netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", number)), netip.MustParseAddr(fmt.Sprintf("2001:db8:113::%d", number))
}

// storageAddresses and storageMAC are the same on the storage network.
func storageAddresses(number int) (v4, v6 netip.Addr) {
	return netip.MustParseAddr(fmt.Sprintf("10.77.0.%d", number)), netip.MustParseAddr(fmt.Sprintf("fd77::%d", number))
}

func storageMAC(number int) net.HardwareAddr { return segmentMAC(2000 + number) }

func outsideMAC(number int) net.HardwareAddr { return segmentMAC(1000 + number) }

// podPrefixes are the Pod ranges of the i-th node, counting from 1.
func podPrefixes(i int) (v4, v6 netip.Prefix) {
	return netip.MustParsePrefix(fmt.Sprintf("198.18.%d.0/24", i)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:18:%x::/64", i))
}

// ipNet is prefix p with address a, as netlink wants it.
func ipNet(a netip.Addr, bits int) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}
}

// networkOf is p as netlink wants a route's destination.
func networkOf(p netip.Prefix) *net.IPNet { return ipNet(p.Masked().Addr(), p.Bits()) }
