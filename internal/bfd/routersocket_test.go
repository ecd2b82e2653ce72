package bfd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/netnstest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestMain runs the tests in a network namespace of their own, which has its loopback interface.
func TestMain(m *testing.M) {
	netnstest.Main(m, func() error {
		return netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}})
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cable is a veth pair from this namespace, near, to a router's, far. Host 1 is here, host 2 there.
type cable struct {
	t     testing.TB
	there netns.NsHandle
	far   *netlink.Handle
}

func inside(t testing.TB, there netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	check(t, err)
	defer home.Close()
	check(t, netns.Set(there))
	f()
	check(t, netns.Set(home))
}

func plug(t testing.TB) *cable {
	t.Helper()
	c := &cable{t: t}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	check(t, err)
	defer home.Close()
	c.there, err = netns.New()
	check(t, err)
	check(t, netns.Set(home))
	c.far, err = netlink.NewHandleAt(c.there)
	check(t, err)
	c.link()
	t.Cleanup(func() {
		c.unplug()
		c.far.Close()
		c.there.Close()
	})
	return c
}

func (c *cable) link() {
	c.t.Helper()
	near, err := netlink.NewHandle()
	check(c.t, err)
	defer near.Close()
	check(c.t, near.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far", PeerNamespace: netlink.NsFd(c.there)}))
	for host, h := range map[int]*netlink.Handle{1: near, 2: c.far} {
		link, err := h.LinkByName(map[int]string{1: "near", 2: "far"}[host])
		check(c.t, err)
		for _, a := range []string{fmt.Sprintf("192.0.2.%d/24", host), fmt.Sprintf("2001:db8::%d/64", host), fmt.Sprintf("fe80::%d/64", host)} {
			parsed, err := netlink.ParseAddr(a)
			check(c.t, err)
			if strings.Contains(a, ":") {
				parsed.Flags = unix.IFA_F_NODAD // which takes seconds
			}
			check(c.t, h.AddrAdd(link, parsed))
		}
		check(c.t, h.LinkSetUp(link))
	}
}

func (c *cable) unplug() {
	if l, err := netlink.LinkByName("near"); err == nil {
		check(c.t, netlink.LinkDel(l))
	}
}

// live is Routers on real sockets, and what they report.
type live struct {
	*Routers
	t      testing.TB
	events chan RouterEvent
	stop   func()
}

// live starts Routers here, or at the router's.
func (c *cable) live(t testing.TB, there bool) *live {
	l := &live{t: t, events: make(chan RouterEvent, 64)}
	l.Routers = NewRouters(RoutersConfig{
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Changed: func(e RouterEvent) { l.events <- e },
	})
	if there {
		l.sockets = newSockets(kernel{
			func(ch channel, shared bool) (r receiver, err error) {
				inside(t, c.there, func() { r, err = listenRouters(ch, shared) })
				return r, err
			},
			func(k routerKey, taken func(uint16) bool) (s sender, port uint16, err error) {
				inside(t, c.there, func() { s, port, err = dialRouter(k, taken) })
				return s, port, err
			},
			func(name string) (n int, err error) {
				inside(t, c.there, func() { n, err = interfaceIndex(name) })
				return n, err
			},
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.stop = func() {}
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *live) expect(up bool) RouterEvent {
	l.t.Helper()
	select {
	case e := <-l.events:
		if e.Up != up {
			l.t.Fatalf("reported %+v", e)
		}
		return e
	case <-time.After(10 * time.Second):
		l.t.Fatal("reported nothing")
	}
	return RouterEvent{}
}

// On real links: sessions of all kinds come up, notice a pulled cable in their detection time, survive that the
// interface is made anew, and end as planned.
func TestRouterSockets(t *testing.T) {
	for _, tt := range []struct {
		name         string
		node, router RouterTarget
	}{
		{"IPv4", RouterTarget{Remote: netip.MustParseAddr("192.0.2.2"), Local: netip.MustParseAddr("192.0.2.1")}, RouterTarget{Remote: netip.MustParseAddr("192.0.2.1")}},
		{"IPv6", RouterTarget{Remote: netip.MustParseAddr("2001:db8::2"), Local: netip.MustParseAddr("2001:db8::1")}, RouterTarget{Remote: netip.MustParseAddr("2001:db8::1"), Local: netip.MustParseAddr("2001:db8::2")}},
		{"link-local", RouterTarget{Remote: netip.MustParseAddr("fe80::2%near"), Local: netip.MustParseAddr("fe80::1%near")}, RouterTarget{Remote: netip.MustParseAddr("fe80::1"), Local: netip.MustParseAddr("fe80::2"), Device: "far"}},
		{"bound to a device", RouterTarget{Remote: netip.MustParseAddr("192.0.2.2"), Device: "near"}, RouterTarget{Remote: netip.MustParseAddr("192.0.2.1"), Device: "far"}},
		{"multi-hop IPv4", RouterTarget{Remote: netip.MustParseAddr("192.0.2.2"), Local: netip.MustParseAddr("192.0.2.1"), MultiHop: true, MinimumTTL: 255}, RouterTarget{Remote: netip.MustParseAddr("192.0.2.1"), MultiHop: true, MinimumTTL: 1}},
		{"multi-hop IPv6", RouterTarget{Remote: netip.MustParseAddr("2001:db8::2"), MultiHop: true, MinimumTTL: 255}, RouterTarget{Remote: netip.MustParseAddr("2001:db8::1"), MultiHop: true, MinimumTTL: 255}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := plug(t)
			for _, x := range []*RouterTarget{&tt.node, &tt.router} {
				x.Receive, x.Transmit, x.Multiplier = 100*time.Millisecond, 100*time.Millisecond, 3
			}
			a, b := c.live(t, false), c.live(t, true)
			b.Watch("node", tt.router)
			a.Watch("router", tt.node)
			a.expect(true)
			b.expect(true)
			c.unplug()
			if e := a.expect(false); e.Diagnostic != ControlDetectionExpired || e.Detection < 300*time.Millisecond {
				t.Errorf("reported %+v", e)
			} else {
				t.Logf("a silence of %s was noticed", e.Detection)
			}
			b.expect(false)
			c.link()
			a.expect(true)
			b.expect(true)
			if s, _ := a.Session("router"); s.State != Up || s.Trouble != nil {
				t.Errorf("status is %+v", s)
			}
			a.stop()
			if e := b.expect(false); !e.AdminDown {
				t.Errorf("reported %+v", e)
			}
		})
	}
}

// RFC 5881 section 4: each session has a source port of its own, of a certain range.
func TestRouterSourcePorts(t *testing.T) {
	c := plug(t)
	a := c.live(t, false)
	for i := range 20 {
		a.Watch(fmt.Sprint(i), RouterTarget{Remote: netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}), Receive: second, Transmit: second, Multiplier: 3})
	}
	time.Sleep(50 * time.Millisecond) // of real time: sockets are the kernel's
	a.mu.Lock()
	defer a.mu.Unlock()
	ports := map[uint16]bool{}
	for _, o := range a.sockets.senders {
		if o.port < 49152 || !o.open() {
			t.Errorf("port %d, %v", o.port, o.trouble)
		}
		ports[o.port] = true
	}
	if len(ports) != 20 {
		t.Errorf("%d ports", len(ports))
	}
}

// A port has one owner, but sockets of several devices of this process.
func TestRouterPorts(t *testing.T) {
	c := plug(t)
	for _, v6 := range []bool{false, true} {
		first, err := listenRouters(channel{v6: v6}, false)
		check(t, err)
		defer first.close()
		if _, err := listenRouters(channel{v6: v6}, false); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "another BFD daemon") {
			t.Errorf("a stranger has the port too: %v", err)
		}
		if _, err := listenRouters(channel{v6: v6, device: "near"}, false); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("a stranger has the port on a device: %v", err)
		}
		second, err := listenRouters(channel{v6: v6, device: "near"}, true)
		check(t, err)
		defer second.close()
		other, err := listenRouters(channel{v6: v6, multiHop: true}, false)
		check(t, err)
		defer other.close()
		if _, err := listenRouters(channel{v6: v6, device: "nowhere"}, true); err == nil || !strings.Contains(err.Error(), "there is no interface nowhere") {
			t.Errorf("error %v", err)
		}

		// What comes on the device is the business of its socket, and comes with all that is to be known.
		to, from := "192.0.2.1:3784", "192.0.2.2"
		if v6 {
			to, from = "[2001:db8::1]:3784", "2001:db8::2"
		}
		inside(t, c.there, func() {
			conn, err := net.Dial("udp", to)
			check(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte("hello"))
			check(t, err)
		})
		b, a, n := make([]byte, receiveOctets), arrival{}, 0
		for range 1000 {
			if n, a, _, err = second.receive(b); !errors.Is(err, errNone) {
				break
			}
			time.Sleep(time.Millisecond) // of real time: neighbours find each other
		}
		link, lookup := netlink.LinkByName("near")
		check(t, lookup)
		if err != nil || n != 5 || a.from.String() != from || a.to != netip.MustParseAddrPort(to).Addr() || a.index != link.Attrs().Index ||
			a.ttl != 64 || a.device != "near" || !a.direct || a.v6 != v6 {
			t.Errorf("%d octets, %+v, %v", n, a, err)
		}
		if _, _, _, err := first.receive(b); !errors.Is(err, errNone) {
			t.Errorf("the other socket received it: %v", err)
		}
	}
}

// Control messages are the kernel's, but cut short they must do no harm.
func FuzzArrival(f *testing.F) {
	f.Add([]byte{})
	f.Add(unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 3, Addr: [4]byte{192, 0, 2, 1}}))
	f.Add(unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 3}))
	f.Fuzz(func(t *testing.T, oob []byte) {
		var a arrival
		a.read(oob, time.Now())
	})
}
