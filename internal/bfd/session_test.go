package bfd

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const second = time.Second

// testSession is a session in some state, as if it had come there long ago.
func testSession(state State) *session {
	n := uint32(0)
	s := newSession(Fast.timers(), 100*time.Millisecond, func() uint32 { n++; return n }, start)
	s.transmit(start, 0, 1)
	if state == Init || state == Up {
		s.receive(from(Down), start)
	}
	if state == Up {
		s.receive(from(Init), start)
		s.receive(&packet{state: Up, my: 7, your: 1, multiplier: 3, desiredMinTx: 50 * time.Millisecond, requiredMinRx: 50 * time.Millisecond, final: true}, start)
	}
	if state == AdminDown {
		s.disable(start)
	}
	for range 3 {
		s.transmit(start, 0, 1)
	}
	if s.state != state {
		panic(fmt.Sprintf("made a session in state %s, not %s", s.state, state))
	}
	return s
}

// from is a packet of a peer in some state.
func from(state State) *packet {
	p := &packet{state: state, my: 7, your: 1, multiplier: 3, desiredMinTx: 100 * time.Millisecond, requiredMinRx: 50 * time.Millisecond}
	if state == Up {
		p.desiredMinTx = 50 * time.Millisecond
	}
	return p
}

// RFC 5880 sections 6.2 and 6.8.6.
func TestTransitions(t *testing.T) {
	for _, tt := range []struct {
		local, remote, want State
		why                 Diagnostic
	}{
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown},
		{AdminDown, Down, AdminDown, AdministrativelyDown},
		{AdminDown, Init, AdminDown, AdministrativelyDown},
		{AdminDown, Up, AdminDown, AdministrativelyDown},
		{Down, AdminDown, Down, NoDiagnostic},
		{Down, Down, Init, NoDiagnostic},
		{Down, Init, Up, NoDiagnostic},
		{Down, Up, Down, NoDiagnostic},
		{Init, AdminDown, Down, NeighborSignaledDown},
		{Init, Down, Init, NoDiagnostic},
		{Init, Init, Up, NoDiagnostic},
		{Init, Up, Up, NoDiagnostic},
		{Up, AdminDown, Down, NeighborSignaledDown},
		{Up, Down, Down, NeighborSignaledDown},
		{Up, Init, Up, NoDiagnostic},
		{Up, Up, Up, NoDiagnostic},
	} {
		t.Run(fmt.Sprintf("%s hears %s", tt.local, tt.remote), func(t *testing.T) {
			s := testSession(tt.local)
			now := start.Add(time.Millisecond)
			s.receive(from(tt.remote), now)
			if s.state != tt.want || s.diagnostic != tt.why {
				t.Errorf("is %s (%s), want %s (%s)", s.state, s.diagnostic, tt.want, tt.why)
			}
			p, told := s.transmit(now, 0, 1)
			if tt.want != tt.local && (!told || p.state != tt.want || p.diagnostic != tt.why) {
				t.Errorf("the peer is told %v, %+v", told, p)
			}
			if known := s.remote != 0; tt.local == Up && told == (tt.want == Up) || !known {
				t.Errorf("the peer, known %v, is told %v", known, told)
			}
		})
	}
}

func TestDetectionTimeExpires(t *testing.T) {
	for _, tt := range []struct {
		state, want State
		why         Diagnostic
		failed      bool
		after       time.Duration
	}{
		{AdminDown, AdminDown, AdministrativelyDown, false, 0},
		{Down, Down, NoDiagnostic, false, 0},
		{Init, Down, ControlDetectionExpired, true, 300 * time.Millisecond}, // the peer's interval is 100 ms still
		{Up, Down, ControlDetectionExpired, true, 150 * time.Millisecond},
	} {
		t.Run(tt.state.String(), func(t *testing.T) {
			s := testSession(tt.state)
			if _, failed := s.judge(start.Add(tt.after-1), 0); failed || s.state != tt.state {
				t.Fatal("failed too soon")
			}
			now := start.Add(tt.after)
			last, failed := s.judge(now, 0)
			if failed != tt.failed || s.state != tt.want || s.diagnostic != tt.why {
				t.Errorf("failed %v, is %s (%s)", failed, s.state, s.diagnostic)
			}
			if !failed {
				return
			}
			if last.my != 1 || last.your != 7 || last.state != Down || last.diagnostic != ControlDetectionExpired {
				t.Errorf("last words are %+v", last)
			}
			if p, ok := s.transmit(now, 0, 1); !ok || p.my == 1 || p.your != 0 || p.state != Down {
				t.Errorf("first words are %+v", p)
			}
		})
	}
}

