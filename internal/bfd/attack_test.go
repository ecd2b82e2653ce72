package bfd

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An attacker who has recorded everything, sent or delivered, and sends from whatever address it likes.

func TestReplayKeepsNoSessionUp(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		after(5 * time.Second)
		b.kill()
		tape := w.recorded(b.at, a.at)
		for range 10 {
			for _, p := range tape {
				w.inject(p.from, a.at, p.b)
			}
			after(50 * time.Millisecond)
		}
		if e := a.alone(); e.Up || e.Diagnostic != ControlDetectionExpired || e.Detection > 155*time.Millisecond {
			t.Errorf("reported %+v", e)
		}
		// Nor does it bring one up, in whatever order and pace, answers of the dead one included.
		for i := range 3000 {
			p := tape[i%len(tape)]
			w.inject(p.from, a.at, p.b)
			after(time.Duration(i%7) * time.Millisecond)
		}
		if e := a.take(); len(e) > 0 || a.session("b").State != Down {
			t.Errorf("reported %+v, is %s", e, a.session("b").State)
		}
	})
}

func TestReplayTakesNoSessionDown(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		// Lives of b to record: one that ended by a good-bye, one that was killed, one that was cut off.
		b.quit()
		after(time.Second)
		b = w.start(t, "b", peersOf("a"))
		after(time.Second)
		b.kill()
		after(time.Second)
		b = w.start(t, "b", peersOf("a"))
		after(time.Second)
		w.separate(a.at.Addr(), b.at.Addr(), true)
		after(time.Second)
		w.separate(a.at.Addr(), b.at.Addr(), false)
		after(time.Second)
		a.take()
		tape := w.recorded(b.at, a.at)
		sent := a.session("b").Sent
		began := time.Now()
		for i, p := range append(tape, tape...) {
			w.inject(p.from, a.at, p.b)
			if i%4 == 0 {
				after(time.Millisecond)
			}
		}
		if e := a.take(); len(e) > 0 {
			t.Errorf("reported %+v", e)
		}
		if d := a.dropped(); d[replayed] == 0 || d[outdated] == 0 {
			t.Errorf("dropped %v", d)
		}
		// What it answers is bounded.
		if n, most := a.session("b").Sent-sent, uint64(time.Since(began)/greetPause+time.Since(began)/(37*time.Millisecond)); n > most+5 {
			t.Errorf("%d packets sent, more than %d", n, most)
		}
	})
}

func TestReplayDoesNotKeepPeerFromComingBack(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		b.kill()
		after(time.Second)
		tape := append(w.recorded(b.at, a.at), w.recorded(a.at, b.at)...)
		attacked := make(chan struct{})
		go func() {
			defer close(attacked)
			for i := range 3000 {
				p := tape[i%len(tape)]
				w.inject(p.from, p.to, p.b)
				time.Sleep(500 * time.Microsecond)
			}
		}()
		after(time.Second)
		b = w.start(t, "b", peersOf("a"))
		after(500 * time.Millisecond)
		if a.session("b").State != Up || b.session("a").State != Up {
			t.Errorf("a is %s, b is %s", a.session("b").State, b.session("a").State)
		}
		<-attacked
	})
}

func TestForgery(t *testing.T) {
	pair(t, func(t *testing.T, w *network, a, b *node) {
		var log bytes.Buffer
		a.mesh.mu.Lock()
		a.mesh.complaints.log = slogTo(&log)
		a.mesh.mu.Unlock()
		tape := w.recorded(b.at, a.at)
		last := tape[len(tape)-1].b
		down, _ := decode(last)
		down.state, down.auth.sequence = Down, down.auth.sequence+1
		plain := down
		plain.auth = authentication{}
		other := down
		other.auth.keyID = 2
		for _, x := range []struct {
			name string
			from netip.AddrPort
			b    []byte
			why  reason
		}{
			{"garbage", b.at, []byte("garbage"), malformed},
			{"nothing", b.at, nil, malformed},
			{"no digest", b.at, plain.appendTo(nil), unauthenticated},
			{"another packet's digest", b.at, down.appendTo(nil), unauthenticated},
			{"another key", b.at, other.appendTo(nil), unauthenticated},
			{"a stranger", netip.MustParseAddrPort("192.0.2.77:7957"), last, unknown},
			{"another port", netip.AddrPortFrom(b.at.Addr(), 3784), last, unknown},
			{"its own packet, sent back", b.at, w.recorded(a.at, b.at)[3].b, unauthenticated},
		} {
			before := a.dropped()[x.why]
			for range 100 {
				w.inject(x.from, a.at, x.b)
				after(time.Millisecond)
			}
			after(lookEvery)
			if n := a.dropped()[x.why] - before; n != 100 {
				t.Errorf("%s: %d dropped as %s", x.name, n, x.why)
			}
		}
		if e := a.take(); len(e) > 0 {
			t.Errorf("reported %+v", e)
		}
		// Each reason is logged once in a minute.
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("logged %d lines: %s", n, log.String())
		}
		after(time.Minute)
		w.inject(b.at, a.at, nil)
		after(lookEvery)
		if s := log.String(); strings.Count(s, "\n") != 4 || !strings.Contains(s, "more=199") {
			t.Errorf("logged %s", s)
		}
	})
}

