package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses are answered on whatever speaks Ethernet: bridges, bonds, VLANs and MACVLANs, with one subnet or more.
func TestKindsOfInterfaces(t *testing.T) {
	attrs := netlink.LinkAttrs{Name: "top"}
	for _, tt := range []struct {
		kind string
		make func(below int) netlink.Link
		// master is for one that the interface below becomes a part of
		master, vlan bool
	}{
		{kind: "bridge", make: func(int) netlink.Link { return &netlink.Bridge{LinkAttrs: attrs} }, master: true},
		{kind: "bond", make: func(int) netlink.Link {
			b := netlink.NewLinkBond(attrs)
			b.Mode = netlink.BOND_MODE_ACTIVE_BACKUP
			return b
		}, master: true},
		{kind: "macvlan", make: func(below int) netlink.Link {
			return &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "top", ParentIndex: below}, Mode: netlink.MACVLAN_MODE_BRIDGE}
		}},
		{kind: "vlan", make: func(below int) netlink.Link {
			return &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "top", ParentIndex: below}, VlanId: 5, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
		}, vlan: true},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			a := plug(t, "below", 2)
			below, far := must(netlink.LinkByName("below")), must(a.far.LinkByName("far"))
			top := tt.make(below.Attrs().Index)
			if err := netlink.LinkAdd(top); errors.Is(err, unix.EOPNOTSUPP) {
				t.Logf("not tested: this kernel has no %s", tt.kind)
				return
			} else {
				check(t, err)
			}
			defer func() { _ = netlink.LinkDel(top) }()
			if tt.vlan {
				check(t, a.far.LinkAdd(&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "far5", ParentIndex: far.Attrs().Index}, VlanId: 5, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}))
				far = must(a.far.LinkByName("far5"))
				check(t, a.far.LinkSetUp(far))
			}
			names := []string{"below", "top"}
			if tt.master {
				names = names[1:]
				check(t, netlink.LinkSetDown(below)) // a bond's wish
				check(t, netlink.LinkSetMaster(below, top))
				check(t, netlink.LinkSetUp(below))
			}
			for subnet, on := range map[int]netlink.Link{113: top, 114: top} {
				for i, h := range []*netlink.Handle{must(netlink.NewHandle()), a.far} {
					for _, address := range []string{fmt.Sprintf("198.51.%d.%d/24", subnet, i+1), fmt.Sprintf("2001:db8:%d::%d/64", subnet, i+1)} {
						parsed := must(netlink.ParseAddr(address))
						parsed.Flags = syscall.IFA_F_NODAD
						check(t, h.AddrAdd([]netlink.Link{on, far}[i], parsed))
					}
				}
			}
			check(t, netlink.LinkSetUp(top))
			r, _ := newTestResponder(t)
			links := carriers(t, names...)
			l := links[len(links)-1]
			if len(l.Prefixes) != 4 || l.Name != "top" {
				t.Errorf("%+v", l)
			}
			r.SetLinks(links)
			for _, vip := range []string{"198.51.113.200", "2001:db8:113::200", "198.51.114.200", "2001:db8:114::200"} {
				vip := netip.MustParseAddr(vip)
				r.Own(vip, []string{"top"}, nil)
				var got string
				for range 5 { // a bridge or bond may take a moment to forward
					if got = a.resolve(vip); got != "" {
						break
					}
					a.forget(vip)
				}
				if got != l.HardwareAddr.String() {
					t.Errorf("%s is at %q, want %s", vip, got, l.HardwareAddr)
				}
			}
		})
	}
}

