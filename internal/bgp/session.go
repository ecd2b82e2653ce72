package bgp

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// session is what this node has with one peer. Its goroutine, in run, owns all that is not under a lock.
type session struct {
	name   string
	engine *Engine
	log    *slog.Logger
	kick   chan struct{}

	mailbox
	shown shown
	tally *tally

	peer    Peer
	backend backend
	ledger  ledger
	link    *link
	// failures in a row, of attempts to connect and of sessions that did not last.
	failures int
	past     past
	// begun is when the last session began to be opened.
	begun    time.Time
	attempt  *time.Timer
	recheck  *time.Timer        // whether a slow router takes routes in again
	dialing  context.CancelFunc // nil while not
	dialed   chan dialed
	accepted chan net.Conn
	// deaf ends the wait for a passive peer at the address awaited; nil while there is none.
	deaf     func()
	awaited  netip.Addr
	watching Target // what the detector watches, zero for nothing
}

// mailbox is what others want of a session.
type mailbox struct {
	mu sync.Mutex
	// want is the peer as it is to be, nil if the session is to end.
	want *Peer
	// dirty are the prefixes whose routes may have changed; all of them may have if everything is set.
	dirty      map[netip.Prefix]struct{}
	everything bool
	// live is true while there is a connection that routes have gone to: later ones begin with everything.
	live bool
	// down is why BFD has found the router to be gone, empty if it has not.
	down string
}

func newSession(e *Engine, name string) *session {
	s := &session{
		name: name, engine: e, log: e.log.With("peer", name), kick: make(chan struct{}, 1), tally: &tally{},
		dialed: make(chan dialed), accepted: make(chan net.Conn, 1), attempt: time.NewTimer(0),
	}
	s.recheck = time.AfterFunc(time.Hour, s.wake)
	s.recheck.Stop()
	s.shown.status = SessionStatus{Peer: name, State: Idle, Since: time.Now()}
	s.dirty = map[netip.Prefix]struct{}{}
	return s
}

func (s *session) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run keeps the session until it is not wanted any more, or ctx ends.
func (s *session) run(ctx context.Context) {
	defer s.close()
	for {
		var opened chan open
		var established chan struct{}
		var ended chan string
		if s.link != nil {
			opened, established, ended = s.link.opened, s.link.established, s.link.ended
		}
		select {
		case <-ctx.Done():
			s.leave()
			return
		case <-s.kick:
			if s.catchUp() {
				return
			}
		case <-s.attempt.C:
			s.connect(ctx)
		case d := <-s.dialed:
			s.dialing()
			s.dialing = nil
			s.connectedTo(ctx, d)
		case conn := <-s.accepted:
			s.take(ctx, conn)
		case o := <-opened:
			s.opened(o)
		case <-established:
			s.established()
		case why := <-ended:
			s.lost(why)
		}
	}
}

// catchUp brings the session in line with what is wanted of it. It returns true if there is to be none.
func (s *session) catchUp() (gone bool) {
	s.mu.Lock()
	want, down := s.want, s.down
	s.down = ""
	s.mu.Unlock()
	if want == nil {
		s.hush()
		s.part(notification{code: cease, subcode: peerDeconfigured}, "the peer was removed")
		s.await()
		s.unwatch()
		if s.engine.forget(s) {
			return true
		}
		s.release()
		s.peer, s.failures = Peer{}, 0
		s.wake() // it is wanted again by now
		return false
	}
	if s.peer.Name == "" {
		s.peer = *want
		s.schedule(0)
	} else if c := ChangeOf(s.peer, *want); c != (Change{}) {
		s.follow(c, *want)
	}
	if down != "" && s.link != nil {
		s.part(notification{code: cease, subcode: bfdDown}, "BFD: "+down)
	}
	switch {
	case s.link == nil || s.link.router == nil:
	case s.link.relay.stalled(time.Now()):
		// What changes meanwhile is noted once per prefix, however often it changes.
		s.recheck.Reset(stallTime)
	default:
		s.syncRoutes()
	}
	return false
}

// follow takes an edit of the peer over.
func (s *session) follow(c Change, want Peer) {
	s.peer = want
	switch {
	case c.Reset != "":
		s.log.Info("the session begins anew", "why", c.Reset)
		s.hush()
		if s.link != nil && c.Bridged && s.link.bridged() {
			s.link.close(c.Reset)
		} else {
			s.part(notification{code: cease, subcode: otherConfigurationChange}, c.Reset)
		}
		s.await()
		if !c.Bridged {
			s.unwatch()
		} else if c.BFD {
			s.watch()
		}
		s.release()
		s.failures, s.past.verdict = 0, "" // which the edit may have mended
		s.schedule(0)
		return
	case c.Attempts:
		s.hush()
		s.failures, s.past.verdict = 0, ""
		s.schedule(0)
	}
	if c.BFD {
		s.watch()
	}
	if c.Routes {
		s.mu.Lock()
		s.everything = true
		s.mu.Unlock()
	}
}

// fail shows why a session went down or did not come up. The same reason once more is no news.
func (s *session) fail(why string, wasUp bool) {
	news, shown := wasUp, s.past.tell(why, wasUp)
	s.shown.set(func(st *SessionStatus) {
		news = news || st.LastError != shown
		st.LastError, st.LastErrorTime = shown, time.Now()
	})
	if !wasUp && news {
		s.log.Info("no session", "why", why)
	}
	if news {
		s.engine.changed()
	}
}

// part ends a connection with last words, which are on their way when await returns.
func (s *session) part(n notification, why string) {
	if s.link != nil && !s.link.parting {
		s.link.parting = true
		go s.link.relay.finish(why, n.message())
	}
}

