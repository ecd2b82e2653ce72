package bgp

import (
	"bufio"
	"net"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// link is one connection to the router, with all that hangs on it. Its channels are how its relay tells the session
// what happens; agreed is closed once the session has taken the router's OPEN in.
type link struct {
	conn          net.Conn
	local, remote netip.Addr
	relay         *relay
	opened        chan open
	agreed        chan struct{}
	established   chan struct{}
	ended         chan string
	// router is what it said of itself, families what both have; up is since when the session is established.
	router   *open
	families []lb.Family
	up       time.Time
	// parting is true once the end has been asked for from here, and why it is no failure.
	parting bool
}

// bridged tells whether the router keeps forwarding when the connection is closed without a word.
func (l *link) bridged() bool {
	return l.router != nil && l.router.restart && l.relay.talk.peer.GracefulRestart
}

// start has the relay run.
func (l *link) start(p Peer, server net.Conn, buffered *bufio.Reader, t *tally) {
	r := newRelay(p, l.conn, server, buffered, t)
	r.opened = func(o open) error {
		select {
		case l.opened <- o:
		case <-r.done:
			return net.ErrClosed
		}
		select {
		case <-l.agreed:
			return nil
		case <-r.done:
			return net.ErrClosed
		}
	}
	r.established = func() {
		t.begin()
		l.established <- struct{}{}
	}
	l.relay = r
	go func() { l.ended <- r.run() }()
}

// close ends a connection without Cease, so that a router with graceful restart goes on forwarding.
func (l *link) close(why string) {
	l.parting = true
	l.relay.finish(why, nil)
}
