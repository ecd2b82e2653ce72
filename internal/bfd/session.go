package bfd

import "time"

// session is one RFC 5880 session in asynchronous mode. It is told what was received and what time it is, and
// tells what to send. What it receives has passed authentication, where there is any.
type session struct {
	timers timers
	// idle is the interval in which a session that is not Up sends. Section 6.8.3 asks for at least a second.
	idle time.Duration
	// passive waits for the peer's first packet, section 6.1.
	passive bool
	// discriminator returns a new value for My Discriminator.
	discriminator func() uint32
	// extra is how many intervals more than the multipliers say are granted for now, see lateness.widen.
	extra uint8

	state State
	since time.Time
	// diagnostic is why this side went down last, remoteDiagnostic what the peer says of itself.
	diagnostic, remoteDiagnostic Diagnostic
	local, remote                uint32 // discriminators; remote is 0 while not known

	// What the peer said last, or section 6.8.1's initial values.
	remoteState              State
	remoteMinTx, remoteMinRx time.Duration
	remoteMultiplier         uint8
	remoteDemand             bool

	heard   time.Time // when the last packet came
	expires time.Time // when the peer will have been silent for too long; zero while nothing is awaited
	// postponed counts how often the verdict was put off since the last packet.
	postponed int

	sent, due time.Time // the last packet, and the next of the periodic ones; due is zero while there are none
	poll      bool      // a Poll Sequence is under way, section 6.5
	again     bool      // another is to follow: timers have changed since it began
	former    timers    // what the peer may still count on while it goes on
	final     bool      // the peer polled: to be answered at once
	changed   bool      // the contents changed: to be told at once, section 6.8.7
}

// timers are what this side asks for: Desired Min TX Interval while it is Up, Required Min RX Interval and Detect
// Mult of section 4.1.
type timers struct {
	transmit, receive time.Duration
	multiplier        uint8
}

func newSession(t timers, idle time.Duration, discriminator func() uint32, now time.Time) *session {
	s := &session{timers: t, former: t, idle: idle, discriminator: discriminator, state: Down, since: now, due: now}
	s.forget()
	return s
}

// receive takes in a packet that is for this session.
func (s *session) receive(p *packet, now time.Time) {
	if s.remote != p.my {
		s.remote, s.changed = p.my, true // the peer waits to hear its discriminator
	}
	s.heard, s.postponed = now, 0
	s.remoteState, s.remoteDiagnostic = p.state, p.diagnostic
	s.remoteMinTx, s.remoteMinRx, s.remoteMultiplier = p.desiredMinTx, p.requiredMinRx, p.multiplier
	s.remoteDemand = p.demand
	if p.final && s.again {
		s.again = false // it may answer what was said before
	} else if p.final {
		s.poll, s.former = false, s.timers
	}
	s.expires = now.Add(s.detection())
	s.transition(p.state, now)
	s.final = s.final || p.poll
	s.hasten()
}

// transition is the state machine of sections 6.2 and 6.8.6: the peer says that it is in state remote.
func (s *session) transition(remote State, now time.Time) {
	switch {
	case s.state == AdminDown:
	case remote == AdminDown:
		if s.state != Down {
			s.enter(Down, NeighborSignaledDown, now)
		}
	case s.state == Down && remote == Down:
		s.enter(Init, s.diagnostic, now)
	case s.state == Down && remote == Init, s.state == Init && remote != Down:
		s.enter(Up, s.diagnostic, now) // it stays the reason of the last failure, section 4.1
	case s.state == Up && remote == Down:
		s.enter(Down, NeighborSignaledDown, now)
	}
}

func (s *session) enter(state State, why Diagnostic, now time.Time) {
	before := s.interval()
	s.state, s.diagnostic, s.since, s.changed = state, why, now, true
	if s.interval() != before { // Desired Min TX Interval changes: section 6.8.3
		s.former.transmit = before
		s.initiate()
	}
}

// initiate begins a Poll Sequence, or another after the one that is under way.
func (s *session) initiate() { s.poll, s.again = true, s.poll }

// retime changes the timers of a session, which goes on. While it is Up the peer is told by a Poll Sequence, and
// has been told when what it could take for silence begins: section 6.8.3.
func (s *session) retime(t timers) {
	old := s.timers
	if t == old {
		return
	}
	s.timers, s.changed = t, true
	switch {
	case s.state != Up:
		s.former = t
	case s.poll:
		s.former.transmit, s.former.receive = min(s.former.transmit, old.transmit), max(s.former.receive, old.receive)
	default:
		s.former = old
	}
	if t.receive != old.receive || s.state == Up && t.transmit != old.transmit {
		s.initiate()
	}
	if at := s.heard.Add(s.detection()); !s.expires.IsZero() && at.After(s.expires) {
		s.expires = at
	}
	s.hasten()
}

