package bfd

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// RFC 5880 section 6.8.3.
func TestRetime(t *testing.T) {
	old := timers{100 * ms, 100 * ms, 3}
	for _, tt := range []struct {
		name              string
		timers            timers
		polls             bool
		period, detection time.Duration // until the peer has answered
		then, thereafter  time.Duration // the same from then on
	}{
		{"nothing changes", old, false, 100 * ms, 300 * ms, 100 * ms, 300 * ms},
		{"sends more seldom, once the peer knows", timers{200 * ms, 100 * ms, 3}, true, 100 * ms, 300 * ms, 200 * ms, 300 * ms},
		{"sends more often at once", timers{50 * ms, 100 * ms, 3}, true, 50 * ms, 300 * ms, 50 * ms, 300 * ms},
		{"takes more, and expects it once the peer knows", timers{100 * ms, 50 * ms, 3}, true, 100 * ms, 300 * ms, 100 * ms, 150 * ms},
		{"takes less, and expects less at once", timers{100 * ms, 200 * ms, 3}, true, 100 * ms, 600 * ms, 100 * ms, 600 * ms},
		{"the multiplier is the peer's affair", timers{100 * ms, 100 * ms, 9}, false, 100 * ms, 300 * ms, 100 * ms, 300 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, peer := routerSession(old)
			s.retime(tt.timers)
			if s.state != Up || s.poll != tt.polls || s.period() != tt.period || s.detection() != tt.detection {
				t.Errorf("at first: %s, polls %v, period %s, detection time %s", s.state, s.poll, s.period(), s.detection())
			}
			if p, ok := s.transmit(start, 0, 1); ok != (tt.timers != old) || ok && (p.poll != tt.polls || p.desiredMinTx != tt.timers.transmit ||
				p.requiredMinRx != tt.timers.receive || p.multiplier != tt.timers.multiplier) {
				t.Errorf("sends %v: %+v", ok, p)
			}
			peer.final = true
			s.receive(&peer, start)
			if s.poll || s.period() != tt.then || s.detection() != tt.thereafter {
				t.Errorf("then: polls %v, period %s, detection time %s", s.poll, s.period(), s.detection())
			}
		})
	}
	t.Run("twice in a row, the first answer proves nothing of the second change", func(t *testing.T) {
		s, peer := routerSession(old)
		s.retime(timers{200 * ms, 100 * ms, 3})
		s.retime(timers{400 * ms, 50 * ms, 3})
		peer.final = true
		s.receive(&peer, start)
		if !s.poll || s.period() != 100*ms || s.detection() != 300*ms {
			t.Errorf("polls %v, period %s, detection time %s", s.poll, s.period(), s.detection())
		}
		s.receive(&peer, start)
		if s.poll || s.period() != 400*ms || s.detection() != 150*ms {
			t.Errorf("then: polls %v, period %s, detection time %s", s.poll, s.period(), s.detection())
		}
	})
	t.Run("a session that comes up slows down once the peer knows", func(t *testing.T) {
		s, peer := routerSession(timers{5 * second, 5 * second, 3})
		if s.poll = true; s.period() != 5*second {
			t.Errorf("period %s", s.period())
		}
		peer.state = Down
		s.receive(&peer, start)
		peer.state = Init
		s.receive(&peer, start)
		s.receive(&peer, start)
		if s.state != Up || s.period() != second {
			t.Errorf("%s with period %s", s.state, s.period())
		}
	})
}

// routerSession is one that is Up with a peer of the same timing, and what that says.
func routerSession(x timers) (*session, packet) {
	s := newSession(x, second, func() uint32 { return 1 }, start)
	p := packet{my: 2, multiplier: 3, desiredMinTx: 10 * ms, requiredMinRx: 10 * ms}
	for _, p.state = range []State{Down, Init, Up} {
		s.receive(&p, start)
		s.transmit(start, 0, 1)
	}
	p.final, p.your = true, 1
	s.receive(&p, start)
	p.final = false
	s.transmit(start, 0, 1)
	return s, p
}

// RFC 5880 section 6.8.7: a peer in Demand mode gets packets only when there is something to say.
func TestPeerInDemandMode(t *testing.T) {
	s, peer := routerSession(timers{100 * ms, 100 * ms, 3})
	peer.demand = true
	s.receive(&peer, start)
	if s.period() != 0 || !s.due.IsZero() {
		t.Errorf("period %s, due %s", s.period(), s.due)
	}
	if at := s.next(); !at.Equal(start.Add(300 * ms)) {
		t.Errorf("wakes %s later", at.Sub(start))
	}
	s.retime(timers{50 * ms, 100 * ms, 3})
	if p, ok := s.transmit(start, 0, 1); !ok || !p.poll || s.due.IsZero() {
		t.Errorf("does not go on polling: %v %+v", ok, p)
	}
	peer.final = true
	s.receive(&peer, start)
	if _, ok := s.transmit(start.Add(second), 0, 1); ok {
		t.Error("sends still")
	}
	peer.demand, peer.final = false, false
	s.receive(&peer, start.Add(second))
	if _, ok := s.transmit(start.Add(second), 0, 1); !ok {
		t.Error("does not begin again")
	}
}

// RFC 5880 section 6.1.
func TestPassiveSession(t *testing.T) {
	s := newSession(timers{100 * ms, 100 * ms, 3}, second, func() uint32 { return 1 }, start)
	s.setPassive(true)
	if _, ok := s.transmit(start, 0, 1); ok || !s.next().IsZero() {
		t.Errorf("begins, or wakes at %s", s.next())
	}
	s.receive(&packet{my: 2, state: Down, multiplier: 3, desiredMinTx: second, requiredMinRx: second}, start)
	if p, ok := s.transmit(start, 0, 1); !ok || p.state != Init || p.your != 2 {
		t.Errorf("answers %v: %+v", ok, p)
	}
	now := start.Add(3 * second)
	if last, failed := s.judge(now, 0); !failed || last.your != 2 {
		t.Errorf("failed %v, last words %+v", failed, last)
	}
	if p, ok := s.transmit(now, 0, 1); ok || !s.next().IsZero() {
		t.Errorf("goes on with %+v", p)
	}
}