// RFC 5880 sections 6.5 and 6.8.3: going up shortens the interval, which is polled for.
func TestPollSequence(t *testing.T) {
	s := testSession(Init)
	s.receive(from(Init), start)
	p, ok := s.transmit(start, 0, 1)
	if !ok || !p.poll || p.desiredMinTx != 50*time.Millisecond {
		t.Fatalf("goes up with %+v", p)
	}
	now := start.Add(50 * time.Millisecond)
	if p, ok = s.transmit(now, 0, 1); !ok || !p.poll {
		t.Fatalf("does not go on polling: %+v", p)
	}
	// A poll is answered at once, and both bits are never set.
	k := from(Up)
	k.poll = true
	s.receive(k, now)
	if p, ok = s.transmit(now, 0, 1); !ok || p.poll || !p.final {
		t.Fatalf("the poll is answered with %v, %+v", ok, p)
	}
	k.poll, k.final = false, true
	s.receive(k, now)
	if _, ok = s.transmit(now, 0, 1); ok {
		t.Error("the answer is answered")
	}
	if p, ok = s.transmit(now.Add(50*time.Millisecond), 0, 1); !ok || p.poll || p.final {
		t.Errorf("thereafter: %v, %+v", ok, p)
	}
}

// RFC 5880 sections 6.8.2 to 6.8.4 and 6.8.7.
func TestNegotiation(t *testing.T) {
	for _, tt := range []struct {
		name              string
		minTx, minRx      time.Duration
		multiplier, extra uint8
		period, detection time.Duration
	}{
		{"alike", 50 * time.Millisecond, 50 * time.Millisecond, 3, 0, 50 * time.Millisecond, 150 * time.Millisecond},
		{"the peer sends more seldom", 300 * time.Millisecond, 50 * time.Millisecond, 3, 0, 50 * time.Millisecond, 900 * time.Millisecond},
		{"the peer wants to receive more seldom", 50 * time.Millisecond, 300 * time.Millisecond, 3, 0, 300 * time.Millisecond, 150 * time.Millisecond},
		{"the peer would send more often", 10 * time.Millisecond, 10 * time.Millisecond, 5, 0, 50 * time.Millisecond, 250 * time.Millisecond},
		{"the peer wants nothing", 50 * time.Millisecond, 0, 3, 0, 0, 150 * time.Millisecond},
		{"this node is late", 50 * time.Millisecond, 50 * time.Millisecond, 3, 2, 50 * time.Millisecond, 250 * time.Millisecond},
		{"the most there is", 1<<32*time.Microsecond - 1, 1<<32*time.Microsecond - 1, 255, 100, 1<<32*time.Microsecond - 1, 355 * (1<<32*time.Microsecond - 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSession(Up)
			s.widen(tt.extra)
			p := from(Up)
			p.desiredMinTx, p.requiredMinRx, p.multiplier = tt.minTx, tt.minRx, tt.multiplier
			s.receive(p, start)
			if s.period() != tt.period || s.detection() != tt.detection {
				t.Errorf("period %s, detection %s", s.period(), s.detection())
			}
			if !s.expires.Equal(start.Add(tt.detection)) {
				t.Errorf("expires after %s", s.expires.Sub(start))
			}
		})
	}
	t.Run("a peer that wants packets sooner gets them at once", func(t *testing.T) {
		s := testSession(Up)
		p := from(Up)
		p.requiredMinRx = second
		s.receive(p, start)
		s.transmit(start.Add(50*time.Millisecond), 0, 1)
		p.requiredMinRx = 50 * time.Millisecond
		s.receive(p, start.Add(300*time.Millisecond))
		if _, ok := s.transmit(start.Add(300*time.Millisecond), 0, 1); !ok {
			t.Error("it does not")
		}
	})
	t.Run("a peer that wanted none and is forgotten gets some again", func(t *testing.T) {
		s := testSession(Up)
		p := from(Up)
		p.requiredMinRx = 0
		s.receive(p, start)
		s.transmit(start.Add(50*time.Millisecond), 0, 1)
		s.judge(start.Add(second), 0)
		s.judge(start.Add(2*second), 0)
		s.transmit(start.Add(2*second), 0, 1)
		if s.due.IsZero() {
			t.Error("nothing is due")
		}
	})
}

