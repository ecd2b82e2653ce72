package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
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
	s.until("tor", "one without next hop", func(st SessionStatus) bool {
		return st.Established == 1 && st.State == Established && st.WithoutNextHop == 1
	})
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
