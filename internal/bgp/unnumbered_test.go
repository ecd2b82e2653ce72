package bgp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// far is the other end of a cable, in a namespace of its own.
type far struct {
	t    *testing.T
	home netns.NsHandle
	ns   netns.NsHandle
}

// plug connects this namespace's interface "uplink" with "port" of another, whose kernel forwards packets: to IPv6 it
// is a router. Neither has an address but the link-local one that the kernel gives.
func plug(t *testing.T) *far {
	t.Helper()
	f := &far{t: t}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	if f.home, err = netns.Get(); err == nil {
		f.ns, err = netns.New()
	}
	if err == nil {
		err = netns.Set(f.home)
	}
	if err == nil {
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "port", PeerNamespace: netlink.NsFd(f.ns)})
	}
	if err == nil {
		err = up("uplink")
	}
	if err != nil {
		t.Fatal(err)
	}
	f.inside(func() error {
		return errors.Join(os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0), up("port"))
	})
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("uplink"); err == nil {
			_ = netlink.LinkDel(l)
		}
		f.ns.Close()
		f.home.Close()
	})
	return f
}

func up(name string) error {
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0) // which takes seconds
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func (f *far) inside(do func() error) {
	f.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := netns.Set(f.ns)
	if err == nil {
		err = errors.Join(do(), netns.Set(f.home))
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// linkLocal returns an interface's link-local address, which comes a moment after the link does.
func linkLocal(t *testing.T, name string) (address netip.Addr) {
	t.Helper()
	for range 100 {
		if link, err := net.InterfaceByName(name); err == nil {
			if own, err := ownLinkLocal(link); err == nil {
				return own[0].WithZone(name)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s has no link-local address", name)
	return netip.Addr{}
}

func TestUnnumbered(t *testing.T) {
	cable := plug(t)
	local := linkLocal(t, "uplink")
	r := newRouter(t, "::", 64513, lb.IPv4, lb.IPv6)
	r.capabilities = append(r.capabilities,
		bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)}))
	var router netip.Addr
	cable.inside(func() error {
		router = linkLocal(t, "port").WithZone("uplink")
		r.listen()
		return nil
	})
	d := &detector{watching: map[string]Target{}}
	s := newSpeaker(t, func(c *Config) { c.Detector = d })
	s.advertise("198.51.100.1", Attributes{})
	s.advertise("2001:db8:1::1", Attributes{})
	p := peerAt("tor", "192.0.2.2", 0)
	p.Address, p.Interface, p.ConnectTime = netip.Addr{}, "uplink", time.Second
	p.Families, p.BFD = []lb.Family{lb.IPv4, lb.IPv6}, &BFD{}
	s.SetPeer(p)
	hop := " via " + local.WithZone("").String() + " {AsPath: 64512}"
	c := r.next()
	c.routes("198.51.100.1/32"+hop, "2001:db8:1::1/128"+hop)
	if st := s.established("tor"); st.Address != router || st.Local != local || st.PeerASN != 64513 {
		t.Errorf("the status is %+v", st)
	}
	if got, want := d.target("tor"), (Target{Remote: router, Local: local, Device: "uplink"}); got != want {
		t.Errorf("BFD watches %+v", got)
	}
	// Another router in its place: with another address, and the node finds it.
	cable.inside(func() error {
		port, err := netlink.LinkByName("port")
		if err != nil {
			return err
		}
		old, _ := netlink.ParseAddr(router.WithZone("").String() + "/64")
		anew, _ := netlink.ParseAddr("fe80::77/64")
		return errors.Join(netlink.AddrAdd(port, anew), netlink.AddrDel(port, old))
	})
	c.Close()
	r.next().routes("198.51.100.1/32"+hop, "2001:db8:1::1/128"+hop)
	s.until("tor", "another router", func(st SessionStatus) bool { return st.Address == netip.MustParseAddr("fe80::77%uplink") })
}

func TestAnUnnumberedRouterConnectsItself(t *testing.T) {
	for _, key := range []string{"", "fair"} {
		t.Run("password "+key, func(t *testing.T) {
			cable := plug(t)
			local := linkLocal(t, "uplink")
			s := newSpeaker(t)
			s.advertise("2001:db8:1::1", Attributes{})
			p := peerAt("tor", "192.0.2.2", 64513)
			p.Address, p.Interface, p.ConnectTime, p.Password = netip.Addr{}, "uplink", time.Second, Password(key)
			p.Families, p.Passive = []lb.Family{lb.IPv6}, true
			s.SetPeer(p)
			cable.inside(func() error {
				r := newRouter(t, linkLocal(t, "port").String(), 64513, lb.IPv6)
				c := r.dial(local.WithZone("port").String(), key)
				c.routes("2001:db8:1::1/128 via " + local.WithZone("").String() + " {AsPath: 64512}")
				return nil
			})
			s.established("tor")
		})
	}
}

func TestTheRouterAmongNeighbours(t *testing.T) {
	own := netip.MustParseAddr("fe80::1")
	neighbour := func(address string, state int, flags int, confirmed uint32) netlink.Neigh {
		return netlink.Neigh{IP: netip.MustParseAddr(address).AsSlice(), State: state, Flags: flags, Confirmed: confirmed}
	}
	for name, test := range map[string]struct {
		table []netlink.Neigh
		want  string
	}{
		"nobody is none":                         {nil, ""},
		"a host is none":                         {[]netlink.Neigh{neighbour("fe80::2", netlink.NUD_REACHABLE, 0, 0)}, ""},
		"one with a global address only is none": {[]netlink.Neigh{neighbour("2001:db8::2", netlink.NUD_REACHABLE, netlink.NTF_ROUTER, 0)}, ""},
		"one that does not answer is none":       {[]netlink.Neigh{neighbour("fe80::2", netlink.NUD_FAILED, netlink.NTF_ROUTER, 0)}, ""},
		"this node is none":                      {[]netlink.Neigh{neighbour("fe80::1", netlink.NUD_REACHABLE, netlink.NTF_ROUTER, 0)}, ""},
		"the one heard last comes first":         {[]netlink.Neigh{neighbour("fe80::2", netlink.NUD_STALE, netlink.NTF_ROUTER, 9), neighbour("fe80::3", netlink.NUD_STALE, netlink.NTF_ROUTER, 1)}, "fe80::3"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := routerOf(test.table, []netip.Addr{own})
			if ok != (test.want != "") || ok && got.String() != test.want {
				t.Errorf("it is %v, %v", got, ok)
			}
		})
	}
}