func TestJitter(t *testing.T) {
	s := testSession(Up)
	now := start.Add(50 * time.Millisecond)
	if _, ok := s.transmit(now.Add(-4*time.Millisecond), 3*time.Millisecond, .75); ok {
		t.Error("sent too soon")
	}
	if _, ok := s.transmit(now.Add(-3*time.Millisecond), 3*time.Millisecond, .75); !ok {
		t.Error("did not go along")
	}
	if want := start.Add(47*time.Millisecond + 37500*time.Microsecond); !s.due.Equal(want) || !s.next().Equal(want) {
		t.Errorf("due %s after the start", s.due.Sub(start))
	}
}

func TestPostponement(t *testing.T) {
	due := start.Add(150 * time.Millisecond)
	for _, tt := range []struct {
		name  string
		lates []time.Duration // of the timer, each time it fires
		want  []time.Duration // by which the verdict is put off; the last is the verdict
	}{
		{"on time", []time.Duration{0}, nil},
		{"a bit late", []time.Duration{5 * time.Millisecond}, nil},
		{"stopped for long", []time.Duration{time.Hour, 0}, []time.Duration{150 * time.Millisecond}},
		{"late once more", []time.Duration{40 * time.Millisecond, 40 * time.Millisecond, 0}, []time.Duration{40 * time.Millisecond, 40 * time.Millisecond}},
		{"always late", []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour}, []time.Duration{150 * time.Millisecond, 150 * time.Millisecond, 150 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, now := testSession(Up), due
			for i, late := range tt.lates {
				now = now.Add(late)
				_, failed := s.judge(now, late)
				if verdict := i == len(tt.want); failed != verdict {
					t.Fatalf("failed %v at the wake %d", failed, i)
				}
				if !failed {
					if off := s.expires.Sub(now); off != tt.want[i] {
						t.Fatalf("put off by %s at the wake %d", off, i)
					}
					now = s.expires
				}
			}
		})
	}
	t.Run("a packet that waited ends it", func(t *testing.T) {
		s := testSession(Up)
		s.judge(due.Add(second), second)
		s.receive(from(Up), due.Add(second))
		if s.postponed != 0 || !s.expires.Equal(due.Add(second+150*time.Millisecond)) {
			t.Errorf("postponed %d, expires after %s", s.postponed, s.expires.Sub(start))
		}
	})
}

func TestLateness(t *testing.T) {
	var l lateness
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for _, tt := range []struct {
		name   string
		late   time.Duration
		at     time.Time
		widens uint8
	}{
		{"at first it is on time", 0, at(0), 0},
		{"a little does not count", 12 * time.Millisecond, at(1), 0},
		{"40 ms are rounded to one interval", 40 * time.Millisecond, at(2), 1},
		{"less than that changes nothing", 20 * time.Millisecond, at(3), 1},
		{"two and a half are three", 125 * time.Millisecond, at(4), 3},
		{"a half-life later one and a quarter are left", 0, at(halfLife + 4), 1},
		{"three half-lives later nothing", 0, at(3 * halfLife), 0},
		{"an hour counts as six intervals", time.Hour, at(4 * halfLife), 6},
		{"and is soon forgotten", 0, at(8 * halfLife), 0},
	} {
		l.observe(tt.late, Fast, tt.at)
		if got := l.widen(Fast, tt.at); got != tt.widens {
			t.Errorf("%s: widens by %d, want %d", tt.name, got, tt.widens)
		}
	}
}
