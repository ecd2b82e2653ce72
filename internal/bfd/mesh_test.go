package bfd

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionComesUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		a := w.start(t, "a", peersOf("b"))
		after(30 * time.Second) // b is not there
		if e := a.take(); len(e) > 0 {
			t.Fatalf("reported %v while there was no b", e)
		}
		b := w.start(t, "b", peersOf("a"))
		after(70 * time.Millisecond)
		for _, n := range []*node{a, b} {
			if e := n.alone(); !e.Up {
				t.Errorf("%s reported %+v", n.name, e)
			}
		}
		after(time.Second)
		s := a.session("b")
		if s.State != Up || s.RemoteState != Up || s.Detection != 150*time.Millisecond || s.Interval != 50*time.Millisecond {
			t.Errorf("status is %+v", s)
		}
		if n := s.Sent; n < 300 {
			t.Errorf("sent %d packets to a silent b in 30 s", n)
		}
		a.quit()
		b.quit()
	})
}

func TestDetectionTime(t *testing.T) {
	for _, timing := range []Timing{Fast, Relaxed, {10 * time.Millisecond, 5}} {
		t.Run(timing.String(), func(t *testing.T) {
			pair(t, func(t *testing.T, w *network, a, b *node) {
				for i := range 50 {
					after(time.Duration(i)*timing.Interval/50 + 3*time.Second)
					w.separate(a.at.Addr(), b.at.Addr(), true)
					cut := time.Now()
					after(time.Duration(timing.Multiplier+1) * timing.Interval)
					for _, n := range []*node{a, b} {
						e := n.alone()
						took := e.At.Sub(cut)
						least, most := time.Duration(timing.Multiplier-1)*timing.Interval, time.Duration(timing.Multiplier)*timing.Interval
						if e.Up || e.Diagnostic != ControlDetectionExpired || took < least || took > most+5*time.Millisecond {
							t.Errorf("%s reported %+v, %s after the cut", n.name, e, took)
						}
						if e.Detection < most || e.Detection > most+5*time.Millisecond {
							t.Errorf("%s reported a silence of %s", n.name, e.Detection)
						}
					}
					w.separate(a.at.Addr(), b.at.Addr(), false)
					healed := time.Now()
					after(500 * time.Millisecond)
					for _, n := range []*node{a, b} {
						if e := n.alone(); !e.Up || e.At.Sub(healed) > max(idle, timing.Interval)+lookEvery+5*lookOften {
							t.Errorf("%s reported %+v, %s after the cut was mended", n.name, e, e.At.Sub(healed))
						}
					}
				}
			}, withTiming(timing))
		})
	}
}

func TestOneDirectionIsLost(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		w.set(func() { w.cut[[2]netip.Addr{b.at.Addr(), a.at.Addr()}] = true })
		after(time.Second)
		if e := a.alone(); e.Up || e.Diagnostic != ControlDetectionExpired {
			t.Errorf("a, which hears nothing, reported %+v", e)
		}
		if e := b.alone(); e.Up || e.Diagnostic != NeighborSignaledDown || e.Remote != ControlDetectionExpired {
			t.Errorf("b, which is not heard, reported %+v", e)
		}
		w.set(func() { clear(w.cut) })
		after(200 * time.Millisecond)
		if !a.alone().Up || !b.alone().Up {
			t.Error("not up again")
		}
	})
}

func TestNoFalseAlarm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		timing Timing
		world  func(*network)
		alarms func(int) bool
	}{
		{"one packet in 500 lost", Fast, func(w *network) { w.loss = .002 }, func(n int) bool { return n == 0 }},
		{"packets delayed by up to 40 ms and overtaking each other", Fast, func(w *network) { w.jitter = 40 * time.Millisecond }, func(n int) bool { return n == 0 }},
		{"one in five lost, multiplier 12", Timing{50 * time.Millisecond, 12}, func(w *network) { w.loss = .2 }, func(n int) bool { return n == 0 }},
		// Three packets in a row get lost every few seconds.
		{"one in five lost, multiplier 3", Fast, func(w *network) { w.loss = .2 }, func(n int) bool { return n > 10 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair(t, func(t *testing.T, w *network, a, b *node) {
				w.set(func() { tt.world(w) })
				after(10 * time.Minute)
				alarms := 0
				for _, e := range append(a.take(), b.take()...) {
					if e.Diagnostic == ControlDetectionExpired {
						alarms++
					}
				}
				t.Logf("%d alarms of two nodes in 10 minutes", alarms)
				if !tt.alarms(alarms) {
					t.Errorf("%d alarms", alarms)
				}
			}, withTiming(tt.timing))
		})
	}
}

