package bfd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 5880 section 6.8.3: who is not answered sends once a second; who is answered comes up at once.
func TestRouterSessionComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSegment()
		a, b := w.start(t, nodeAddress), w.start(t, routerAddress)
		a.Watch("router", at(b))
		began := time.Now()
		after(time.Minute)
		if n := len(w.sent(a, began)); n < 60 || n > 80 {
			t.Errorf("sent %d packets in a minute to a router that is not there", n)
		}
		if s := a.session("router"); s.State != Down || s.Detection != 0 || s.Trouble != nil {
			t.Errorf("status is %+v", s)
		}
		began = time.Now()
		b.Watch("node", at(a))
		after(2 * time.Second)
		for _, n := range []*routerNode{a, b} {
			if e := n.alone(); !e.Up || e.At.Sub(began) > lookEvery+4*lookOften || e.Why() != "" {
				t.Errorf("%s reported %+v after %s", n.address, e, e.At.Sub(began))
			}
		}
		s := a.session("router")
		if s.State != Up || s.RemoteState != Up || s.Interval != 100*time.Millisecond || s.RemoteInterval != s.Interval || s.Detection != 300*time.Millisecond ||
			s.Remote != routerAddress || s.Sent == 0 || s.Received == 0 {
			t.Errorf("status is %+v", s)
		}
		list := w.sent(a, time.Now().Add(-time.Second))
		if n := len(list); n < 10 || n > 14 {
			t.Errorf("sent %d packets in the last second", n)
		}
		if p := list[0]; p.poll || p.requiredMinEchoRx != 0 || p.multiplier != 3 || p.auth.kind != 0 {
			t.Errorf("sends %+v", p)
		}
		a.quit()
		b.quit()
	})
}

func TestRouterDetectionTime(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		receive, transmit, theirs time.Duration // in milliseconds
		multiplier                uint8         // the router's
		want                      time.Duration
	}{
		{name: "3 x 100 ms", receive: 100, transmit: 100, theirs: 100, multiplier: 3, want: 300},
		{name: "the router's multiplier counts, not ours", receive: 100, transmit: 100, theirs: 100, multiplier: 5, want: 500},
		{name: "the router sends more seldom than we could take", receive: 50, transmit: 50, theirs: 400, multiplier: 3, want: 1200},
		{name: "we take less than the router would send", receive: 300, transmit: 50, theirs: 50, multiplier: 3, want: 900},
		{name: "3 x 10 ms", receive: 10, transmit: 10, theirs: 10, multiplier: 3, want: 30},
		{name: "2 x a minute", receive: 60000, transmit: 60000, theirs: 60000, multiplier: 2, want: 120000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routerPair(t, func(x, y *RouterTarget) {
				x.Receive, x.Transmit = tt.receive*time.Millisecond, tt.transmit*time.Millisecond
				y.Transmit, y.Receive, y.Multiplier = tt.theirs*time.Millisecond, tt.theirs*time.Millisecond, tt.multiplier
			}, func(t *testing.T, w *segment, a, b *routerNode) {
				bothUp(t, a, b)
				want := tt.want * time.Millisecond
				after(3 * want)
				if s := a.session("router"); s.Detection != want {
					t.Errorf("the detection time is %s", s.Detection)
				}
				w.separate(a, b, true)
				cut := time.Now()
				after(want + 10*time.Millisecond)
				e := a.alone()
				if e.Up || e.AdminDown || e.Diagnostic != ControlDetectionExpired || e.Detection < want || e.Detection > want+time.Millisecond {
					t.Errorf("reported %+v", e)
				}
				if took := e.At.Sub(cut); took > want {
					t.Errorf("took %s", took)
				}
				if why := e.Why(); why != fmt.Sprintf("the router was silent for %s", want) {
					t.Errorf("says %q", why)
				}
				after(3 * time.Minute)
				b.take()
				w.separate(a, b, false)
				after(2 * time.Second)
				if !a.alone().Up || !b.alone().Up {
					t.Error("not up again")
				}
			})
		})
	}
}