// An IPv6 address that DHCPv6 gave has no subnet of its own: that comes as a route.
func TestSubnetsByRoute(t *testing.T) {
	plug(t, "a16", 16) // 2001:db8:16::1/64
	carriers(t, "a16")
	l := must(netlink.LinkByName("a16"))
	add := func(address string, valid, preferred int) {
		a := must(netlink.ParseAddr(address))
		a.ValidLft, a.PreferedLft = valid, preferred
		check(t, netlink.AddrAdd(l, a))
	}
	route := func(to string, via net.IP) {
		check(t, netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: must(netlink.ParseIPNet(to)), Gw: via, Protocol: unix.RTPROT_RA}))
	}
	prefixes := func(want ...string) {
		t.Helper()
		var got []string
		for _, p := range must(Links())[0].Prefixes {
			got = append(got, p.String())
		}
		if want = append([]string{"192.0.16.1/24"}, want...); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	const own = "2001:db8:16::1/64"
	add("2001:db8::5/128", 3600, 1800)
	prefixes("2001:db8::5/128", own)
	route("2001:db8::/56", net.ParseIP("2001:db8:16::2"))
	route("::/0", nil)
	prefixes("2001:db8::5/128", own)
	route("2001:db8::/64", nil)
	route("2001:db8::/48", nil)
	prefixes("2001:db8::5/64", own)
	// The DHCPv6 server is not heard of for so long that nothing new is to begin with the address.
	lapsed := must(netlink.ParseAddr("2001:db8::5/128"))
	lapsed.ValidLft = 1800
	check(t, netlink.AddrReplace(l, lapsed))
	prefixes("2001:db8::5/64", own)
	// Other systems' addresses of Services: in a subnet that an address has by itself, besides one that DHCPv6 gave, ...
	add("2001:db8:16::100/128", 0, 0)
	add("2001:db8::2/128", 0, 0)
	prefixes("2001:db8::2/128", "2001:db8::5/64", own, "2001:db8:16::100/128")
	// ... and deprecated; so is a Binder's, which is none at all.
	route("2001:db8:99::/64", nil)
	deprecated := must(netlink.ParseAddr("2001:db8:99::1/128"))
	deprecated.ValidLft = math.MaxUint32
	check(t, netlink.AddrAdd(l, deprecated))
	check(t, netlink.AddrAdd(nil, kernelAddress(netip.MustParseAddr("2001:db8:99::2"), l.Attrs().Index, time.Minute)))
	prefixes("2001:db8::2/128", "2001:db8::5/64", own, "2001:db8:16::100/128", "2001:db8:99::1/128")
	// One that is there for ever may be the node's, too.
	add("2001:db8:99::3/128", 0, 0)
	prefixes("2001:db8::2/128", "2001:db8::5/64", own, "2001:db8:16::100/128", "2001:db8:99::1/128", "2001:db8:99::3/64")
}

// What is followed is told of; what Binder does is not. An overrun is survived.
func TestWatchLinks(t *testing.T) {
	plug(t, "a14", 2)
	carriers(t, "a14")
	l := must(netlink.LinkByName("a14"))
	ctx, cancel := context.WithCancel(t.Context())
	var changes atomic.Int32
	done := make(chan error)
	go func() {
		done <- WatchLinks(ctx, slog.New(slog.DiscardHandler), func() { changes.Add(1) })
	}()
	// quiet waits for the end of what is going on, and returns how often it was told of a change.
	quiet := func() int32 {
		for n := changes.Load(); ; n = changes.Load() {
			time.Sleep(3 * watchPause)
			if changes.Load() == n {
				return n
			}
		}
	}
	until(t, "the first look", func() bool { return changes.Load() > 0 })
	before := quiet()
	bound := kernelAddress(netip.MustParseAddr("192.0.2.214"), l.Attrs().Index, 15*time.Second)
	check(t, netlink.AddrAdd(nil, bound))
	check(t, netlink.AddrReplace(nil, bound))
	check(t, netlink.AddrDel(nil, bound))
	if n := quiet(); n != before {
		t.Errorf("told %d times of what a binder did", n-before)
	}
	check(t, netlink.LinkSetDown(l))
	check(t, netlink.LinkSetHardwareAddr(l, net.HardwareAddr{2, 0, 0, 0, 1, 4}))
	check(t, netlink.LinkSetUp(l))
	for range 100 {
		check(t, netlink.LinkSetAlias(l, "x"))
		check(t, netlink.LinkSetAlias(l, "y"))
	}
	if n := quiet() - before; n < 1 || n > 20 {
		t.Errorf("told %d times of 200 changes", n)
	}
	cancel()
	check(t, <-done)

	// with a buffer that is soon full, and a reader that is busy
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	subscribed, busy, failed := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		failed <- watchLinks(ctx, 1, func() {
			select {
			case subscribed <- struct{}{}:
			case <-busy:
			}
			<-busy
		})
	}()
	<-subscribed
	for range 200 {
		check(t, netlink.LinkSetAlias(l, "x"))
		check(t, netlink.LinkSetAlias(l, "y"))
	}
	close(busy)
	select {
	case err := <-failed:
		if err == nil {
			t.Error("an overrun is no failure")
		}
	case <-time.After(10 * time.Second):
		t.Error("an overrun went unnoticed")
	}
}