// A session with oneself by reflection: hello, answers and all go back to who made them.
func TestReflectionMakesNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		a := w.start(t, "a", peersOf("b"))
		for range 1000 {
			b := addressPortOf("b")
			if sent := w.recorded(a.at, b); len(sent) > 0 {
				w.inject(b, a.at, sent[len(sent)-1].b)
			}
			after(time.Millisecond)
		}
		if e := a.take(); len(e) > 0 || a.dropped()[unauthenticated] < 900 {
			t.Errorf("reported %+v, dropped %v", e, a.dropped())
		}
		a.quit()
	})
}

func TestKeysDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		a := w.start(t, "a", peersOf("b"))
		b := w.start(t, "b", peersOf("a"), withKey("another"))
		after(10 * time.Second)
		for _, n := range []*node{a, b} {
			if e := n.take(); len(e) > 0 || n.dropped()[unauthenticated] < 90 {
				t.Errorf("%s reported %+v, dropped %v", n.name, e, n.dropped())
			}
		}
		b.kill()
		b = w.start(t, "b", peersOf("a"), withKey("  secret")) // white space around a key does not count
		after(100 * time.Millisecond)
		if !a.alone().Up || !b.alone().Up {
			t.Error("not up with the right key")
		}
		a.quit()
		b.quit()
	})
}

func TestKeysOfDirections(t *testing.T) {
	a, b, c := addressOf("a"), addressOf("b"), addressOf("c")
	seen := map[key]bool{}
	for _, x := range []struct {
		secret   string
		from, to netip.Addr
	}{{"k", a, b}, {"k", b, a}, {"k", a, c}, {"k", c, b}, {"l", a, b}} {
		k, err := deriveKey([]byte(x.secret), x.from, x.to)
		if err != nil {
			t.Fatal(err)
		}
		if seen[k] {
			t.Errorf("%+v has another's key", x)
		}
		seen[k] = true
	}
}

func TestFreshness(t *testing.T) {
	const local, remote = 10, 20
	for _, tt := range []struct {
		name           string
		known          bool
		last, sequence uint32
		my, your       uint32
		want           verdict
	}{
		{"the first of a life is taken whatever its number", false, 0, 4e9, remote, local, fresh},
		{"the next is fresh", true, 100, 101, remote, local, fresh},
		{"some were lost", true, 100, 1000, remote, local, fresh},
		{"the number goes round", true, 1<<32 - 1, 3, remote, local, fresh},
		{"the same again", true, 100, 100, remote, local, replay},
		{"overtaken", true, 100, 99, remote, local, replay},
		{"too far ahead", true, 100, 101 + window, remote, local, replay},
		{"far ahead, of a peer that restarted", true, 100, 101 + window, 21, local, fresh},
		{"behind, of a peer that restarted", true, 100, 99, 21, local, replay},
		{"for an old life of ours", true, 100, 101, remote, 9, stale},
		{"for nobody in particular", true, 100, 101, remote, 0, hello},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := freshness{last: tt.last}
			if tt.known {
				f.of = local
			}
			before := f
			p := packet{my: tt.my, your: tt.your, auth: authentication{sequence: tt.sequence}}
			if got := f.judge(&p, local, remote); got != tt.want {
				t.Errorf("judged as %d", got)
			}
			if want := (freshness{local, tt.sequence}); tt.want == fresh && f != want || tt.want != fresh && f != before {
				t.Errorf("remembers %+v", f)
			}
		})
	}
}
