package bgp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sys/unix"
)

func TestAnExternalPeerGetsRoutes(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{LocalPref: 200, Communities: []Community{0xFDE80064}, LargeCommunities: []LargeCommunity{{1, 2, 3}}})
	s.advertise("198.51.100.2", Attributes{LocalPref: 100})
	s.advertise("198.51.100.3", Attributes{LocalPref: 100}, "another")
	s.advertise("2001:db8:1::1", Attributes{LocalPref: 100}) // not its family
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	first := "198.51.100.1/32 via 192.0.2.1 {AsPath: 64512} {Communities: 65000:100} {LargeCommunity: [ 1:2:3]}"
	c.routes(first, "198.51.100.2/32 via 192.0.2.1 {AsPath: 64512}")
	st := s.established("tor")
	if st.PeerASN != 64513 || st.RouterID != netip.MustParseAddr("192.0.2.200") || st.HoldTime != 90*time.Second ||
		st.Address != r.address || st.Local != netip.MustParseAddr("192.0.2.1") || st.Advertised != 2 || st.LastError != "" ||
		!slices.Equal(st.Families, []lb.Family{lb.IPv4}) || st.Established != 1 || st.GracefulRestart || time.Since(st.Since) > time.Minute {
		t.Errorf("the status is %+v", st)
	}

	before := c.updates
	s.advertise("198.51.100.4", Attributes{LocalPref: 100})
	s.SetOrigins(netip.MustParseAddr("198.51.100.2"), nil)
	c.routes(first, "198.51.100.4/32 via 192.0.2.1 {AsPath: 64512}")
	if c.updates != before+2 {
		t.Errorf("a route more and one less are %d UPDATEs", c.updates-before)
	}
	if st := s.session("tor"); st.UpdatesSent != uint64(c.updates) || st.Advertised != 2 || st.UpdatesReceived != 0 {
		t.Errorf("the status is %+v after %d UPDATEs", st, c.updates)
	}
	s.stop()
	c.says("notification Cease, Administrative Shutdown")
	c.says("closed")
}

func TestAnInternalPeerGetsLocalPreferences(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64512).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{LocalPref: 200})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64512))
	c := r.next()
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: } {LocalPref: 200}")
	s.SetPhase(Leaving)
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: } {Communities: planned-shut} {LocalPref: 0}")
	s.SetPhase(Gone)
	c.routes()
	if st := s.session("tor"); st.State != Established {
		t.Errorf("a drained node has no session: %+v", st)
	}
	s.SetPhase(Serving)
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: } {LocalPref: 200}")
}

