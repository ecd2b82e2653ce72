package bgp

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func TestAListenerOutlivesAnErrorOfAccept(t *testing.T) {
	k := newKernel()
	conns := make(chan net.Conn, 1)
	stop, err := k.listen(passive(peerAt("tor", "192.0.2.2", 64513)), netip.MustParseAddr("192.0.2.2"), func(c net.Conn) { conns <- c })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, l := range k.listeners {
		_ = l.socket.SetDeadline(time.Now()) // as good an error as too many open files
		time.Sleep(20 * time.Millisecond)
		_ = l.socket.SetDeadline(time.Time{})
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}}
	c, err := d.Dial("tcp", "192.0.2.1:179")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case c := <-conns:
		c.Close()
	case <-time.After(5 * time.Second):
		t.Error("the router is not let in any more")
	}
}

func TestAPassivePeerThatComesAndGoesHasToWait(t *testing.T) {
	s := newSpeaker(t)
	s.SetPeer(passive(peerAt("tor", "192.0.2.2", 64513)))
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
	for start := time.Now(); time.Since(start) < 2*time.Second; time.Sleep(time.Millisecond) {
		c := r.dial("192.0.2.1", "")
		c.until("the end of greetings", func() bool { return c.closed || slices.Contains(c.tape, "keepalive") })
		c.Close()
	}
	if n := s.session("tor").Established; n < 3 || n > manyFailures+3 {
		t.Errorf("the session was established %d times", n)
	}
	time.Sleep(minPause)
	c := r.dial("192.0.2.1", "")
	c.says("keepalive")
	s.established("tor")
}

// However often the table changes, a router that takes nothing in is looked after by one timer.
func TestASlowRouterIsLookedAfterByOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bareSession()
		s.link = &link{router: &open{}, relay: newRelay(Peer{}, nil, nil, nil, s.tally)}
		s.link.relay.writes(time.Now())
		time.Sleep(time.Second)
		for range 1000 {
			time.Sleep(10 * time.Microsecond)
			s.catchUp()
		}
		woken := 0
		end := time.After(stallTime * 2)
		for over := false; !over; {
			select {
			case <-s.kick:
				woken++
			case <-end:
				over = true
			}
		}
		if woken != 1 {
			t.Errorf("it was woken %d times", woken)
		}
	})
}

// bareSession has a session that nothing runs.
func bareSession() *session {
	p := peerAt("tor", "192.0.2.2", 64513)
	s := newSession(newEngine(Config{Log: discard}, nil, nil), "tor")
	s.peer, s.want = p, &p
	return s
}

func TestWhatIsSaidOfAConnectionIsNotHeldAgainstTheNext(t *testing.T) {
	s := newSpeaker(t)
	inner := bareSession()
	inner.engine = s.Engine
	s.launch = launch
	ours, theirs := net.Pipe()
	defer theirs.Close()
	inner.down = "the router was silent for 300ms" // it was, until this connection
	inner.begin(t.Context(), ours, netip.MustParseAddr("192.0.2.2"))
	inner.catchUp()
	if inner.link == nil || inner.link.parting {
		t.Error("BFD ended a connection that had just come")
	}
	inner.link.close("enough")
	inner.await()
	inner.close()
}

func TestAPassivePeerMayComeWhileItIsLookedFor(t *testing.T) {
	s := bareSession()
	s.link = &link{}
	s.shown.status.State = Established
	s.connectedTo(t.Context(), dialed{err: net.ErrClosed})
	if st := s.shown.snapshot(s.tally); st.State != Established || st.LastError != "" || s.failures != 0 {
		t.Errorf("the status is %+v", st)
	}
}

func TestASessionThatBFDEndsAgainAndAgainWaits(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4).listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	for range 3 {
		r.next()
		s.established("tor")
		s.DetectionChanged("tor", false, "silence")
		s.until("tor", "lost", func(st SessionStatus) bool { return st.State != Established })
	}
	lost := time.Now()
	r.next()
	if pause := time.Since(lost); pause < minPause/2 {
		t.Errorf("the next attempt came after %v", pause)
	}
}

func TestRoutersThatSayASNumberZero(t *testing.T) {
	k := newTalk(t, func(p *Peer) { p.PeerASN = 0 })
	if p := k.router(openOf(t, 0), "", "notification"); !strings.Contains(p.ended, "Bad Peer AS: the router says AS 0") {
		t.Error(p.ended)
	}
}

