package bfd

import (
	"context"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RoutersConfig is the Config of Routers.
type RoutersConfig struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Changed is called for each event, by Run and in their order, until its context ends. It must not block.
	Changed func(RouterEvent)
}

// Routers is the sessions of this node with routers. Its methods may be called at any time.
//
// Peers whose targets agree in Remote, Local, Device and MultiHop share a session. Where they differ in the rest,
// the peer counts that is the first by name.
type Routers struct {
	config  RoutersConfig
	kernel  kernel
	metrics routerMetrics
	kick    chan struct{}

	mu         sync.Mutex
	core       routerCore
	complaints complaints
	sockets    sockets
}

// NewRouters returns one without sessions.
func NewRouters(c RoutersConfig) *Routers {
	r := &Routers{
		config: c, kick: make(chan struct{}, 1), core: newRouterCore(random, mathrand.Float64),
		complaints: complaints{log: c.Log, said: map[string]*complaint{}},
		sockets:    newSockets(kernel{listenRouters, dialRouter, interfaceIndex}),
	}
	r.metrics = newRouterMetrics(r, c.Metrics)
	return r
}

// Watch has a session with a router for a peer, in place of the one that it had before. A session that it shares, or
// that changes in its timing alone, goes on. It is cheap.
func (r *Routers) Watch(peer string, t RouterTarget) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if err := r.core.watch(peer, t, now); err != nil {
		r.complaints.add(slog.LevelWarn, "no BFD session with a router", now, "peer", peer, "error", err)
	}
	r.sockets.stale()
	kick(r.kick)
}

// Unwatch has a peer leave its session. If it was the last there, the router is told that the session ends.
func (r *Routers) Unwatch(peer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.core.unwatch(peer, time.Now())
	r.sockets.stale()
	kick(r.kick)
}

// Session returns what there is to see of a peer's session, and whether it is watched.
func (r *Routers) Session(peer string) (RouterStatus, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status(peer)
}

func (r *Routers) status(peer string) (RouterStatus, bool) {
	s, ok := r.core.status(peer)
	if x := r.core.peers[peer]; x != nil {
		if err := r.sockets.trouble(x.routerKey); err != nil {
			s.Trouble = err
		}
	}
	return s, ok
}

// statuses returns all sessions, by peer.
func (r *Routers) statuses() map[string]RouterStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]RouterStatus{}
	for peer := range r.core.peers {
		all[peer], _ = r.status(peer)
	}
	for peer := range r.core.refused {
		all[peer], _ = r.status(peer)
	}
	return all
}

// afterBGP is how long sessions go on once this node stops. A router that hears of their end while its BGP session
// is Established ends that too, and graceful restart with it (FRR 8.4); not so if the connection was closed before.
const afterBGP = 200 * time.Millisecond

// Run keeps the sessions until ctx ends, and soon after tells the routers that they end. It fails never: what stands
// against a session is in its status.
//
// As in Mesh, one goroutine looks for packets when it wakes.
func (r *Routers) Run(ctx context.Context) error {
	b := make([]byte, receiveOctets)
	step := func(wake time.Time) time.Time {
		events, next := r.step(b, wake)
		for _, e := range events {
			r.report(e, ctx.Err() == nil)
		}
		return next
	}
	loop(ctx, r.kick, step)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterBGP)
	defer cancel()
	loop(last, r.kick, step)
	r.leave()
	return nil
}

// step does what there is to do at a time that was to be wake. It returns what happened, and when to go on.
func (r *Routers) step(b []byte, wake time.Time) ([]RouterEvent, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renew(time.Now())
	most := 0
	for _, x := range r.sockets.receivers {
		if x.receiver != nil {
			most = max(most, r.read(x.receiver, b))
		}
	}
	now := time.Now()
	r.core.advance(now, max(now.Sub(wake), 0), most)
	r.flush(now)
	events := r.core.events
	r.core.events = nil
	next := r.core.next(now)
	if next.IsZero() {
		r.sockets.renew(nil, now) // the ports are for others, too
	}
	return events, next
}

// renew opens and closes sockets as the sessions need them.
func (r *Routers) renew(now time.Time) {
	if !r.sockets.due(now) {
		return
	}
	var keys []routerKey
	for _, x := range r.core.sorted {
		keys = append(keys, x.routerKey)
	}
	for _, f := range r.core.farewells {
		keys = append(keys, f.routerKey)
	}
	for _, err := range r.sockets.renew(keys, now) {
		r.complaints.add(slog.LevelWarn, "BFD sessions with routers cannot be", now, "error", err)
	}
	for _, x := range r.core.sorted {
		x.zone = r.sockets.zone(x.routerKey)
	}
}

// read takes in what waits in a socket, or as much as may be at once.
func (r *Routers) read(x receiver, b []byte) (read int) {
	for failed := 0; read < readAtOnce && failed < failAtOnce; read++ {
		n, a, at, err := x.receive(b)
		now := time.Now()
		if errors.Is(err, errNone) {
			break
		}
		if err != nil {
			r.complaints.add(slog.LevelWarn, "BFD packets of routers not received", now, "error", err)
			failed++
			continue
		}
		if why, err := r.core.receive(a, b[:n], at, now); err != nil {
			r.metrics.dropped.WithLabelValues(string(why)).Inc()
			r.complaints.add(slog.LevelInfo, "BFD packet of a router dropped: "+string(why), now, "error", err)
		}
	}
	return read
}

func (r *Routers) flush(now time.Time) {
	for i := range r.core.out {
		d := &r.core.out[i]
		sent, err := r.sockets.send(d.to, d.octets[:])
		if err != nil {
			r.metrics.failures.Inc()
			r.complaints.add(slog.LevelWarn, "BFD packet to a router not sent", now, "router", d.to.remote, "error", err)
		}
		if x := r.core.routers[d.to]; x != nil && sent {
			x.sent++
		}
	}
	r.core.out = r.core.out[:0]
}

// report tells of an event, and those who are concerned while they run.
func (r *Routers) report(e RouterEvent, running bool) {
	if e.Up {
		r.config.Log.Info("BFD session with a router up", "peers", e.Peers)
	} else {
		r.config.Log.Info("BFD session with a router down", "peers", e.Peers, "diagnostic", e.Diagnostic, "remote", e.Remote,
			"adminDown", e.AdminDown, "silence", e.Detection)
		r.metrics.downs.WithLabelValues(e.Diagnostic.String()).Inc()
	}
	if e.Diagnostic == ControlDetectionExpired {
		r.metrics.silence.Observe(e.Detection.Seconds())
	}
	if running {
		r.config.Changed(e)
	}
}

// leave says good-bye.
func (r *Routers) leave() {
	for i := range goodbyes {
		if i > 0 {
			time.Sleep(betweenThem)
		}
		r.mu.Lock()
		r.core.disable(time.Now())
		r.flush(time.Now())
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets.renew(nil, time.Now())
}