func TestFamiliesAndNextHops(t *testing.T) {
	both := []lb.Family{lb.IPv4, lb.IPv6}
	extended := bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)})
	tests := map[string]struct {
		router   string
		families []lb.Family // of the router
		extended bool        // the router knows of RFC 8950
		peer     func(*Peer)
		want     []string
		without  int
	}{
		"IPv6 over IPv4 with the node's other address": {
			router: "192.0.2.2", families: both,
			peer: func(p *Peer) { p.NextHops[lb.IPv6] = netip.MustParseAddr("2001:db8::1") },
			want: []string{"198.51.100.1/32 via 192.0.2.1", "2001:db8:1::1/128 via 2001:db8::1"},
		},
		"IPv6 over IPv4 on a node without IPv6": {
			router: "192.0.2.2", families: both, without: 1,
			want: []string{"198.51.100.1/32 via 192.0.2.1"},
		},
		"IPv4 over IPv6 with the node's other address": {
			router: "2001:db8::2", families: both,
			peer: func(p *Peer) { p.NextHops[lb.IPv4] = netip.MustParseAddr("192.0.2.1") },
			want: []string{"198.51.100.1/32 via 192.0.2.1", "2001:db8:1::1/128 via 2001:db8::1"},
		},
		"IPv4 over IPv6 with an IPv6 next hop": {
			router: "2001:db8::2", families: both, extended: true,
			peer: func(p *Peer) {
				p.ExtendedNextHop = true
				p.NextHops[lb.IPv4] = netip.MustParseAddr("192.0.2.1")
			},
			want: []string{"198.51.100.1/32 via 2001:db8::1", "2001:db8:1::1/128 via 2001:db8::1"},
		},
		"IPv4 over IPv6 to a router that knows no IPv6 next hops": {
			router: "2001:db8::2", families: both,
			peer: func(p *Peer) {
				p.ExtendedNextHop = true
				p.NextHops[lb.IPv4] = netip.MustParseAddr("192.0.2.1")
			},
			want: []string{"198.51.100.1/32 via 192.0.2.1", "2001:db8:1::1/128 via 2001:db8::1"},
		},
		"a router of one family gets that": {
			router: "192.0.2.2", families: both[:1],
			peer: func(p *Peer) { p.NextHops[lb.IPv6] = netip.MustParseAddr("2001:db8::1") },
			want: []string{"198.51.100.1/32 via 192.0.2.1"},
		},
		"a router that says no family has IPv4": {
			router: "192.0.2.2",
			peer:   func(p *Peer) { p.NextHops[lb.IPv6] = netip.MustParseAddr("2001:db8::1") },
			want:   []string{"198.51.100.1/32 via 192.0.2.1"},
		},
		"graceful restart with a router of one family": {
			router: "192.0.2.2", families: both[:1],
			peer: func(p *Peer) {
				p.GracefulRestart, p.NextHops[lb.IPv6] = true, netip.MustParseAddr("2001:db8::1")
			},
			want: []string{"198.51.100.1/32 via 192.0.2.1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, test.router, 64513, test.families...)
			if test.extended {
				r.capabilities = append(r.capabilities, extended)
			}
			r.capabilities = append(r.capabilities, bgp.NewCapGracefulRestart(false, false, 120, nil))
			r.listen()
			s := newSpeaker(t)
			s.advertise("198.51.100.1", Attributes{})
			s.advertise("2001:db8:1::1", Attributes{})
			p := peerAt("tor", test.router, 64513)
			p.Families = both
			if p.Address.Is6() {
				p.Source = netip.MustParseAddr("2001:db8::1")
			}
			if test.peer != nil {
				test.peer(&p)
			}
			s.SetPeer(p)
			c := r.next()
			for i := range test.want {
				test.want[i] += " {AsPath: 64512}"
			}
			c.routes(test.want...)
			if st := s.established("tor"); st.WithoutNextHop != test.without || st.Advertised != len(test.want) {
				t.Errorf("the status is %+v", st)
			}
			time.Sleep(10 * time.Millisecond) // nothing of a family that was not agreed on comes after
			if p.GracefulRestart {
				c.says("end of IPv4")
				if slices.Contains(c.tape, "end of IPv6") {
					t.Errorf("the router heard %q", c.tape)
				}
			}
		})
	}
}

func TestNextHopsChangeWithoutAReset(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4, lb.IPv6).listen()
	s := newSpeaker(t)
	s.advertise("2001:db8:1::1", Attributes{})
	p := peerAt("tor", "192.0.2.2", 64513)
	p.Families = []lb.Family{lb.IPv4, lb.IPv6}
	s.SetPeer(p)
	c := r.next()
	s.established("tor")
	c.routes()
	p.NextHops[lb.IPv6] = netip.MustParseAddr("2001:db8::1")
	s.SetPeer(p)
	c.routes("2001:db8:1::1/128 via 2001:db8::1 {AsPath: 64512}")
	p.NextHops[lb.IPv6] = netip.MustParseAddr("2001:db8::2")
	s.SetPeer(p)
	c.routes("2001:db8:1::1/128 via 2001:db8::2 {AsPath: 64512}")
	p.NextHops[lb.IPv6] = netip.Addr{}
	s.SetPeer(p)
	c.routes()
	if st := s.session("tor"); st.Established != 1 || st.State != Established || st.WithoutNextHop != 1 {
		t.Errorf("the status is %+v", st)
	}
}

// restarting is a router that keeps routes while a peer restarts.
func restarting(r *testRouter) *testRouter {
	r.capabilities = append(r.capabilities, bgp.NewCapGracefulRestart(false, false, 120,
		[]*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}))
	return r
}