func TestRouterIsHeardButDoesNotHear(t *testing.T) {
	routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
		bothUp(t, a, b)
		w.mu.Lock()
		w.cut[[2]netip.Addr{a.address, b.address}] = true
		w.mu.Unlock()
		after(400 * time.Millisecond)
		if e := a.alone(); e.Up || e.Diagnostic != NeighborSignaledDown || e.Remote != ControlDetectionExpired || e.AdminDown ||
			e.Why() != "the router does not hear this node any more" {
			t.Errorf("reported %+v: %s", e, e.Why())
		}
	})
}

func TestRouterPacketsAreLost(t *testing.T) {
	routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
		bothUp(t, a, b)
		w.mu.Lock()
		w.loss = 5
		w.mu.Unlock()
		after(10 * time.Minute)
		if e := append(a.take(), b.take()...); len(e) > 0 {
			t.Errorf("reported %+v", e)
		}
	})
}

// A planned end is told as one, and is not forgotten to be told where packets get lost.
func TestRouterSessionEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first time.Duration // until the first good-bye
		end   func(a *routerNode)
	}{
		{"the speaker stops", afterBGP, func(a *routerNode) { a.quit() }},
		{"the peer is removed", 0, func(a *routerNode) { a.Unwatch("router") }},
		{"the peer moves", 0, func(a *routerNode) {
			x := at(a.segment.nodes[routerAddress])
			x.Remote = netip.MustParseAddr("192.0.2.3")
			a.Watch("router", x)
		}},
		{"the peer is given what cannot be", 0, func(a *routerNode) { a.Watch("router", RouterTarget{Remote: routerAddress}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
				bothUp(t, a, b)
				began := time.Now()
				w.separate(a, b, tt.first == 0)
				time.AfterFunc(tt.first-betweenThem/2, func() { w.separate(a, b, true) })
				time.AfterFunc(tt.first+betweenThem*3/2, func() { w.separate(a, b, false) })
				tt.end(a)
				after(tt.first + 2*betweenThem + lookEvery + time.Millisecond - time.Since(began)) // sooner than a failure would be noticed
				e := b.alone()
				if e.Up || !e.AdminDown || e.Diagnostic != NeighborSignaledDown || e.Remote != AdministrativelyDown || e.Why() != "the router ended its BFD session" {
					t.Errorf("reported %+v", e)
				}
				ends := 0
				for _, p := range w.sent(a, began) {
					if p.state != AdminDown {
						continue
					}
					if ends++; p.at.Sub(began) < tt.first {
						t.Errorf("the first after %s", p.at.Sub(began))
					}
				}
				if ends != goodbyes {
					t.Errorf("%d good-byes", ends)
				}
				if e := a.take(); len(e) > 0 {
					t.Errorf("who ended it reported %+v", e)
				}
			})
		})
	}
}

func TestRouterSessionIsWatchedAgain(t *testing.T) {
	routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
		bothUp(t, a, b)
		a.Unwatch("router")
		a.Watch("router", at(b))
		after(time.Second)
		if e := a.take(); len(e) != 1 || !e[0].Up {
			t.Errorf("reported %+v", e)
		}
		if e := b.take(); len(e) != 2 || e[0].Up || !e[1].Up {
			t.Errorf("the router reported %+v", e)
		}
		a.Unwatch("router")
		after(time.Second)
		if a.opened != 0 {
			t.Errorf("%d sockets are open without a session", a.opened)
		}
		if _, ok := a.Session("router"); ok {
			t.Error("has a session still")
		}
		a.Unwatch("router") // does no harm
	})
}

