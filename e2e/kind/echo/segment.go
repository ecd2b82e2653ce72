package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
)

// toward is the interface that packets to an address leave by.
func toward(address netip.Addr) (*net.Interface, error) {
	routes, err := netlink.RouteGet(address.AsSlice())
	if err != nil || len(routes) == 0 {
		return nil, fmt.Errorf("no route to %s: %w", address, err)
	}
	return net.InterfaceByIndex(routes[0].LinkIndex)
}

// whoHas asks on the segment who has an address, by one ARP request or one Neighbor Solicitation, and
// returns the distinct hardware addresses that answer, in the order of their first answers. The kernel's
// cache is neither asked nor changed.
func whoHas(ctx context.Context, address netip.Addr) ([]string, error) {
	eth, err := toward(address)
	if err != nil {
		return nil, err
	}
	ask := askARP
	if address.Is6() {
		ask = askNDP
	}
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var macs []string
	err = ask(eth, address, deadline, func(mac net.HardwareAddr) {
		if !slices.Contains(macs, mac.String()) {
			macs = append(macs, mac.String())
		}
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return macs, fmt.Errorf("asking who has %s: %w", address, err)
	}
	return macs, nil
}

func askARP(eth *net.Interface, address netip.Addr, deadline time.Time, answer func(net.HardwareAddr)) error {
	conn, err := arp.Dial(eth)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if err := conn.Request(address); err != nil {
		return err
	}
	for {
		p, _, err := conn.Read()
		if err != nil {
			return err
		}
		// Announcements in reply form (RFC 5227, section 3) have the address itself as their target.
		if p.Operation == arp.OperationReply && p.SenderIP == address && p.TargetIP != address {
			answer(p.SenderHardwareAddr)
		}
	}
}

func askNDP(eth *net.Interface, address netip.Addr, deadline time.Time, answer func(net.HardwareAddr)) error {
	conn, _, err := ndp.Listen(eth, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return err
	}
	solicitation := &ndp.NeighborSolicitation{
		TargetAddress: address,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: eth.HardwareAddr}},
	}
	if err := conn.WriteTo(solicitation, nil, group); err != nil {
		return err
	}
	for {
		message, _, _, err := conn.ReadFrom()
		if err != nil {
			return err
		}
		// RFC 4861, section 4.4: the Solicited flag tells an answer from an announcement.
		advertisement, ok := message.(*ndp.NeighborAdvertisement)
		if !ok || !advertisement.Solicited || advertisement.TargetAddress != address {
			continue
		}
		for _, o := range advertisement.Options {
			if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == ndp.Target {
				answer(l.Addr)
			}
		}
	}
}

// neighbor returns what the kernel has in its ARP or NDP cache for an address, nil if nothing.
func neighbor(address netip.Addr) (net.HardwareAddr, error) {
	eth, err := toward(address)
	if err != nil {
		return nil, err
	}
	family := netlink.FAMILY_V4
	if address.Is6() {
		family = netlink.FAMILY_V6
	}
	entries, err := netlink.NeighList(eth.Index, family)
	if err != nil {
		return nil, fmt.Errorf("reading the neighbours of %s: %w", eth.Name, err)
	}
	for _, e := range entries {
		if a, ok := netip.AddrFromSlice(e.IP); ok && a.Unmap() == address && len(e.HardwareAddr) > 0 {
			return e.HardwareAddr, nil
		}
	}
	return nil, nil
}