func (c *connection) restart() (flags uint8, forwarding []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.open.OptParams {
		for _, capability := range o.(*bgp.OptionParameterCapability).Capability {
			if gr, ok := capability.(*bgp.CapGracefulRestart); ok {
				for _, t := range gr.Tuples {
					forwarding = append(forwarding, t.Flags&0x80 != 0)
				}
				return gr.Flags, forwarding
			}
		}
	}
	return 0, nil
}

func TestGracefulRestart(t *testing.T) {
	r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart = true
	for range 2 {
		s := newSpeaker(t)
		s.advertise("198.51.100.1", Attributes{})
		s.SetPeer(p)
		c := r.next()
		start := time.Now()
		c.says("end of IPv4")
		if took := time.Since(start); took > time.Second {
			t.Errorf("the routes came after %v", took)
		}
		c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
		if flags, forwarding := c.restart(); flags&0x08 == 0 || !slices.Equal(forwarding, []bool{true}) {
			t.Errorf("the Restart State is in flags %x, the Forwarding State is %v", flags, forwarding)
		}
		if st := s.established("tor"); !st.GracefulRestart {
			t.Errorf("the status is %+v", st)
		}
		s.stop()
		c.says("closed")
		if slices.ContainsFunc(c.tape, func(s string) bool { return strings.HasPrefix(s, "notification") }) {
			t.Errorf("the speaker left with words: %q", c.tape)
		}
	}
}

func TestAnEditResetsWithOrWithoutCease(t *testing.T) {
	const forwarding = "closed"
	tests := map[string]struct {
		edit func(*Peer)
		last string
	}{
		"the hold time":        {func(p *Peer) { p.HoldTime = 30 * time.Second }, forwarding},
		"the source":           {func(p *Peer) { p.Source = netip.MustParseAddr("192.0.2.3") }, "notification Cease, Other Configuration Change"},
		"no graceful restart":  {func(p *Peer) { p.GracefulRestart = false }, "notification Cease, Other Configuration Change"},
		"the AS number":        {func(p *Peer) { p.ASN = 64999 }, forwarding},
		"the BGP Identifier":   {func(p *Peer) { p.RouterID = netip.MustParseAddr("192.0.2.77") }, forwarding},
		"the connection's TTL": {func(p *Peer) { p.MultiHop = true }, forwarding},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
			s := newSpeaker(t)
			s.advertise("198.51.100.1", Attributes{})
			p := peerAt("tor", "192.0.2.2", 64513)
			p.GracefulRestart = true
			s.SetPeer(p)
			c := r.next()
			s.established("tor")
			c.says("end of IPv4")
			test.edit(&p)
			s.SetPeer(p)
			c.says(test.last)
			c.says("closed")
			if test.last == forwarding && slices.ContainsFunc(c.tape, func(s string) bool { return strings.HasPrefix(s, "notification") }) {
				t.Errorf("the router heard %q", c.tape)
			}
			c = r.next()
			c.until("OPEN", func() bool { return c.open != nil })
			c.until("a route", func() bool { return len(c.rib) == 1 })
			if got := c.open.ID.String(); got != p.RouterID.String() {
				t.Errorf("the BGP Identifier is %s", got)
			}
			s.until("tor", "two sessions", func(st SessionStatus) bool { return st.Established == 2 })
		})
	}
}

func TestHoldTimes(t *testing.T) {
	for _, test := range []struct {
		ours   time.Duration
		theirs uint16
		want   time.Duration
	}{{90 * time.Second, 30, 30 * time.Second}, {3 * time.Second, 90, 3 * time.Second}, {0, 90, 0}, {90 * time.Second, 0, 0}, {0, 0, 0}} {
		t.Run(fmt.Sprintf("%v and %ds are %v", test.ours, test.theirs, test.want), func(t *testing.T) {
			r := newRouter(t, "192.0.2.2", 64513)
			r.holdTime = test.theirs
			r.listen()
			s := newSpeaker(t)
			p := peerAt("tor", "192.0.2.2", 64513)
			p.HoldTime = test.ours
			s.SetPeer(p)
			c := r.next()
			if st := s.established("tor"); st.HoldTime != test.want {
				t.Errorf("the hold time is %v", st.HoldTime)
			}
			c.until("OPEN", func() bool { return c.open != nil })
			if time.Duration(c.open.HoldTime)*time.Second != test.ours {
				t.Errorf("%d s were offered", c.open.HoldTime)
			}
		})
	}
}