// A hold time of 3 s lasts for nearly that, whenever messages come within it.
func TestTheHoldTimerFiresHardlyTooSoon(t *testing.T) {
	k := newTalk(t, nil)
	k.establish()
	fed := k.now
	for range 200 {
		k.now = k.now.Add(50 * time.Millisecond)
		if p := k.fromRouter(keepaliveMessage, k.now); len(p.toServer) > 0 {
			fed = k.now
		}
		if k.now.Sub(fed) > 100*time.Millisecond {
			t.Fatalf("GoBGP has heard nothing for %v", k.now.Sub(fed))
		}
	}
}

func TestPasswordsStaySecret(t *testing.T) {
	p := Peer{Password: "fair"}
	j, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(j), fmt.Sprintf("%v %+v %#v %s", p, p, p, p.Password)} {
		if strings.Contains(s, "fair") {
			t.Error(s)
		}
	}
}

// The restart of 10,000 routes ends with their last one, whatever they carry, and also if the router restarts itself.
func TestEndOfRIBComesAfterAllRoutes(t *testing.T) {
	for _, both := range []bool{false, true} {
		testEndOfRIB(t, both)
	}
}

func testEndOfRIB(t *testing.T, both bool) {
	const size = 5000
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4, lb.IPv6)
	r.capabilities = append(r.capabilities, bgp.NewCapGracefulRestart(both, false, 120, []*bgp.CapGracefulRestartTuple{
		bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true), bgp.NewCapGracefulRestartTuple(bgp.RF_IPv6_UC, true)}))
	r.listen()
	s := newSpeaker(t)
	s.log = discard
	var many Attributes
	for i := range uint32(64) {
		many.LargeCommunities = append(many.LargeCommunities, LargeCommunity{64512, 1, i})
		many.Communities = append(many.Communities, Community(64512<<16+i))
	}
	for i := range size {
		for _, a := range []netip.Addr{serviceAddress(i), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})} {
			attributes := many
			if i%2 == 0 {
				attributes = Attributes{}
			}
			s.SetOrigins(a, []Origin{{Prefix: netip.PrefixFrom(a, a.BitLen()), Attributes: attributes}})
		}
	}
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart, p.Families, p.NextHops[lb.IPv6] = true, []lb.Family{lb.IPv4, lb.IPv6}, netip.MustParseAddr("2001:db8::1")
	s.SetPeer(p)
	c := r.next()
	for _, f := range []lb.Family{lb.IPv4, lb.IPv6} {
		end := "end of " + f.String()
		var had int
		c.until(end, func() bool {
			if !slices.Contains(c.tape, end) {
				return false
			}
			for p := range c.rib {
				if strings.Contains(p, ":") == (f == lb.IPv6) {
					had++
				}
			}
			return true
		})
		if had != size {
			t.Errorf("%d routes of %d were there before the %s", had, size, end)
		}
	}
	s.stop()
	r.listener.Close()
}

func TestARouterOfTwoOctetASNumbers(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
	r.twoOctets = true
	r.listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	p := peerAt("tor", "192.0.2.2", 64513)
	p.ASN = 4200000001
	s.SetPeer(p)
	r.next().routes("198.51.100.1/32 via 192.0.2.1 4200000001 {AsPath: 23456}")
}

// What no message has room for is not advertised (RFC 4271 section 9.2), and holds nothing else up.
func TestMoreCommunitiesThanAMessageHolds(t *testing.T) {
	for _, family := range []struct{ node, router, first, second string }{
		{"192.0.2.1", "192.0.2.2", "198.51.100.1/32", "198.51.100.2/32"},
		{"2001:db8::1", "2001:db8::2", "2001:db8:1::1/128", "2001:db8:1::2/128"},
	} {
		r := newRouter(t, family.router, 64513, lb.IPv4, lb.IPv6)
		r.twoOctets = true
		r.listen()
		s := newSpeaker(t)
		first, second := netip.MustParsePrefix(family.first), netip.MustParsePrefix(family.second)
		s.SetOrigins(second.Addr(), []Origin{{Prefix: second}})
		p := peerAt("tor", family.router, 64513)
		p.ASN = 4200000001
		s.SetPeer(p)
		c := r.next()
		c.until("the other", func() bool { return len(c.rib) == 1 })
		const most = communitiesRoom / 12
		for _, n := range []int{most, most + 1, most, 4000} {
			var many Attributes
			for i := range n {
				many.LargeCommunities = append(many.LargeCommunities, LargeCommunity{64512, 1, uint32(i)})
			}
			s.SetOrigins(first.Addr(), []Origin{{Prefix: first, Attributes: many}})
			c.until(fmt.Sprintf("%s with %d communities", first, n), func() bool {
				return (c.rib[first.String()] != "") == (n <= most) && len(c.rib) >= 1
			})
			want := map[bool]int{true: 2, false: 1}[n <= most]
			s.until("tor", "the count", func(st SessionStatus) bool { return st.Advertised == want })
		}
		s.stop()
	}
}