// RFC 5882 section 4.1: one session for all that watch a router.
func TestRouterSessionIsShared(t *testing.T) {
	routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
		bothUp(t, a, b)
		since := a.session("router").Since
		later, first := at(b), at(b)
		later.Transmit, later.Receive, later.Multiplier = 500*time.Millisecond, 500*time.Millisecond, 9
		first.Transmit, first.Receive, first.Multiplier = 50*time.Millisecond, 50*time.Millisecond, 4
		a.Watch("z", later)
		after(time.Second)
		if s := a.session("z"); s.Since != since || s.Detection != 300*time.Millisecond {
			t.Errorf("a peer that comes later by name changes it: %+v", s)
		}
		a.Watch("a", first)
		after(time.Second)
		if s := a.session("z"); s.Since != since || s.Interval != 100*time.Millisecond || s.Detection != 300*time.Millisecond || fmt.Sprint(s.Peers) != "[a router z]" {
			t.Errorf("with a first one: %+v", s) // the router does not take more than every 100 ms
		}
		if s := b.session("node"); s.Detection != 400*time.Millisecond {
			t.Errorf("the router waits for %s", s.Detection)
		}
		a.Unwatch("router")
		a.Unwatch("a")
		after(2 * time.Second)
		if s := a.session("z"); s.Since != since || s.Interval != 500*time.Millisecond || s.Detection != 1500*time.Millisecond {
			t.Errorf("left alone: %+v", s)
		}
		b.kill()
		after(2 * time.Second)
		if e := a.alone(); fmt.Sprint(e.Peers) != "[z]" {
			t.Errorf("reported %+v", e)
		}
	})
}

// RFC 5880 section 6.8.3: what the other side could take for silence begins once it has been told.
func TestRouterTimersChange(t *testing.T) {
	for _, loss := range []int{0, 3} {
		t.Run(fmt.Sprintf("every packet of %d lost", loss), func(t *testing.T) {
			routerPair(t, func(x, y *RouterTarget) { x.Multiplier, y.Multiplier = 10, 10 }, func(t *testing.T, w *segment, a, b *routerNode) {
				bothUp(t, a, b)
				w.mu.Lock()
				w.loss = loss
				w.mu.Unlock()
				since := a.session("router").Since
				draw := rand.New(rand.NewPCG(1, 2))
				x := at(b)
				for range 300 {
					x.Transmit = time.Duration(10+draw.IntN(3000)) * time.Millisecond
					x.Receive = time.Duration(10+draw.IntN(3000)) * time.Millisecond
					x.Multiplier = uint8(8 + draw.IntN(8))
					a.Watch("router", x)
					after(time.Duration(draw.IntN(6000)) * time.Millisecond)
				}
				if e := append(a.take(), b.take()...); len(e) > 0 {
					t.Errorf("reported %+v", e)
				}
				after(time.Minute)
				s, r := a.session("router"), b.session("node")
				if s.Since != since || s.Interval != max(x.Transmit, 100*time.Millisecond) || s.RemoteInterval != max(x.Receive, 100*time.Millisecond) {
					t.Errorf("status is %+v", s)
				}
				if want := time.Duration(x.Multiplier) * max(x.Transmit, 100*time.Millisecond); r.Detection != want {
					t.Errorf("the router waits for %s, not %s", r.Detection, want)
				}
				if list := w.sent(a, time.Now().Add(-10*time.Second)); list[0].poll {
					t.Error("polls still")
				}
			})
		})
	}
}

// RFC 5880 section 6.1.
func TestRouterPassiveRole(t *testing.T) {
	passive := func(t *RouterTarget) { t.Passive = true }
	t.Run("two passive sides never begin", func(t *testing.T) {
		routerPair(t, func(x, y *RouterTarget) { passive(x); passive(y) }, func(t *testing.T, w *segment, a, b *routerNode) {
			after(time.Minute)
			if n := len(w.sent(a, time.Time{})) + len(w.sent(b, time.Time{})); n > 0 {
				t.Errorf("%d packets sent", n)
			}
			x := at(b)
			a.Watch("router", x) // not passive any more
			bothUp(t, a, b)
			passive(&x)
			a.Watch("router", x)
			after(time.Second)
			if s := a.session("router"); s.State != Up {
				t.Errorf("status is %+v", s)
			}
			b.kill()
			after(time.Second)
			began := time.Now()
			after(time.Minute)
			if n := len(w.sent(a, began)); n > 0 {
				t.Errorf("%d packets sent to a router that has gone", n)
			}
		})
	})
	t.Run("a passive side answers", func(t *testing.T) {
		routerPair(t, func(x, _ *RouterTarget) { passive(x) }, func(t *testing.T, w *segment, a, b *routerNode) {
			bothUp(t, a, b)
			w.separate(a, b, true)
			after(time.Second)
			w.separate(a, b, false)
			after(2 * time.Second)
			if e := a.take(); len(e) != 2 || !e[1].Up {
				t.Errorf("reported %+v", e)
			}
		})
	})
}

