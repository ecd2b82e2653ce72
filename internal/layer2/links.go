//go:build linux

package layer2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Links lists, by name, the interfaces of this node that are up, speak Ethernet and are not a part of
// another one (a bridge's port, a bond's slave). Virtual Ethernet without a subnet, as CNIs make one for
// every Pod, is left out: every Pod that comes and goes would be news to all speakers.
func Links() ([]Link, error) {
	all, err := consistently(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	addresses, err := consistently(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_UNSPEC) })
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	prefixes, alone, linkLocal := map[int][]netip.Prefix{}, map[int][]lone{}, map[int]netip.Addr{}
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, bits := a.Mask.Size()
		ip = ip.Unmap()
		if ok && ip.Is6() && ip.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			if old, known := linkLocal[a.LinkIndex]; !known || ip.Less(old) {
				linkLocal[a.LinkIndex] = ip
			}
		}
		if !ok || !ip.IsGlobalUnicast() || temporary(ones, bits, a.Flags) {
			continue
		}
		prefixes[a.LinkIndex] = append(prefixes[a.LinkIndex], netip.PrefixFrom(ip, ones))
		if mayHaveSubnet(ip, ones, a.Flags) {
			alone[a.LinkIndex] = append(alone[a.LinkIndex], lone{ip, a.Flags&unix.IFA_F_PERMANENT == 0})
		}
	}
	// It has IPv6 addresses too, but for those the kernel answers on their own interface alone.
	ipvs := slices.ContainsFunc(all, func(l netlink.Link) bool {
		return l.Attrs().Name == ipvsInterface && slices.ContainsFunc(prefixes[l.Attrs().Index], func(p netip.Prefix) bool { return p.Addr().Is4() })
	})
	subnets := sync.OnceValues(onLink) // most nodes never need them
	var links []Link
	for _, l := range all {
		attrs := l.Attrs()
		usable := attrs.Flags&net.FlagUp != 0 && attrs.Flags&net.FlagLoopback == 0 && attrs.RawFlags&unix.IFF_NOARP == 0 && attrs.MasterIndex == 0 &&
			attrs.OperState != netlink.OperDown && attrs.OperState != netlink.OperLowerLayerDown &&
			attrs.EncapType == "ether" && len(attrs.HardwareAddr) == 6
		if !usable {
			continue
		}
		own := prefixes[attrs.Index]
		if without := alone[attrs.Index]; len(without) > 0 {
			routes, err := subnets()
			if err != nil {
				return nil, err
			}
			withSubnets(own, without, routes[attrs.Index])
		}
		if l.Type() == "veth" && !slices.ContainsFunc(own, isSubnet) {
			continue
		}
		slices.SortFunc(own, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		links = append(links, Link{
			lb.Interface{Name: attrs.Name, HardwareAddr: attrs.HardwareAddr, Prefixes: own, Slaves: slaves(l, all)}, attrs.Index, linkLocal[attrs.Index], ipvs && looseARP(attrs.Name),
		})
	}
	slices.SortFunc(links, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	return links, nil
}

// slaves returns the hardware addresses that a bond has besides its own: with one of these modes each slave has one, and
// sends with it. In balance-alb the kernel also writes it into the bond's ARP answers, others' choice.
func slaves(l netlink.Link, all []netlink.Link) (list []net.HardwareAddr) {
	bond, ok := l.(*netlink.Bond)
	if !ok || (bond.Mode != netlink.BOND_MODE_BALANCE_TLB && bond.Mode != netlink.BOND_MODE_BALANCE_ALB) {
		return nil
	}
	for _, s := range all {
		if hw := s.Attrs().HardwareAddr; s.Attrs().MasterIndex == bond.Index && len(hw) == 6 && !same(hw, bond.HardwareAddr) {
			list = append(list, hw)
		}
	}
	slices.SortFunc(list, func(a, b net.HardwareAddr) int { return bytes.Compare(a, b) })
	return list
}

// looseARP tells whether the kernel speaks ARP on an interface for the addresses of others. What cannot be read is
// not complained of.
func looseARP(name string) bool {
	own, err := readARPSettings(name)
	all, err2 := readARPSettings("all")
	return err == nil && err2 == nil && !own.effective(all).strict()
}

// readARPSettings reads what is set for an interface, or for "all".
func readARPSettings(name string) (s arpSettings, err error) {
	for setting, value := range map[string]*int{"arp_ignore": &s.ignore, "arp_announce": &s.announce} {
		text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + name + "/" + setting)
		if err == nil {
			*value, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if err != nil {
			return s, fmt.Errorf("reading %s of interface %s: %w", setting, name, err)
		}
	}
	return s, nil
}

// consistently lists again when the kernel says that something changed meanwhile, as happens where Pods come
// and go. A list that is not quite consistent is taken in the end: the change that disturbed it is told, too.
func consistently[T any](list func() ([]T, error)) (items []T, err error) {
	for range 3 {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return items, err
		}
	}
	return items, nil
}

// watchPause is between two calls of what WatchLinks calls: where Pods come and go, a lot changes at a time.
const watchPause = 50 * time.Millisecond

// WatchLinks calls changed whenever interfaces or their addresses may have changed, until ctx ends.
func WatchLinks(ctx context.Context, log *slog.Logger, changed func()) error {
	for {
		if err := watchLinks(ctx, 0, changed); err != nil && ctx.Err() == nil {
			// An overrun, as a rule (ENOBUFS): more changed than was read. It is all looked at anew.
			log.Warn("following interfaces failed, starting over", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// watchLinks does so until something fails, with sockets that have room for receiveBuffer octets, or as much as
// is usual if that is zero.
func watchLinks(ctx context.Context, receiveBuffer int, changed func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	links, addresses := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	failed := func(err error) { cancel(err) }
	if err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: receiveBuffer}); err != nil {
		return fmt.Errorf("subscribing to interfaces: %w", err)
	}
	defer drain(links)
	if err := netlink.AddrSubscribeWithOptions(addresses, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: receiveBuffer}); err != nil {
		return fmt.Errorf("subscribing to addresses: %w", err)
	}
	defer drain(addresses)
	changed() // by what happened before there was a subscription
	var pause <-chan time.Time
	again := false // something changed in the pause
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause:
			if pause = nil; !again {
				continue
			}
		case _, ok := <-links:
			if !ok {
				return context.Cause(ctx)
			}
		case a, ok := <-addresses:
			if !ok {
				return context.Cause(ctx)
			}
			if ones, bits := a.LinkAddress.Mask.Size(); temporary(ones, bits, a.Flags) {
				continue
			}
		}
		if again = pause != nil; !again {
			changed()
			pause = time.After(watchPause)
		}
	}
}

// drain takes what a subscription still has to say until it closes its channel: its goroutine would wait
// for a reader for ever otherwise.
func drain[T any](updates <-chan T) {
	go func() {
		for range updates {
		}
	}()
}
