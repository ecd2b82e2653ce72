package bgp

import (
	"context"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

type dialed struct {
	conn   net.Conn
	remote netip.Addr
	err    error
}

// hush ends what would bring another connection.
func (s *session) hush() {
	if s.deaf != nil {
		s.deaf()
		s.deaf = nil
	}
	if s.dialing != nil {
		s.dialing()
		s.dialing = nil
		if d := <-s.dialed; d.conn != nil {
			d.conn.Close()
		}
	}
	select {
	case conn := <-s.accepted:
		conn.Close()
	default:
	}
}

// schedule has the next attempt made after a while.
func (s *session) schedule(after time.Duration) { s.attempt.Reset(after) }

// failed notes that an attempt failed, and why, and has the next one made after a pause.
func (s *session) failed(err error) {
	s.fail(err.Error(), false)
	s.failures++
	s.schedule(pauseAfter(s.failures, s.peer.ConnectTime, rand.Float64()))
}

// connect begins an attempt, or waits for the router if that is its part.
func (s *session) connect(ctx context.Context) {
	if s.link != nil || s.dialing != nil || s.deaf != nil && s.peer.Interface == "" || s.peer.Name == "" {
		return
	}
	if !s.peer.Passive {
		s.shown.set(func(st *SessionStatus) { st.State = Connect })
	}
	ctx, s.dialing = context.WithCancel(ctx)
	p, network, done := s.peer, s.engine.network, s.dialed
	go func() {
		var d dialed
		if d.remote, d.err = s.resolve(ctx, p); d.err == nil && !p.Passive {
			d.conn, d.err = network.dial(ctx, p, d.remote)
		}
		done <- d // hush and close wait for it
	}()
}

// resolve returns where the router is; an unnumbered one that connects itself need not be known beforehand, unless
// there is a password to go with its address.
func (s *session) resolve(ctx context.Context, p Peer) (netip.Addr, error) {
	remote, err := s.engine.network.resolve(ctx, p)
	if p.Passive && p.Interface != "" && p.Password == "" {
		return netip.Addr{}, nil
	}
	return remote, err
}

func (s *session) connectedTo(ctx context.Context, d dialed) {
	switch {
	case s.link != nil: // a passive peer has come while it was looked for
	case d.err != nil:
		s.shown.set(func(st *SessionStatus) { st.State = Active })
		s.failed(d.err)
	case d.conn != nil:
		s.begin(ctx, d.conn, d.remote)
	default:
		s.await179(d.remote)
	}
}

// await179 waits for a router that connects itself. An unnumbered one is looked for again and again, since another may
// take its place, and since it may have to hear of this node first.
func (s *session) await179(remote netip.Addr) {
	if s.peer.Interface != "" {
		s.schedule(pauseAfter(math.MaxInt, s.peer.ConnectTime, rand.Float64()))
		if s.deaf != nil && s.awaited == remote {
			return
		}
	}
	if s.deaf != nil {
		s.deaf()
		s.deaf = nil
	}
	stop, err := s.engine.network.listen(s.peer, remote, func(conn net.Conn) {
		select {
		case s.accepted <- conn:
		default: // the one before is not even looked at yet
			conn.Close()
		}
	})
	s.shown.set(func(st *SessionStatus) { st.State = Active })
	if err != nil {
		s.failed(err)
		return
	}
	s.deaf, s.awaited = stop, remote
	if remote.IsValid() {
		s.shown.set(func(st *SessionStatus) { st.Address = remote })
	}
}

// take takes a connection of a passive peer. One that is established is not given up for it, unless the router has
// agreed to graceful restart: then it is one that has restarted unseen (RFC 4724 section 4.2).
func (s *session) take(ctx context.Context, conn net.Conn) {
	if s.failures >= manyFailures && time.Since(s.begun) < minPause {
		conn.Close() // it does not wait between its attempts
		return
	}
	if s.link != nil {
		if !s.link.up.IsZero() && !s.link.bridged() {
			go func() {
				_ = conn.SetDeadline(time.Now().Add(farewell))
				_, _ = conn.Write(notification{code: cease, subcode: collisionResolution}.message())
				conn.Close()
			}()
			return
		}
		s.link.close("the router has opened another connection")
		s.await()
	}
	s.begin(ctx, conn, addressOf(conn.RemoteAddr()))
}

// begin has a session opened on a connection.
func (s *session) begin(ctx context.Context, conn net.Conn, remote netip.Addr) {
	if s.backend == nil {
		b, err := s.engine.launch(s.peer, s.log)
		if err != nil {
			conn.Close()
			s.failed(err)
			return
		}
		s.backend = b
	}
	l := &link{
		conn: conn, local: addressOf(conn.LocalAddr()), remote: remote,
		opened: make(chan open), agreed: make(chan struct{}), established: make(chan struct{}, 1), ended: make(chan string, 1),
	}
	if l.remote.Zone() != "" {
		l.local = l.local.WithZone(l.remote.Zone())
	}
	server, buffered, err := s.backend.attach(ctx, s.peer)
	if err != nil {
		conn.Close()
		s.release() // it may not listen any more
		s.failed(err)
		return
	}
	s.link, s.begun = l, time.Now()
	s.mu.Lock()
	s.down = "" // it was said of another connection
	s.mu.Unlock()
	l.start(s.peer, server, buffered, s.tally)
	s.shown.set(func(st *SessionStatus) { st.State, st.Address, st.Local = OpenSent, l.remote, l.local })
	s.watch()
}