func TestRouterTTL(t *testing.T) {
	for _, tt := range []struct {
		name         string
		ttl, minimum uint8
		multiHop, up bool
	}{
		{"single-hop takes 255", 255, 0, false, true},
		{"single-hop takes nothing less, whatever the minimum", 254, 1, false, false},
		{"multi-hop takes the minimum", 250, 250, true, true},
		{"multi-hop takes nothing less", 249, 250, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routerPair(t, func(x, y *RouterTarget) {
				x.MultiHop, y.MultiHop, x.MinimumTTL, y.MinimumTTL = tt.multiHop, tt.multiHop, tt.minimum, 1
			}, func(t *testing.T, w *segment, a, b *routerNode) {
				w.mu.Lock()
				w.ttl = tt.ttl
				w.mu.Unlock()
				after(5 * time.Second)
				s := a.session("router")
				if up := s.State == Up; up != tt.up || up != (a.dropped(wrongTTL) == 0) || up != (s.Trouble == nil) {
					t.Errorf("status is %+v, %d dropped", s, a.dropped(wrongTTL))
				}
				if !tt.up && !strings.Contains(s.Trouble.Error(), fmt.Sprintf("has TTL %d, less than ", tt.ttl)) {
					t.Errorf("says %q", s.Trouble)
				}
			})
		})
	}
}

// Another daemon has the port: no session, but a reason; and all is well once it has gone.
func TestRouterPortIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSegment()
		a, b := w.start(t, nodeAddress), w.start(t, routerAddress)
		a.busy = errors.New("address already in use")
		a.Watch("router", at(b))
		b.Watch("node", at(a))
		after(10 * time.Second)
		s := a.session("router")
		if s.Trouble == nil || s.Trouble.Error() != "listening for BFD on UDP port 3784 of IPv4: address already in use" {
			t.Errorf("status is %+v", s)
		}
		if n := len(w.sent(a, time.Time{})); n > 0 || s.Sent > 0 {
			t.Errorf("sent %d packets whose answers it cannot hear", n)
		}
		a.locked(func() { a.busy = nil })
		after(3 * time.Second)
		if s := a.session("router"); !a.alone().Up || s.Trouble != nil {
			t.Errorf("status is %+v", s)
		}
		a.quit()
		b.quit()
	})
}

func TestRouterTargetsThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSegment().start(t, nodeAddress)
		for _, tt := range []struct {
			name, want string
			change     func(*RouterTarget)
		}{
			{"no router", "invalid IP is no address", func(t *RouterTarget) { t.Remote = netip.Addr{} }},
			{"nowhere", "0.0.0.0 is no address", func(t *RouterTarget) { t.Remote = netip.IPv4Unspecified() }},
			{"many", "ff02::2 is no address", func(t *RouterTarget) { t.Remote = netip.MustParseAddr("ff02::2") }},
			{"two families", "not of one family", func(t *RouterTarget) { t.Local = netip.MustParseAddr("2001:db8::1") }},
			{"itself", "own address", func(t *RouterTarget) { t.Local = t.Remote }},
			{"link-local anywhere", "needs an interface", func(t *RouterTarget) { t.Remote = netip.MustParseAddr("fe80::1") }},
			{"too fast", "an interval of 9ms is not between", func(t *RouterTarget) { t.Receive = 9 * time.Millisecond }},
			{"too slow", "an interval of 1m0.001s is not between", func(t *RouterTarget) { t.Transmit = 60001 * time.Millisecond }},
			{"one lost packet is enough", "a multiplier of 1 is less than 2", func(t *RouterTarget) { t.Multiplier = 1 }},
		} {
			x := RouterTarget{Remote: routerAddress, Receive: second, Transmit: second, Multiplier: 3}
			tt.change(&x)
			a.Watch(tt.name, x)
			if s := a.session(tt.name); s.Trouble == nil || !strings.Contains(s.Trouble.Error(), tt.want) || s.State != Down {
				t.Errorf("%s: status is %+v", tt.name, s)
			}
		}
		a.Watch("two families", RouterTarget{Remote: routerAddress, Receive: second, Transmit: second, Multiplier: 3})
		if s := a.session("two families"); s.Trouble != nil {
			t.Errorf("set right it has trouble: %v", s.Trouble)
		}
		a.quit()
	})
}

