//go:build linux

package bgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// askPatience is for how long routers may take to answer; RFC 4861 section 6.2.6 lets them wait for half a second.
const askPatience = time.Second

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

func (k *kernel) resolve(ctx context.Context, p Peer) (netip.Addr, error) {
	if p.Interface == "" {
		return p.Address, nil
	}
	link, err := net.InterfaceByName(p.Interface)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking for the router on %s: there is no such interface", p.Interface)
	}
	if link.Flags&net.FlagUp == 0 {
		return netip.Addr{}, fmt.Errorf("looking for the router on %s: the interface is down", p.Interface)
	}
	own, err := ownLinkLocal(link)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking for the router on %s: %w", p.Interface, err)
	}
	a, err := ask(ctx, link, own)
	if err != nil {
		// The kernel's table is for routers that answer no question: what it takes for reachable may have been gone
		// for half a minute (RFC 4861 section 10), in which another router has taken its place.
		table, _ := netlink.NeighList(link.Index, netlink.FAMILY_V6)
		var ok bool
		if a, ok = routerOf(table, own); !ok {
			return netip.Addr{}, fmt.Errorf("looking for the router on %s: %w", p.Interface, err)
		}
	}
	return a.WithZone(p.Interface), nil
}

// ownLinkLocal returns this node's link-local addresses on an interface.
func ownLinkLocal(link *net.Interface) (own []netip.Addr, err error) {
	addresses, err := link.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			if address, ok := netip.AddrFromSlice(n.IP); ok && address.Is6() && address.IsLinkLocalUnicast() {
				own = append(own, address)
			}
		}
	}
	if len(own) == 0 {
		return nil, errors.New("it has no IPv6 link-local address")
	}
	return own, nil
}

// routerOf returns the router among the neighbours that the kernel knows: one that has said so, in a Router or a
// Neighbor Advertisement, and that was heard last. A neighbour that has not said so may be any host.
func routerOf(table []netlink.Neigh, own []netip.Addr) (router netip.Addr, ok bool) {
	const alive = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT
	var since uint32 // it was heard, in ticks ago
	for _, n := range table {
		a, valid := netip.AddrFromSlice(n.IP)
		if !valid || !a.IsLinkLocalUnicast() || n.Flags&netlink.NTF_ROUTER == 0 || n.State&alive == 0 || slices.Contains(own, a) {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(n.Confirmed, since), a.Compare(router)) < 0 {
			router, since, ok = a, n.Confirmed, true
		}
	}
	return router, ok
}

// ask finds the router on a link by asking for Router Advertisements (RFC 4861 section 6.3.7). Not every router that
// speaks BGP sends these, but all are in the group of all routers: so it is pinged, too. It also tells the router of
// this node, since FRR's bgpd has an unnumbered peer only once its zebra has had a Router Advertisement of it.
func ask(ctx context.Context, link *net.Interface, own []netip.Addr) (netip.Addr, error) {
	socket, err := icmp.ListenPacket("ip6:ipv6-icmp", own[0].WithZone(strconv.Itoa(link.Index)).String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer socket.Close()
	conn := socket.IPv6PacketConn()
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	filter.Accept(ipv6.ICMPTypeEchoReply)
	err = errors.Join(conn.SetICMPFilter(&filter), conn.SetMulticastHopLimit(ndp.HopLimit), conn.SetHopLimit(ndp.HopLimit),
		conn.SetMulticastInterface(link), conn.SetControlMessage(ipv6.FlagHopLimit, true),
		conn.SetMulticastLoopback(false), conn.SetChecksum(true, 2))
	if err != nil {
		return netip.Addr{}, err
	}
	var options []ndp.Option
	if len(link.HardwareAddr) == 6 {
		options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: link.HardwareAddr}}
	}
	rs, err := ndp.MarshalMessage(&ndp.RouterSolicitation{Options: options})
	if err != nil {
		return netip.Addr{}, err
	}
	// Of no lifetime: nobody is to take this node for its default router.
	ra, err := ndp.MarshalMessage(&ndp.RouterAdvertisement{Options: options})
	if err != nil {
		return netip.Addr{}, err
	}
	echo := []byte{byte(ipv6.ICMPTypeEchoRequest), 0, 0, 0, 0, 0, 0, 0}
	for _, m := range []struct {
		b  []byte
		to netip.Addr
	}{{ra, allNodes}, {rs, allRouters}, {echo, allRouters}} {
		to := &net.IPAddr{IP: m.to.AsSlice(), Zone: strconv.Itoa(link.Index)}
		if _, err := conn.WriteTo(m.b, nil, to); err != nil {
			return netip.Addr{}, errors.New("sending on it: " + errorWords(err))
		}
	}
	deadline := time.Now().Add(askPatience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = conn.SetReadDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	for b := make([]byte, 1500); ; {
		n, cm, from, err := conn.ReadFrom(b)
		if err != nil {
			return netip.Addr{}, errors.New("no router answers")
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || n < 4 {
			continue
		}
		a, ok := netip.AddrFromSlice(ip.IP)
		// RFC 4861 section 6.1.2: an advertisement from afar is not one.
		far := ipv6.ICMPType(b[0]) == ipv6.ICMPTypeRouterAdvertisement && (cm == nil || cm.HopLimit != ndp.HopLimit)
		if ok && !far && a.IsLinkLocalUnicast() && !slices.Contains(own, a) {
			return a, nil
		}
	}
}