// await waits for the end of a connection whose end was asked for.
func (s *session) await() {
	if s.link != nil {
		s.lost(<-s.link.ended)
	}
}

// opened takes in what the router says of itself, and has GoBGP know the routes before the session is established: so
// they go out together.
func (s *session) opened(o open) {
	l := s.link
	l.router, l.families = &o, common(s.peer.Families, o.families)
	s.shown.set(func(st *SessionStatus) {
		st.State, st.PeerASN, st.RouterID, st.GracefulRestart = OpenConfirm, o.asn, o.id, o.restart && s.peer.GracefulRestart
	})
	if !o.fourOctets && s.peer.ASN > 0xFFFF {
		// GoBGP forgets AS4_PATH when it reckons how many prefixes a message holds, and drops one that is too long.
		s.log.Warn("the router knows no 4-octet AS numbers: GoBGP may lose routes where more than 500 have the same attributes")
	}
	s.mu.Lock()
	s.everything, s.live = true, true
	s.mu.Unlock()
	s.syncRoutes()
	close(l.agreed)
}

func (s *session) established() {
	l := s.link
	l.up, s.past = time.Now(), past{}
	l.relay.mu.Lock()
	hold := l.relay.talk.holdTime
	l.relay.mu.Unlock()
	s.shown.set(func(st *SessionStatus) {
		st.State, st.Since, st.HoldTime, st.Families, st.Advertised = Established, l.up, hold, l.families, s.ledger.size()
		st.Established++
	})
	s.log.Info("session established", "address", l.remote, "asn", l.router.asn, "hold", hold, "families", familyNames(l.families),
		"prefixes", s.ledger.size())
	s.engine.changed()
}

// lost takes in that a connection is gone, and why.
func (s *session) lost(why string) {
	l := s.link
	s.link = nil
	s.backend.detach()
	s.mu.Lock()
	s.live = false
	clear(s.dirty)
	s.mu.Unlock()
	wasUp, stable := !l.up.IsZero(), time.Since(l.up) >= steady
	s.shown.set(func(st *SessionStatus) {
		st.State, st.Local, st.HoldTime, st.Families, st.Advertised, st.GracefulRestart = Active, netip.Addr{}, 0, nil, 0, false
		if wasUp {
			st.Since = time.Now()
		}
	})
	if wasUp && stable {
		s.failures = 0
	} else { // also if BFD or an edit ended it; who edits asks for an attempt at once
		s.failures++
	}
	if wasUp {
		s.log.Warn("session lost", "why", why)
	}
	s.fail(why, wasUp)
	s.schedule(pauseAfter(s.failures, s.peer.ConnectTime, rand.Float64()))
}

// syncRoutes brings what GoBGP advertises in line with the table.
func (s *session) syncRoutes() {
	l := s.link
	s.mu.Lock()
	dirty, everything := s.dirty, s.everything
	s.dirty, s.everything = map[netip.Prefix]struct{}{}, false
	s.mu.Unlock()
	if len(dirty) == 0 && !everything {
		return
	}
	c := hopContext{peer: s.peer, local: l.local, families: l.families}
	c.peer.ExtendedNextHop = (s.peer.ExtendedNextHop || s.peer.Interface != "") && l.router.extendedNextHop
	c.internal = l.router.asn == s.peer.ASN
	var advertise []path
	var withdraw []netip.Prefix
	if everything {
		advertise, withdraw = s.ledger.all(c, s.engine.routes(s.name))
	} else {
		advertise, withdraw = s.ledger.some(c, dirty, s.engine.routeOf(s.name))
	}
	if n := len(s.ledger.excess); n > 0 {
		s.log.Error("prefixes are not advertised: they have more communities than a message holds", "prefix", s.ledger.excess[0], "prefixes", n)
		s.ledger.excess = nil
	}
	if len(advertise)+len(withdraw) > 0 {
		if err := s.backend.change(advertise, withdraw); err != nil {
			s.log.Error("cannot bring routes in line", "err", err)
		}
	}
	s.shown.set(func(st *SessionStatus) {
		if st.WithoutNextHop = s.ledger.hopless; st.State == Established {
			st.Advertised = s.ledger.size()
		}
	})
}

// watch has the router watched by BFD, if it is to be and the addresses are known.
func (s *session) watch() {
	d := s.engine.detector
	switch {
	case d == nil:
	case s.peer.BFD == nil:
		s.unwatch()
	case s.link != nil:
		t := Target{Remote: s.link.remote, Local: s.link.local, Device: s.peer.device(), BFD: *s.peer.BFD}
		t.MultiHop = s.peer.multiHop(s.engine.network.connected(t.Remote))
		if t != s.watching {
			d.Watch(s.name, t)
			s.watching = t
		}
	case s.watching != Target{}:
		s.watching.BFD = *s.peer.BFD
		d.Watch(s.name, s.watching)
	}
}

func (s *session) unwatch() {
	if s.watching != (Target{}) {
		s.engine.detector.Unwatch(s.name)
		s.watching = Target{}
	}
}

// leave ends the session as the speaker stops: without a word if the router keeps forwarding, else with Cease.
func (s *session) leave() {
	s.hush()
	if s.link == nil {
		return
	}
	if s.link.bridged() {
		s.link.close("the speaker stops")
	} else {
		s.part(notification{code: cease, subcode: administrativeShutdown}, "the speaker stops")
	}
	s.await()
}

func (s *session) release() {
	if s.backend != nil {
		s.backend.release()
		s.backend = nil
	}
	s.ledger = ledger{}
}

func (s *session) close() {
	s.attempt.Stop()
	s.recheck.Stop()
	s.hush()
	s.release()
}