func TestTheHoldTimerEndsASilentRoutersSession(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513)
	r.holdTime = 3
	r.listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	c.says("notification Hold Timer Expired")
	s.error("tor", "sent: Hold Timer Expired")
}

func TestWhyThereIsNoSession(t *testing.T) {
	tests := map[string]struct {
		router func(*testRouter)
		talk   func(*connection)
		peer   func(*Peer)
		want   string
	}{
		"nobody listens": {peer: func(p *Peer) { p.Port = 1179 }, want: "connecting to 192.0.2.2:1179: connection refused"},
		"another AS": {
			router: func(r *testRouter) { r.asn = 4200000000 },
			want:   "sent: OPEN Message Error, Bad Peer AS: the router says AS 4200000000, 64513 is configured",
		},
		"the own AS where another is wanted": {
			router: func(r *testRouter) { r.asn = 64512 }, peer: func(p *Peer) { p.PeerASN = 0 },
			want: "sent: OPEN Message Error, Bad Peer AS: the router says AS 64512, which is this node's; it is to be another",
		},
		"no family in common": {
			router: func(r *testRouter) {
				r.capabilities = []bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC)}
			},
			want: "sent: OPEN Message Error, Unsupported Capability: the router has none of the families [IPv4]",
		},
		"the router shuts down": {
			talk: func(c *connection) {
				c.send(bgp.NewBGPNotificationMessage(6, 2, append([]byte{11}, "maintenance"...)))
			},
			want: `received: Cease, Administrative Shutdown: "maintenance"`,
		},
		"the router hangs up": {talk: func(c *connection) { _ = c.Conn.(*net.TCPConn).CloseWrite() }, want: "the router closed the connection"},
		"the router crashes": {talk: func(c *connection) {
			_ = c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, want: "the router reset the connection"},
		"a message of no type": {talk: func(c *connection) { m := newMessage(9, nil); _, _ = c.Write(m) }, want: "sent: Message Header Error, Bad Message Type"},
		"a message of no length": {talk: func(c *connection) {
			m := newMessage(kindUpdate, nil)
			m[17] = 20
			_, _ = c.Write(m)
		}, want: "sent: Message Header Error, Bad Message Length"},
		"no message": {talk: func(c *connection) { _, _ = c.Write(make([]byte, 40)) }, want: "sent: Message Header Error, Connection Not Synchronized"},
		"OPEN twice": {talk: func(c *connection) { c.sendOpen() }, want: "sent: Finite State Machine Error, Receive Unexpected Message in Established State"},
		"an address that is not the node's": {
			peer: func(p *Peer) { p.Source = netip.MustParseAddr("192.0.3.7") },
			want: "connecting to 192.0.2.2:179: cannot assign requested address",
		},
		"an interface that is not there": {
			peer: func(p *Peer) { p.Address, p.Interface = netip.Addr{}, "eth7" },
			want: "looking for the router on eth7: there is no such interface",
		},
		"a VRF that is not there": {
			peer: func(p *Peer) { p.VRF = "red" },
			want: "connecting to 192.0.2.2:179: binding to red: no such device",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
			if test.router != nil {
				test.router(r)
			}
			r.listen()
			s := newSpeaker(t)
			p := peerAt("tor", "192.0.2.2", 64513)
			if test.peer != nil {
				test.peer(&p)
			}
			s.SetPeer(p)
			if test.talk != nil {
				c := r.next()
				s.established("tor")
				test.talk(c)
			}
			s.error("tor", test.want)
		})
	}
}

