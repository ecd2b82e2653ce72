package bgp

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of an Engine.
type Config struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Detector watches routers; nil where there is no BFD.
	Detector Detector
	// Changed is called when a status has changed in more than its counters. It must not block.
	Changed func()
}

// Detector keeps BFD sessions with routers. Its methods do not block.
type Detector interface {
	// Watch has a session beside the one with a peer, in place of what was asked for it before. Peers of one
	// address share one.
	Watch(peer string, t Target)
	Unwatch(peer string)
	// Session returns what there is to see of the session beside the one with a peer.
	Session(peer string) (BFDStatus, bool)
}

// Target is a router to watch.
type Target struct {
	// Remote is the router, with a zone where it is link-local; Local is this node's address.
	Remote, Local netip.Addr
	// Device to bind to; empty for none.
	Device   string
	MultiHop bool
	BFD      BFD
}

// Phase is how far this node is with leaving service.
type Phase uint8

const (
	// Serving advertises routes as they are.
	Serving Phase = iota
	// Leaving advertises them with GRACEFUL_SHUTDOWN, and the local preference 0 (RFC 8326).
	Leaving
	// Gone advertises nothing.
	Gone
)

// Engine holds this node's sessions. All methods may be called at any time; what they ask for happens in Run.
//
// After a start the origins should be set before the peers are: what a session begins with is what its router takes
// for everything, and a router that has kept the routes of before, for graceful restart, drops the others.
type Engine struct {
	log      *slog.Logger
	detector Detector
	changed  func()
	network  network
	launch   func(Peer, *slog.Logger) (backend, error)

	mu       sync.Mutex
	table    *Table
	sessions map[string]*session
	// ctx is Run's, nil before; running counts the sessions in it.
	ctx     context.Context
	running sync.WaitGroup
}

func newEngine(c Config, n network, launch func(Peer, *slog.Logger) (backend, error)) *Engine {
	e := &Engine{
		log: c.Log, detector: c.Detector, changed: c.Changed, network: n, launch: launch,
		table: NewTable(), sessions: map[string]*session{},
	}
	if e.changed == nil {
		e.changed = func() {}
	}
	if c.Metrics != nil {
		c.Metrics.MustRegister(&collector{e})
	}
	return e
}

// SetPeer adds a peer, or brings its session in line: nothing of any other session is touched, and the session
// itself is reset only for what cannot change otherwise.
func (e *Engine) SetPeer(p Peer) {
	p.Families = slices.Clone(p.Families)
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.sessions[p.Name]
	if s == nil {
		s = newSession(e, p.Name)
		e.sessions[p.Name] = s
		e.start(s)
	}
	s.mailbox.mu.Lock()
	s.want = &p
	s.mailbox.mu.Unlock()
	s.wake()
}

// start is called with the lock.
func (e *Engine) start(s *session) {
	if e.ctx != nil {
		ctx := e.ctx
		e.running.Go(func() { s.run(ctx) })
	}
}

// RemovePeer ends a session with Cease.
func (e *Engine) RemovePeer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.sessions[name]; s != nil {
		s.mailbox.mu.Lock()
		s.want = nil
		s.mailbox.mu.Unlock()
		s.wake()
	}
}

// forget drops a session that has ended, unless it is wanted again.
func (e *Engine) forget(s *session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mailbox.mu.Lock()
	defer s.mailbox.mu.Unlock()
	if s.want != nil {
		return false
	}
	delete(e.sessions, s.name)
	return true
}

// SetOrigins says why an address is to be advertised, in place of what was said of it before; nothing withdraws it.
func (e *Engine) SetOrigins(address netip.Addr, origins []Origin) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.touch(e.table.Set(address, origins))
}

// SetPhase says how far this node is with leaving service.
func (e *Engine) SetPhase(p Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.touch(e.table.SetPhase(p))
}

// touch has the sessions look at prefixes again.
func (e *Engine) touch(changed []netip.Prefix) {
	if len(changed) == 0 {
		return
	}
	for _, s := range e.sessions {
		s.mailbox.mu.Lock()
		if s.live {
			for _, p := range changed {
				s.dirty[p] = struct{}{}
			}
			s.wake()
		}
		s.mailbox.mu.Unlock()
	}
}

func (e *Engine) routes(peer string) []Route {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.table.Routes(peer)
}

func (e *Engine) routeOf(peer string) func(netip.Prefix) (Route, bool) {
	return func(p netip.Prefix) (Route, bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.table.Route(peer, p)
	}
}

// DetectionChanged tells that the BFD session beside the one with a peer went down or came up, and why. What comes up
// changes nothing: BGP does not wait for it.
func (e *Engine) DetectionChanged(peer string, up bool, why string) {
	e.mu.Lock()
	s := e.sessions[peer]
	e.mu.Unlock()
	if s == nil || up {
		return
	}
	s.mailbox.mu.Lock()
	s.down = why
	s.mailbox.mu.Unlock()
	s.wake()
}

// Status returns the sessions, sorted by peer.
func (e *Engine) Status() []SessionStatus {
	e.mu.Lock()
	sessions := slices.Collect(maps.Values(e.sessions))
	e.mu.Unlock()
	list := make([]SessionStatus, 0, len(sessions))
	for _, s := range sessions {
		st := s.shown.snapshot(s.tally)
		if e.detector != nil {
			if b, ok := e.detector.Session(s.name); ok {
				st.BFD = &b
			}
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b SessionStatus) int { return strings.Compare(a.Peer, b.Peer) })
	return list
}

// Run holds the sessions until ctx ends. Then it leaves those with graceful restart without a word, so that the
// routers go on forwarding, and ends the others with Cease.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.ctx = ctx
	for _, s := range e.sessions {
		e.start(s)
	}
	e.mu.Unlock()
	<-ctx.Done()
	e.mu.Lock()
	e.ctx = nil // nothing starts any more
	e.mu.Unlock()
	e.running.Wait()
	return nil
}