func TestPeerRestarts(t *testing.T) {
	for _, tt := range []struct {
		name string
		pause,
		clock time.Duration // how far the clock goes back meanwhile
		timing Timing
		within time.Duration
		why    Diagnostic
	}{
		{"while it is not missed", 20 * time.Millisecond, 0, Fast, 80 * time.Millisecond, NeighborSignaledDown},
		{"while it is not missed, with slow timing", 500 * time.Millisecond, 0, Relaxed, 80 * time.Millisecond, NeighborSignaledDown},
		{"after it was missed", time.Second, 0, Fast, 80 * time.Millisecond, ControlDetectionExpired},
		{"after it was missed, with slow timing", time.Second, 0, Relaxed, 80 * time.Millisecond, ControlDetectionExpired},
		{"while it is not missed, its clock set back", 20 * time.Millisecond, time.Hour, Fast, 250 * time.Millisecond, ControlDetectionExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair(t, func(t *testing.T, w *network, a, b *node) {
				b.kill()
				after(tt.pause)
				b = w.start(t, "b", nil, withTiming(tt.timing))
				b.mesh.SetPeers(peersOf("a"))
				b.mesh.mu.Lock()
				b.mesh.core.sorted[0].sequence -= uint32(tt.clock >> 24)
				b.mesh.mu.Unlock()
				began := time.Now()
				after(2 * time.Second)
				events := a.take()
				if len(events) != 2 || events[0].Up || events[0].Diagnostic != tt.why || !events[1].Up {
					t.Fatalf("a reported %+v", events)
				}
				if took := events[1].At.Sub(began); took > tt.within {
					t.Errorf("up again after %s", took)
				}
				if e := b.alone(); !e.Up {
					t.Errorf("b reported %+v", e)
				}
			}, withTiming(tt.timing))
		})
	}
}

func TestPeerStops(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		w.set(func() { w.loss = 1 })
		b.stop()
		after(betweenThem * 3 / 2)
		w.set(func() { w.loss = 0 }) // the last good-bye of three comes through
		<-b.done
		after(lookEvery)
		if e := a.alone(); e.Up || e.Diagnostic != NeighborSignaledDown || e.Remote != AdministrativelyDown {
			t.Errorf("a reported %+v", e)
		}
		after(time.Second)
		if e := a.take(); len(e) > 0 {
			t.Errorf("a reported %+v too", e)
		}
		if s := a.session("b"); s.State != Down || s.Detection != 0 {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestPeersChange(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		c := w.start(t, "c", peersOf("a"))
		a.mesh.SetPeers(peersOf("b", "c"))
		after(100 * time.Millisecond)
		if e := a.alone(); !e.Up || e.Peer != "c" {
			t.Fatalf("a reported %+v, not c's session", e)
		}
		since := a.session("b").Since
		a.mesh.SetPeers(peersOf("b"))
		after(100 * time.Millisecond)
		if e := c.take(); len(e) != 2 || e[1].Up || e[1].Remote != AdministrativelyDown {
			t.Errorf("c, which was removed, reported %+v", e)
		}
		moved := peersOf("b")
		moved["b"] = addressOf("c")
		w.start(t, "d", nil) // some other node, which changes nothing
		if a.session("b").Since != since {
			t.Error("the session that stayed did not go on")
		}
		a.mesh.SetPeers(moved)
		after(100 * time.Millisecond)
		if e := a.alone(); !e.Up || e.Peer != "b" {
			t.Errorf("a reported %+v, not a new session at the other address", e)
		}
		if e := b.alone(); e.Up || e.Remote != AdministrativelyDown {
			t.Errorf("b reported %+v, not that its session ended", e)
		}
		if n := len(a.mesh.Sessions()); n != 1 {
			t.Errorf("a has %d sessions", n)
		}
	})
}

func TestPeersThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newNetwork().start(t, "a", nil, withLog(&log))
		a.mesh.SetPeers(map[string]netip.Addr{
			"self": addressOf("a"), "none": {}, "other family": netip.MustParseAddr("2001:db8::1"),
			"mapped": netip.MustParseAddr("::ffff:192.0.2.2"), "twice": addressOf("b"),
		})
		if s := a.mesh.Sessions(); len(s) != 1 || s[0].Address != addressOf("b") {
			t.Errorf("sessions are %+v", s)
		}
		if n := strings.Count(log.String(), "no BFD session"); n != 1 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
		a.quit()
	})
}

func TestFrozenProcessWakes(t *testing.T) {
	for _, frozen := range []time.Duration{60 * time.Millisecond, 140 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, time.Minute} {
		t.Run(frozen.String(), func(t *testing.T) {
			pair(t, func(t *testing.T, w *network, a, b *node) {
				a.freeze(frozen)
				after(frozen + 2*time.Second)
				for _, e := range a.take() {
					if e.Diagnostic == ControlDetectionExpired {
						t.Errorf("it declared its peer down: %+v", e)
					}
				}
				if a.session("b").State != Up || b.session("a").State != Up {
					t.Error("not up again")
				}
				if e := b.take(); frozen > 200*time.Millisecond && len(e) != 2 {
					t.Errorf("its peer reported %+v", e)
				}
			})
		})
	}
	t.Run("while its peer died", func(t *testing.T) {
		pair(t, func(t *testing.T, w *network, a, b *node) {
			a.freeze(2 * time.Second)
			b.kill()
			after(2*time.Second + 700*time.Millisecond) // it grants more time after that
			if e := a.alone(); e.Diagnostic != ControlDetectionExpired {
				t.Errorf("it reported %+v", e)
			}
		})
	})
}

func TestMachineIsAlwaysLate(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		for range 200 { // as if a had the processor for a moment every 120 ms
			a.freeze(120 * time.Millisecond)
			after(120 * time.Millisecond)
		}
		if s := b.session("a"); s.Detection <= 150*time.Millisecond {
			t.Errorf("a asks no more time of b: %+v", s)
		}
		for _, n := range []*node{a, b} {
			if e := n.take(); len(e) > 2 {
				t.Errorf("%s reported %+v", n.name, e)
			}
		}
		// It finds out all the same.
		b.kill()
		for range 20 {
			a.freeze(120 * time.Millisecond)
			after(120 * time.Millisecond)
		}
		if e := a.alone(); e.Diagnostic != ControlDetectionExpired || e.Detection > 1200*time.Millisecond {
			t.Errorf("it reported %+v", e)
		}
		// With time, it trusts itself again.
		w.start(t, "b", peersOf("a"))
		after(time.Minute)
		if s := a.session("b"); s.Detection != 150*time.Millisecond {
			t.Errorf("a minute later the detection time is %s", s.Detection)
		}
	})
}

func TestSocketErrors(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		var log bytes.Buffer
		a.mesh.mu.Lock()
		a.mesh.complaints.log = slogTo(&log)
		a.mesh.mu.Unlock()
		for range 1000 {
			a.conn.update(func() { a.conn.failure = errors.New("connection refused") })
			after(5 * time.Millisecond)
		}
		if e := a.take(); len(e) > 0 {
			t.Errorf("reported %+v", e)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("logged %d lines: %s", n, log.String())
		}
	})
}

func TestFlood(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		for range 100_000 {
			w.inject(b.at, a.at, []byte("garbage"))
		}
		after(time.Second)
		if e := append(a.take(), b.take()...); len(e) > 0 || a.dropped()[malformed] != 100_000 {
			t.Errorf("reported %+v, dropped %v", e, a.dropped())
		}
	})
}

