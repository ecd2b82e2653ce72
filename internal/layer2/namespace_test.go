package layer2

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fairlead-lb/fairlead/internal/netnstest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/bpf"
)

// TestMain runs the tests in a network namespace of their own.
func TestMain(m *testing.M) {
	if storm := os.Getenv(stormVariable); storm != "" {
		sendStorm(storm)
		os.Exit(0)
	}
	netnstest.Main(m, nil)
}

// cable is a veth pair from this namespace to a client's, whose kernel does its own ARP and NDP.
type cable struct {
	t      testing.TB
	name   string
	client netns.NsHandle
	far    *netlink.Handle
}

func plug(t testing.TB, name string, subnet int) *cable {
	t.Helper()
	c := &cable{t: t, name: name}
	c.makeNamespace()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "far", PeerNamespace: netlink.NsFd(c.client)}))
	near, err := netlink.LinkByName(name)
	check(t, err)
	far, err := c.far.LinkByName("far")
	check(t, err)
	// No duplicate address detection of the kernel's, which takes seconds.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0)
	c.inside(func() error {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/far/accept_dad", []byte("0"), 0)
		// Clients that give up soon: nobody is there who would answer late.
		for _, family := range []string{"ipv4", "ipv6"} {
			_ = os.WriteFile("/proc/sys/net/"+family+"/neigh/far/retrans_time_ms", []byte("100"), 0)
		}
		return nil
	})
	for host, h := range map[int]*netlink.Handle{1: must(netlink.NewHandle()), 2: c.far} {
		link := map[int]netlink.Link{1: near, 2: far}[host]
		for _, a := range []string{fmt.Sprintf("192.0.%d.%d/24", subnet, host), fmt.Sprintf("2001:db8:%d::%d/64", subnet, host)} {
			parsed, err := netlink.ParseAddr(a)
			check(t, err)
			parsed.Flags = syscall.IFA_F_NODAD
			check(t, h.AddrAdd(link, parsed))
		}
		check(t, h.LinkSetUp(link))
	}
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(name); err == nil {
			_ = netlink.LinkDel(l)
		}
		c.far.Close()
		c.client.Close()
	})
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeNamespace makes the client's namespace.
func (c *cable) makeNamespace() {
	c.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	check(c.t, err)
	defer home.Close()
	c.client, err = netns.New()
	check(c.t, err)
	check(c.t, netns.Set(home))
	c.far, err = netlink.NewHandleAt(c.client)
	check(c.t, err)
}

// inside runs f in the client's namespace. What it opens stays there.
func (c *cable) inside(f func() error) {
	c.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	check(c.t, err)
	defer home.Close()
	check(c.t, netns.Set(c.client))
	err = f()
	check(c.t, netns.Set(home))
	check(c.t, err)
}

// poke has the client's kernel send a packet to an address.
func (c *cable) poke(address netip.Addr) {
	c.t.Helper()
	var conn net.Conn
	c.inside(func() (err error) {
		conn, err = net.Dial("udp", netip.AddrPortFrom(address, 9).String())
		return err
	})
	defer conn.Close()
	_, err := conn.Write([]byte("anybody there?"))
	check(c.t, err)
}

// resolve does so, and returns the hardware address that the client found.
func (c *cable) resolve(address netip.Addr) string {
	c.t.Helper()
	c.poke(address)
	for range 300 {
		if n, ok := c.neighbor(address); ok && n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY) != 0 {
			return n.HardwareAddr.String()
		} else if ok && n.State == netlink.NUD_FAILED {
			return ""
		}
		time.Sleep(5 * time.Millisecond) // the kernel tells nobody
	}
	return ""
}

// raw returns a packet socket of the client, and its interface.
func (c *cable) raw(etherType int) (*socket, Link) {
	c.t.Helper()
	far, err := c.far.LinkByName("far")
	check(c.t, err)
	l := Link{Interface: lb.Interface{Name: "far", HardwareAddr: far.Attrs().HardwareAddr}, Index: far.Attrs().Index}
	var s *socket
	c.inside(func() (err error) {
		s, err = openSocket(l, etherType, []bpf.Instruction{accept})
		return err
	})
	c.t.Cleanup(s.close)
	return s, l
}

func (c *cable) neighbor(address netip.Addr) (netlink.Neigh, bool) {
	c.t.Helper()
	list, err := c.far.NeighList(0, 0)
	check(c.t, err)
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == address {
			return n, true
		}
	}
	return netlink.Neigh{}, false
}

func (c *cable) forget(address netip.Addr) {
	c.t.Helper()
	if n, ok := c.neighbor(address); ok {
		check(c.t, c.far.NeighDel(&n))
	}
}

// mac returns the hardware address of this namespace's end.
func (c *cable) mac() string {
	c.t.Helper()
	l, err := netlink.LinkByName(c.name)
	check(c.t, err)
	return l.Attrs().HardwareAddr.String()
}

func newTestResponder(t testing.TB) (*Responder, *Metrics) {
	m := NewMetrics(prometheus.NewRegistry())
	r := NewResponder(slog.New(slog.DiscardHandler), m)
	r.Renew(time.Now().Add(time.Hour))
	t.Cleanup(r.Close)
	return r, m
}