// A node that stood still is late itself. What waits in the socket is read first; where nothing does, others get
// the time that it lost.
func TestNodeStoodStill(t *testing.T) {
	for _, frozen := range []time.Duration{60 * time.Millisecond, 250 * time.Millisecond, 700 * time.Millisecond, time.Minute} {
		t.Run(frozen.String(), func(t *testing.T) {
			routerPair(t, func(_, y *RouterTarget) { y.Receive = second }, func(t *testing.T, w *segment, a, b *routerNode) {
				bothUp(t, a, b)
				a.freeze(frozen)
				after(frozen + 5*time.Second)
				for _, e := range a.take() {
					if e.Diagnostic == ControlDetectionExpired {
						t.Errorf("reported %+v", e)
					}
				}
				if a.session("router").State != Up || b.session("node").State != Up {
					t.Error("not up again")
				}
				for _, p := range w.sent(a, time.Time{}) {
					if p.multiplier != 3 {
						t.Fatalf("told the router of a multiplier of %d", p.multiplier)
					}
				}
			})
		})
	}
	t.Run("while the router died", func(t *testing.T) {
		routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
			bothUp(t, a, b)
			a.freeze(2 * time.Second)
			b.kill()
			after(2 * time.Second)
			woke := time.Now()
			after(2 * time.Second)
			if e := a.alone(); e.Diagnostic != ControlDetectionExpired || e.At.Sub(woke) > 400*time.Millisecond {
				t.Errorf("reported %+v, %s after it woke", e, e.At.Sub(woke))
			}
		})
	})
}

func TestRouterFlood(t *testing.T) {
	routerPair(t, asTheyAre, func(t *testing.T, w *segment, a, b *routerNode) {
		bothUp(t, a, b)
		c := routerKey{remote: routerAddress}.channel()
		down := packet{state: Down, multiplier: 3, my: 9, your: 9, requiredMinRx: second, desiredMinTx: second}
		keyed := somePacket()
		stop := time.Now().Add(5 * time.Second)
		for i := 0; time.Now().Before(stop); i++ {
			for range 50 {
				a.inject(c, routerAddress, 255, []byte("garbage"))
				a.inject(c, routerAddress, 255, down.appendTo(nil))
				a.inject(c, routerAddress, 255, keyed.appendTo(nil))
				a.inject(c, netip.MustParseAddr("192.0.2.66"), 255, down.appendTo(nil))
				a.inject(c, routerAddress, 64, (&packet{state: Down, multiplier: 3, my: 9}).appendTo(nil))
			}
			after(time.Millisecond)
		}
		if e := append(a.take(), b.take()...); len(e) > 0 {
			t.Errorf("reported %+v", e)
		}
		for _, why := range []reason{malformed, unknown, authenticated, wrongTTL} {
			if a.dropped(why) < 1000 {
				t.Errorf("%d dropped as %s", a.dropped(why), why)
			}
		}
		if s := a.session("router"); s.State != Up || s.Trouble != nil {
			t.Errorf("status is %+v", s)
		}
	})
}