func TestWitnesses(t *testing.T) {
	names := map[int]string{1: "eth0", 2: "eth1"}
	entry := func(link int, address string, mac byte, state int, confirmed uint32) netlink.Neigh {
		return netlink.Neigh{LinkIndex: link, IP: net.ParseIP(address), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 1, mac}, State: state, Confirmed: confirmed}
	}
	table := []netlink.Neigh{
		entry(2, "192.0.2.9", 9, netlink.NUD_REACHABLE, 1),
		entry(1, "192.0.2.1", 1, netlink.NUD_STALE, 500),
		entry(1, "192.0.2.2", 2, netlink.NUD_REACHABLE, 10),
		entry(1, "2001:db8::2", 2, netlink.NUD_REACHABLE, 20), // the same host
		entry(1, "2001:db8::3", 3, netlink.NUD_PROBE, 100),
		entry(1, "192.0.2.4", 4, netlink.NUD_PERMANENT, 0),
		entry(1, "192.0.2.5", 5, netlink.NUD_FAILED, 0),
		entry(1, "192.0.2.6", 6, netlink.NUD_INCOMPLETE, 0),
		entry(1, "192.0.2.255", 7, netlink.NUD_NOARP, 0),
		entry(1, "ff02::1", 8, netlink.NUD_REACHABLE, 0),
		entry(3, "192.0.2.10", 10, netlink.NUD_REACHABLE, 0), // an interface that was not asked for
		{LinkIndex: 1, IP: net.ParseIP("192.0.2.11"), State: netlink.NUD_REACHABLE},
	}
	for most, want := range map[int][]string{
		8: {"eth0 192.0.2.2", "eth0 2001:db8::3", "eth0 192.0.2.1", "eth0 192.0.2.4", "eth1 192.0.2.9"},
		1: {"eth0 192.0.2.2", "eth1 192.0.2.9"},
	} {
		for range 2 {
			var got []string
			for _, w := range witnesses(table, names, most) {
				got = append(got, w.Interface+" "+w.Address.String())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			slices.Reverse(table)
		}
	}
}

func TestNeighbors(t *testing.T) {
	a := plug(t, "a15", 2)
	carriers(t, "a15")
	far := must(a.far.LinkByName("far")).Attrs().HardwareAddr
	conn := must(net.Dial("udp", "192.0.2.2:9"))
	defer conn.Close()
	_ = must(conn.Write([]byte("anybody there?")))
	until(t, "the neighbour", func() bool {
		got := must(Neighbors([]string{"a15"}))
		return len(got) == 1 && got[0].Address == netip.MustParseAddr("192.0.2.2") && same(got[0].HardwareAddr, far) && got[0].Interface == "a15"
	})
	if got := must(Neighbors([]string{"lo"})); len(got) > 0 {
		t.Errorf("%v on another interface", got)
	}
}

// Only where each of a bond's slaves sends with its own hardware address are they told of.
func TestSlavesOfABond(t *testing.T) {
	hw := func(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }
	for mode, want := range map[netlink.BondMode][]net.HardwareAddr{
		netlink.BOND_MODE_ACTIVE_BACKUP: nil, netlink.BOND_MODE_802_3AD: nil, netlink.BOND_MODE_BALANCE_TLB: {hw(2), hw(3)}, netlink.BOND_MODE_BALANCE_ALB: {hw(2), hw(3)},
	} {
		bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: "bond0", Index: 7, HardwareAddr: hw(1)})
		bond.Mode = mode
		slave := func(master int, n byte) netlink.Link {
			return &netlink.Device{LinkAttrs: netlink.LinkAttrs{MasterIndex: master, HardwareAddr: hw(n)}}
		}
		all := []netlink.Link{bond, slave(7, 3), slave(7, 1), slave(8, 4), slave(7, 2), slave(0, 5)}
		if got := slaves(bond, all); !slices.EqualFunc(got, want, same) {
			t.Errorf("%s: %s, want %s", mode, got, want)
		}
	}
}