// carriers waits until exactly these interfaces carry, and returns them.
func carriers(t testing.TB, names ...string) (links []Link) {
	t.Helper()
	until(t, "the interfaces", func() bool {
		links = must(Links())
		return slices.EqualFunc(links, names, func(l Link, name string) bool { return l.Name == name })
	})
	return links
}

func TestRealKernelResolves(t *testing.T) {
	a, b := plug(t, "a0", 2), plug(t, "b0", 3)
	pod := plug(t, "pod0", 4) // as a CNI leaves one: with no subnet
	l := must(netlink.LinkByName(pod.name))
	for _, a := range must(netlink.AddrList(l, 0)) {
		check(t, netlink.AddrDel(l, &a))
	}
	check(t, netlink.AddrAdd(l, must(netlink.ParseAddr("198.18.1.1/32"))))
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("2001:db8:2::200")}
	r, m := newTestResponder(t)
	links := carriers(t, "a0", "b0")
	r.SetLinks(links)

	for _, vip := range vips {
		if got := a.resolve(vip); got != "" {
			t.Errorf("before: %s is at %s", vip, got)
		}
		r.Own(vip, []string{"a0"}, nil)
		a.forget(vip)
		if got := a.resolve(vip); got != a.mac() {
			t.Errorf("%s is at %q, want %s", vip, got, a.mac())
		}
	}
	// only on the interface that was named
	other := netip.MustParseAddr("192.0.3.200")
	r.Own(other, []string{"a0"}, nil)
	if got := b.resolve(other); got != "" {
		t.Errorf("%s is at %s on the wrong interface", other, got)
	}
	r.Own(other, []string{"a0", "b0"}, nil)
	b.forget(other)
	if got := b.resolve(other); got != b.mac() {
		t.Errorf("%s is at %q, want %s", other, got, b.mac())
	}

	// the kernel's own probing of a stale entry, which goes by unicast
	n, _ := a.neighbor(vips[1])
	n.State = netlink.NUD_PROBE
	check(t, a.far.NeighSet(&n))
	until(t, "the unicast solicitation's answer", func() bool { n, ok := a.neighbor(vips[1]); return ok && n.State == netlink.NUD_REACHABLE })

	for _, vip := range vips {
		r.Disown(vip)
		a.forget(vip)
		if got := a.resolve(vip); got != "" {
			t.Errorf("afterwards: %s is at %s", vip, got)
		}
	}
	if n := testutil.ToFloat64(m.frames.WithLabelValues("arp", string(Answered))); n < 2 {
		t.Errorf("%v ARP requests counted as answered", n)
	}
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not come", what)
}

// An announcement changes what another host's cache says, which is what a takeover is made of.
func TestAnnouncementMovesCaches(t *testing.T) {
	a := plug(t, "a1", 2)
	r, _ := newTestResponder(t)
	r.SetLinks(carriers(t, "a1"))
	far := must(a.far.LinkByName("far"))
	for _, vip := range []netip.Addr{netip.MustParseAddr("192.0.2.201"), netip.MustParseAddr("2001:db8:2::201")} {
		check(t, a.far.NeighSet(&netlink.Neigh{LinkIndex: far.Attrs().Index, IP: vip.AsSlice(),
			State: netlink.NUD_REACHABLE, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}))
		r.Own(vip, []string{"a1"}, nil)
		// Linux does not let an entry change in its first second (net.ipv4.neigh.default.locktime).
		until(t, "the new hardware address of "+vip.String(), func() bool {
			r.Announce(vip)
			n, ok := a.neighbor(vip)
			return ok && n.HardwareAddr.String() == a.mac()
		})
	}
}

// Interfaces come, go and change their hardware address while addresses are owned.
func TestLinksChange(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.202")
	r, _ := newTestResponder(t)
	r.Own(vip, []string{"a2"}, nil)
	before := runtime.NumGoroutine()
	for range 3 {
		c := plug(t, "a2", 2)
		if again := r.SetLinks(carriers(t, "a2")); !slices.Contains(again, vip) {
			t.Errorf("a new interface: announce %v", again)
		}
		if got := c.resolve(vip); got != c.mac() {
			t.Errorf("%s is at %q, want %s", vip, got, c.mac())
		}
		l, err := netlink.LinkByName("a2")
		check(t, err)
		check(t, netlink.LinkSetDown(l))
		check(t, netlink.LinkSetHardwareAddr(l, net.HardwareAddr{2, 0, 0, 0, 1, 1}))
		check(t, netlink.LinkSetUp(l))
		if again := r.SetLinks(carriers(t, "a2")); !slices.Contains(again, vip) {
			t.Errorf("a new hardware address: announce %v", again)
		}
		c.forget(vip)
		if got := c.resolve(vip); got != "02:00:00:00:01:01" {
			t.Errorf("%s is at %q after the change of the hardware address", vip, got)
		}
		if again := r.SetLinks(must(Links())); len(again) > 0 {
			t.Errorf("nothing new: announce %v", again)
		}
		check(t, netlink.LinkDel(l))
		r.SetLinks(must(Links()))
	}
	until(t, "the end of closed ports' goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