// The kernel's times are of the wall clock, which somebody may set.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -100 * time.Millisecond, 100 * time.Millisecond, time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			pair(t, func(t *testing.T, w *network, a, b *node) {
				a.conn.update(func() { a.conn.skew = by })
				after(10 * time.Second)
				if e := a.take(); len(e) > 0 {
					t.Errorf("reported %+v", e)
				}
				b.kill()
				after(time.Second)
				if e := a.alone(); e.Detection > 155*time.Millisecond || e.At.Sub(time.Now().Add(-time.Second)) > 150*time.Millisecond+lookEvery {
					t.Errorf("reported %+v", e)
				}
			})
		})
	}
}

func TestSessionsOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		names := strings.Split("abcdefgh", "")
		nodes := map[string]*node{}
		for _, n := range names {
			peers := peersOf(names...)
			delete(peers, n)
			nodes[n] = w.start(t, n, peers)
		}
		after(100 * time.Millisecond)
		for _, n := range nodes {
			if e := n.take(); len(e) != 7 {
				t.Errorf("%s reported %d events", n.name, len(e))
			}
		}
		// What goes to different peers goes out together.
		w.set(func() { w.tape = nil })
		after(10 * time.Second)
		w.mu.Lock()
		bursts := map[time.Time]int{}
		for _, p := range w.tape {
			if p.from == nodes["a"].at {
				bursts[p.at]++
			}
		}
		w.mu.Unlock()
		if most := 10 * time.Second / (3 * Fast.Interval / 4); len(bursts) > int(most) {
			t.Errorf("a sent at %d times in 10 s", len(bursts))
		}
		nodes["c"].kill()
		after(200 * time.Millisecond)
		for _, n := range nodes {
			if n.name == "c" {
				continue
			}
			if e := n.alone(); e.Peer != "c" || e.Diagnostic != ControlDetectionExpired {
				t.Errorf("%s reported %+v", n.name, e)
			}
		}
		for name := range maps.Keys(nodes) {
			if name != "c" {
				nodes[name].quit()
			}
		}
	})
}

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{Local: netip.MustParseAddrPort("192.0.2.1:7957"), Key: []byte("k"), Timing: Fast}
	}
	for _, tt := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"no key", "key for BFD is empty", func(c *Config) { c.Key = []byte(" \n") }},
		{"no address", "no address and port", func(c *Config) { c.Local = netip.AddrPort{} }},
		{"any address", "no address and port", func(c *Config) { c.Local = netip.MustParseAddrPort("0.0.0.0:1") }},
		{"no port", "no address and port", func(c *Config) { c.Local = netip.MustParseAddrPort("192.0.2.1:0") }},
		{"no timing", "timing of BFD", func(c *Config) { c.Timing = Timing{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			if _, err := NewMesh(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseTiming(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Timing
		bad  string
	}{
		{in: "fast", want: Fast}, {in: "relaxed", want: Relaxed}, {in: "50x3", want: Fast},
		{in: "100x3", want: Timing{100 * time.Millisecond, 3}}, {in: "10000x50", want: Timing{10 * time.Second, 50}},
		{in: "", bad: "is not fast"}, {in: "x", bad: "is not fast"}, {in: "100", bad: "is not fast"}, {in: "100x", bad: "is not fast"},
		{in: "-100x3", bad: "is not fast"}, {in: "100x300", bad: "is not fast"}, {in: "100x3x3", bad: "is not fast"},
		{in: "9x3", bad: "interval of 9ms"}, {in: "10001x3", bad: "interval of 10.001s"}, {in: "50x1", bad: "multiplier of 1"},
		{in: "50x51", bad: "multiplier of 51"}, {in: "99999999999x3", bad: "is not fast"},
	} {
		got, err := ParseTiming(tt.in)
		switch {
		case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)):
			t.Errorf("ParseTiming(%q) returned error %v, want %q", tt.in, err, tt.bad)
		case tt.bad == "" && (err != nil || got != tt.want):
			t.Errorf("ParseTiming(%q) = %v, %v", tt.in, got, err)
		case tt.bad == "":
			if again, err := ParseTiming(fmt.Sprint(got)); err != nil || again != got {
				t.Errorf("ParseTiming(%q) = %v, %v", got, again, err)
			}
		}
	}
}
