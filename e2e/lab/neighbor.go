package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NUDState is the state of a neighbour entry (RFC 4861, section 7.3.2; Linux has the same for ARP).
type NUDState int

var nudNames = []struct {
	state NUDState
	name  string
}{
	{unix.NUD_INCOMPLETE, "INCOMPLETE"}, {unix.NUD_REACHABLE, "REACHABLE"}, {unix.NUD_STALE, "STALE"}, {unix.NUD_DELAY, "DELAY"},
	{unix.NUD_PROBE, "PROBE"}, {unix.NUD_FAILED, "FAILED"}, {unix.NUD_NOARP, "NOARP"}, {unix.NUD_PERMANENT, "PERMANENT"},
}

func (s NUDState) String() string {
	var names []string
	for _, n := range nudNames {
		if s&n.state != 0 {
			names = append(names, n.name)
		}
	}
	if names == nil {
		return "NONE"
	}
	return strings.Join(names, "|")
}

// Neighbor is an entry of a host's ARP or NDP cache.
type Neighbor struct {
	Address netip.Addr
	MAC     net.HardwareAddr // nil while it is not known
	State   NUDState
}

// Neighbor is what the host's kernel has in its cache for an address, as is: nothing is asked on the wire.
// It tells false if there is no entry.
func (h *Host) Neighbor(address netip.Addr) (Neighbor, bool, error) {
	entry, err := h.findNeighbor(address)
	if err != nil || entry == nil {
		return Neighbor{}, false, err
	}
	return Neighbor{Address: address, MAC: entry.HardwareAddr, State: NUDState(entry.State)}, true, nil
}

func (h *Host) findNeighbor(address netip.Addr) (*netlink.Neigh, error) {
	family := unix.AF_INET
	if address.Is6() {
		family = unix.AF_INET6
	}
	entries, err := h.ns.nl.NeighList(h.eth0.Attrs().Index, family)
	if err != nil {
		return nil, fmt.Errorf("reading the neighbours of %s: %w", h.Name, err)
	}
	for i := range entries {
		if a, ok := netip.AddrFromSlice(entries[i].IP); ok && a.Unmap() == address {
			return &entries[i], nil
		}
	}
	return nil, nil
}

// FlushNeighbor removes an address from the host's cache, so that its kernel asks at the next packet.
func (h *Host) FlushNeighbor(address netip.Addr) error {
	entry, err := h.findNeighbor(address)
	if err != nil || entry == nil {
		return err
	}
	if err := h.ns.nl.NeighDel(entry); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing the neighbour %s of %s: %w", address, h.Name, err)
	}
	return nil
}

// SetNeighbor puts a permanent entry into the host's cache. FlushNeighbor removes it.
func (h *Host) SetNeighbor(address netip.Addr, mac net.HardwareAddr) error {
	err := h.ns.nl.NeighSet(&netlink.Neigh{
		LinkIndex: h.eth0.Attrs().Index, IP: address.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
	})
	if err != nil {
		return fmt.Errorf("setting the neighbour %s of %s: %w", address, h.Name, err)
	}
	return nil
}