func TestWhatARouterAdvertisesChangesNothing(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	attributes := []bgp.PathAttributeInterface{
		bgp.NewPathAttributeOrigin(0), bgp.NewPathAttributeNextHop("192.0.2.2"),
		bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(2, []uint32{64513})}),
	}
	var flood []byte
	const count = 100_000
	for i := range count {
		m, err := bgp.NewBGPUpdateMessage(nil, attributes, []*bgp.IPAddrPrefix{
			bgp.NewIPAddrPrefix(32, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String())}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if flood = append(flood, m...); i%1000 == 0 { // one that cannot be read at all
			flood = append(flood, newMessage(kindUpdate, []byte{255, 255, 0, 0, 1, 2, 3})...)
		}
	}
	start := time.Now()
	if _, err := c.Write(flood); err != nil {
		t.Fatal(err)
	}
	st := s.until("tor", "all of them", func(st SessionStatus) bool { return st.UpdatesReceived >= count+count/1000 })
	t.Logf("%d UPDATEs, %d octets, in %v", count, len(flood), time.Since(start))
	s.advertise("198.51.100.2", Attributes{})
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}", "198.51.100.2/32 via 192.0.2.1 {AsPath: 64512}")
	if st.Established != 1 || st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}

func TestUpdatesKeepASessionAlive(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
	r.holdTime = 3
	r.listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	for range 20 {
		_, _ = c.Write(endOfRIB(lb.IPv4)) // and no KEEPALIVE
		time.Sleep(250 * time.Millisecond)
	}
	if st := s.session("tor"); st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}

func TestRouteRefresh(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	c.until("the route", func() bool { return c.updates == 1 })
	c.send(bgp.NewBGPRouteRefreshMessage(1, 0, 1))
	c.until("the route once more", func() bool { return c.updates == 2 })
	for range 1000 {
		c.send(bgp.NewBGPRouteRefreshMessage(1, 0, 1))
	}
	c.until("the route once more", func() bool { return c.updates >= 3 })
	time.Sleep(1500 * time.Millisecond)
	if c.mu.Lock(); c.updates > 5 {
		t.Errorf("a thousand requests had %d answers", c.updates-2)
	}
	c.mu.Unlock()
}

func withMD5(address, key string) func(*net.ListenConfig) {
	return func(l *net.ListenConfig) {
		l.Control = func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error { return setMD5(fd, netip.MustParseAddr(address), Password(key)) })
		}
	}
}

func TestPasswords(t *testing.T) {
	for _, test := range []struct{ router, node string }{{"192.0.2.2", "192.0.2.1"}, {"2001:db8::2", "2001:db8::1"}} {
		t.Run(test.router, func(t *testing.T) {
			r := newRouter(t, test.router, 64513, lb.FamilyOf(netip.MustParseAddr(test.router))).listen(withMD5(test.node, "fair"))
			s := newSpeaker(t)
			p := peerAt("tor", test.router, 64513)
			p.Source = netip.MustParseAddr(test.node)
			p.ConnectTime, p.Password = time.Second, "foul"
			s.SetPeer(p)
			s.error("tor", "connecting to "+netip.AddrPortFrom(r.address, 179).String()+": timed out (also if the router has another password)")
			p.Password = "fair"
			s.SetPeer(p)
			r.next()
			s.established("tor")
		})
	}
}

func TestTTLSecurity(t *testing.T) {
	hops := func(address string, ttl, least int) func(*net.ListenConfig) {
		return func(l *net.ListenConfig) {
			l.Control = func(_, _ string, raw syscall.RawConn) error {
				return control(raw, func(fd int) error {
					if strings.Contains(address, ":") {
						_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
						return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least)
					}
					_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl)
					return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, least)
				})
			}
		}
	}
	for _, address := range []string{"192.0.2.2", "2001:db8::2"} {
		for name, test := range map[string]struct {
			ttl, least int
			peer       func(*Peer)
			works      bool
		}{
			"both have it":                  {255, 255, func(p *Peer) { p.Hops = 1 }, true},
			"the router alone has it":       {255, 255, func(*Peer) {}, false},
			"the node alone has it":         {64, 0, func(p *Peer) { p.Hops = 1 }, false},
			"the router is within reach":    {250, 0, func(p *Peer) { p.Hops = 6 }, true},
			"the router is too far":         {250, 0, func(p *Peer) { p.Hops = 5 }, false},
			"a multi-hop peer has a TTL":    {64, 2, func(p *Peer) { p.MultiHop = true }, true},
			"an external peer has one of 1": {64, 2, func(*Peer) {}, false},
			"an internal peer has a TTL":    {64, 2, func(p *Peer) { p.PeerASN = 64512 }, true},
		} {
			t.Run(address+": "+name, func(t *testing.T) {
				p := peerAt("tor", address, 64513)
				p.ConnectTime = time.Second
				test.peer(&p)
				r := newRouter(t, address, p.PeerASN, lb.FamilyOf(p.Address)).listen(hops(address, test.ttl, test.least))
				s := newSpeaker(t)
				s.SetPeer(p)
				if test.works {
					r.next()
					s.established("tor")
					return
				}
				s.until("tor", "no connection", func(st SessionStatus) bool { return st.LastError != "" || st.State == OpenSent })
				time.Sleep(300 * time.Millisecond)
				if st := s.session("tor"); st.State == Established {
					t.Errorf("the status is %+v", st)
				}
			})
		}
	}
}

