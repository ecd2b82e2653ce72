package lab

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bridgeName is the switch's bridge, in the namespace "switch".
const bridgeName = "br0"

// outsideName is the bridge of the segment beyond the routers.
const outsideName = "br1"

// storageName is the bridge of the nodes' storage network, and storageLink a node's interface there, the first by its name.
const storageName, storageLink = "br2", "data0"

// network is the switch and the hosts at its ports.
type network struct {
	sw      *namespace
	bridge  *netlink.Bridge // the nodes' segment
	outside *netlink.Bridge // the segment beyond the routers
	storage *netlink.Bridge // the nodes' storage network; nil without one

	mu      sync.Mutex
	islands map[string]*netlink.Bridge // further bridges while the segment is partitioned
	denied  map[string]bool            // tables of the packet filter that cut a port one way
}

// quiet are settings of every namespace, made before it has links: addresses usable at once (a lab's
// addresses are unique, duplicate address detection would cost a second), no router to be looked for, and
// no reverse path filter, which would hide where a packet really goes.
var quiet = []string{
	"net/ipv6/conf/all/accept_dad=0", "net/ipv6/conf/default/accept_dad=0",
	"net/ipv6/conf/all/accept_ra=0", "net/ipv6/conf/default/accept_ra=0",
	"net/ipv6/conf/default/router_solicitations=0",
	"net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/default/rp_filter=0",
}

// newNetwork makes the switch: no spanning tree, no multicast snooping (it would drop the Neighbor
// Solicitations that no querier has taught it to forward), and no address of its own.
func newNetwork() (*network, error) {
	sw, err := newNamespace("switch")
	if err != nil {
		return nil, err
	}
	n := &network{sw: sw, islands: map[string]*netlink.Bridge{}, denied: map[string]bool{}}
	if err := sw.sysctls("net/ipv6/conf/all/disable_ipv6=1", "net/ipv6/conf/default/disable_ipv6=1"); err != nil {
		return nil, joinClose(err, sw)
	}
	if n.bridge, err = n.newBridge(bridgeName); err != nil {
		return nil, joinClose(err, sw)
	}
	if n.outside, err = n.newBridge(outsideName); err != nil {
		return nil, joinClose(err, sw)
	}
	return n, nil
}

func (n *network) newBridge(name string) (*netlink.Bridge, error) {
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snooping}
	if err := n.sw.nl.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("making the bridge %s of the switch: %w", name, err)
	}
	if err := n.sw.nl.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("setting the bridge %s of the switch up: %w", name, err)
	}
	return bridge, nil
}

// connect lays a cable between a port of the switch and a link of the host.
func (n *network) connect(bridge *netlink.Bridge, port string, host *namespace, link string, mac net.HardwareAddr) error {
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: port, MasterIndex: bridge.Index},
		PeerName:         link,
		PeerHardwareAddr: mac,
		PeerNamespace:    netlink.NsFd(host.fd),
	}
	if err := n.sw.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("connecting %s of %s to the switch: %w", link, host.name, err)
	}
	if err := n.sw.nl.LinkSetUp(veth); err != nil {
		return fmt.Errorf("setting the switch port %s of %s up: %w", port, host.name, err)
	}
	return nil
}

func (n *network) close() error { return n.sw.close() }

// configure sets a link of the namespace up with these addresses. It returns the link's index.
func (n *namespace) configure(link string, addresses ...netip.Prefix) (netlink.Link, error) {
	l, err := n.nl.LinkByName(link)
	if err != nil {
		return nil, fmt.Errorf("finding %s of %s: %w", link, n.name, err)
	}
	for _, a := range addresses {
		if err := n.addAddress(l, a); err != nil {
			return nil, err
		}
	}
	if err := n.nl.LinkSetUp(l); err != nil {
		return nil, fmt.Errorf("setting %s of %s up: %w", link, n.name, err)
	}
	return l, nil
}

func (n *namespace) addAddress(l netlink.Link, a netip.Prefix) error {
	address := &netlink.Addr{IPNet: ipNet(a.Addr(), a.Bits())}
	if a.Addr().Is6() {
		address.Flags = unix.IFA_F_NODAD
	}
	if err := n.nl.AddrAdd(l, address); err != nil {
		return fmt.Errorf("adding %s to %s of %s: %w", a, l.Attrs().Name, n.name, err)
	}
	return nil
}

// addRoute routes a prefix via a neighbour that is taken to be on the link, or to the link itself if via
// is the zero Addr.
func (n *namespace) addRoute(l netlink.Link, to netip.Prefix, via netip.Addr) error {
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: networkOf(to)}
	if via.IsValid() {
		route.Gw = via.AsSlice()
		route.Flags = int(netlink.FLAG_ONLINK)
	} else if to.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	if err := n.nl.RouteAdd(route); err != nil {
		return fmt.Errorf("routing %s via %s on %s of %s: %w", to, via, l.Attrs().Name, n.name, err)
	}
	return nil
}

func (n *namespace) removeAddress(l netlink.Link, a netip.Prefix) error {
	if err := n.nl.AddrDel(l, &netlink.Addr{IPNet: ipNet(a.Addr(), a.Bits())}); err != nil {
		return fmt.Errorf("removing %s from %s of %s: %w", a, l.Attrs().Name, n.name, err)
	}
	return nil
}
