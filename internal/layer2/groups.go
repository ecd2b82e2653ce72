//go:build linux

package layer2

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups are the multicast groups that an interface has joined for the addresses answered for on it: the
// solicited-node group of each (RFC 4861 section 2.3), without which a network card and a switch that
// snoops on MLD would not let solicitations through.
type groups struct {
	index int
	// members counts the addresses of each group: those that share their last 24 bits share one.
	members map[netip.Addr]int
	joined  map[netip.Addr]int // the socket that holds the membership
	// sockets are never bound or read. There is more than one when one socket's option memory is full
	// (net.core.optmem_max).
	sockets []int
}

func newGroups(index int) *groups {
	return &groups{index: index, members: map[netip.Addr]int{}, joined: map[netip.Addr]int{}}
}

func (g *groups) add(address netip.Addr) error {
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return err
	}
	g.members[group]++
	if g.members[group] > 1 {
		return nil
	}
	mreq := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.index)}
	if n := len(g.sockets); n > 0 {
		err := unix.SetsockoptIPv6Mreq(g.sockets[n-1], unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, mreq)
		if err == nil {
			g.joined[group] = g.sockets[n-1]
			return nil
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENOMEM) {
			return fmt.Errorf("joining group %s: %w", group, err)
		}
	}
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket to join groups: %w", err)
	}
	g.sockets = append(g.sockets, socket)
	if err := unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, mreq); err != nil {
		return fmt.Errorf("joining group %s: %w", group, err)
	}
	g.joined[group] = socket
	return nil
}

func (g *groups) remove(address netip.Addr) error {
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return err
	}
	if g.members[group]--; g.members[group] > 0 {
		return nil
	}
	delete(g.members, group)
	socket, ok := g.joined[group]
	if !ok {
		return nil
	}
	delete(g.joined, group)
	mreq := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.index)}
	if err := unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_DROP_MEMBERSHIP, mreq); err != nil {
		return fmt.Errorf("leaving group %s: %w", group, err)
	}
	return nil
}

func (g *groups) close() {
	for _, s := range g.sockets {
		unix.Close(s)
	}
	g.sockets = nil
}