// setPassive has this side wait for the peer, or not any more.
func (s *session) setPassive(passive bool) {
	s.passive = passive
	s.hasten()
}

// disable takes the session down for good, section 6.8.16.
func (s *session) disable(now time.Time) {
	s.enter(AdminDown, AdministrativelyDown, now)
	s.poll, s.again, s.final = false, false, false
}

// forget is what follows when the peer was silent for a detection time, section 6.8.1; and a new discriminator,
// so that what was recorded before matches nothing.
func (s *session) forget() {
	s.remote, s.local = 0, s.discriminator()
	s.remoteState, s.remoteMinTx, s.remoteMinRx, s.remoteMultiplier = Down, 0, time.Microsecond, 0
	s.expires, s.postponed, s.final, s.remoteDemand = time.Time{}, 0, false, false
}

// judge looks whether the peer has been silent for too long, by a clock that fired late; what waited in the socket
// has been received. If a session was Init or
// Up until now it returns the last words to the peer, in the name that it knows.
func (s *session) judge(now time.Time, late time.Duration) (last packet, failed bool) {
	if s.expires.IsZero() || now.Before(s.expires) {
		return packet{}, false
	}
	if tardy(late, s.timers.receive) && s.postponed < patience {
		s.postponed++
		s.expires = now.Add(min(late, s.detection()))
		return packet{}, false
	}
	if failed = s.state == Init || s.state == Up; failed {
		s.enter(Down, ControlDetectionExpired, now)
		last = s.packet()
		last.poll = false // there will be nobody to take the answer
	}
	s.forget()
	s.hasten()
	return last, failed
}

// transmit returns the packet to send now, if there is one: an urgent one, or a periodic one that is due within
// slack. The next follows after the interval times jitter, which is between 0.75 and 1 (section 6.8.7).
func (s *session) transmit(now time.Time, slack time.Duration, jitter float64) (p packet, ok bool) {
	if s.waiting() || !s.final && !s.changed && (s.due.IsZero() || s.due.After(now.Add(slack))) {
		return packet{}, false
	}
	p = s.packet()
	if s.final {
		p.poll, p.final = false, true
	}
	s.final, s.changed, s.sent, s.due = false, false, now, time.Time{}
	if i := s.period(); i > 0 {
		s.due = now.Add(time.Duration(float64(i) * jitter))
	}
	return p, true
}

// packet is what there is to say, section 6.8.7.
func (s *session) packet() packet {
	return packet{
		diagnostic: s.diagnostic, state: s.state, poll: s.poll, multiplier: s.timers.multiplier + s.extra,
		my: s.local, your: s.remote, desiredMinTx: s.interval(), requiredMinRx: s.timers.receive,
	}
}

// next is when judge or transmit have something to do; zero if never.
func (s *session) next() time.Time {
	if s.expires.IsZero() || (!s.due.IsZero() && s.due.Before(s.expires)) {
		return s.due
	}
	return s.expires
}

// widen grants the peer so many intervals more, beginning with what it is sending now.
func (s *session) widen(extra uint8) {
	if s.extra == extra {
		return
	}
	s.extra = extra
	if at := s.heard.Add(s.detection()); !s.expires.IsZero() && at.After(s.expires) {
		s.expires = at
	}
}

// interval is bfd.DesiredMinTxInterval.
func (s *session) interval() time.Duration {
	if s.state == Up {
		return s.timers.transmit
	}
	return s.idle
}

// waiting tells whether nothing may be sent, since a passive side has heard nothing yet.
func (s *session) waiting() bool { return s.passive && s.remote == 0 }

// period is the time between two periodic packets, without jitter, section 6.8.7; zero if there are to be none.
func (s *session) period() time.Duration {
	demand := s.remoteDemand && s.state == Up && s.remoteState == Up && !s.poll
	if s.remoteMinRx == 0 || demand || s.waiting() {
		return 0
	}
	i := s.interval()
	if s.poll && s.state == Up {
		i = min(i, s.former.transmit)
	}
	return max(i, s.remoteMinRx)
}

// accepted is the interval that the peer is to send in, as far as it knows.
func (s *session) accepted() time.Duration {
	i := s.timers.receive
	if s.poll && s.state == Up {
		i = max(i, s.former.receive)
	}
	return max(i, s.remoteMinTx)
}

// detection is the Detection Time, section 6.8.4, and what is granted beyond.
func (s *session) detection() time.Duration {
	return time.Duration(int(s.remoteMultiplier)+int(s.extra)) * s.accepted()
}

// hasten moves the next periodic packet to where a shorter interval wants it, section 6.8.3.
func (s *session) hasten() {
	i := s.period()
	if at := s.sent.Add(i); i == 0 {
		s.due = time.Time{}
	} else if s.due.IsZero() || at.Before(s.due) {
		s.due = at
	}
}