// detector is a BFD that does what it is told.
type detector struct {
	mu       sync.Mutex
	watching map[string]Target
}

func (d *detector) Watch(peer string, t Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watching[peer] = t
}
func (d *detector) Unwatch(peer string) { d.mu.Lock(); defer d.mu.Unlock(); delete(d.watching, peer) }
func (d *detector) Session(peer string) (BFDStatus, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.watching[peer]
	return BFDStatus{State: "Up", Interval: t.BFD.Transmit}, ok
}
func (d *detector) target(peer string) Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watching[peer]
}

func TestBFD(t *testing.T) {
	r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
	d := &detector{watching: map[string]Target{}}
	s := newSpeaker(t, func(c *Config) { c.Detector = d })
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart = true
	p.BFD = &BFD{Profile: "fast", Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 3}
	s.SetPeer(p)
	c := r.next()
	if st := s.established("tor"); st.BFD == nil || st.BFD.State != "Up" {
		t.Errorf("the status is %+v", st)
	}
	want := Target{Remote: r.address, Local: netip.MustParseAddr("192.0.2.1"), BFD: *p.BFD}
	if got := d.target("tor"); got != want {
		t.Errorf("what is watched is %+v", got)
	}
	// Its timing is live.
	slow := *p.BFD
	slow.Transmit = time.Second
	p.BFD = &slow
	s.SetPeer(p)
	s.until("tor", "another timing", func(st SessionStatus) bool { return st.BFD.Interval == time.Second })
	// It ends the session at once, graceful restart or not, and BGP does not wait for it.
	start := time.Now()
	s.DetectionChanged("tor", false, "Control Detection Time Expired")
	c.says("notification Cease, BFD Down")
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	s.error("tor", "BFD: Control Detection Time Expired")
	r.next()
	s.until("tor", "established again", func(st SessionStatus) bool { return st.State == Established && st.Established == 2 })
	s.DetectionChanged("tor", true, "")
	p.BFD = nil
	s.SetPeer(p)
	s.until("tor", "no BFD", func(st SessionStatus) bool { return st.BFD == nil })
	if st := s.session("tor"); st.Established != 2 || st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}

func TestOneSessionIsNotTouchedByOthers(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513).listen()
	other := newRouter(t, "192.0.2.3", 64514).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	r.next().routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
	since := s.established("tor").Since
	for i := range 100 {
		p := peerAt(fmt.Sprintf("other%d", i%3), "192.0.2.3", 64514)
		p.ASN = uint32(65000 + i)
		s.SetPeer(p)
		other.next().routes(fmt.Sprintf("198.51.100.1/32 via 192.0.2.1 {AsPath: %d}", p.ASN))
		s.established(p.Name)
		s.RemovePeer(p.Name)
		s.until(p.Name, "gone", func(st SessionStatus) bool { return st.Peer == "" })
	}
	if st := s.session("tor"); st.State != Established || st.Since != since || st.Established != 1 {
		t.Errorf("the status is %+v", st)
	}
	fleet.Lock()
	defer fleet.Unlock()
	if len(fleet.all) > 10 {
		t.Errorf("there are %d GoBGP servers", len(fleet.all))
	}
}
