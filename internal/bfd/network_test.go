package bfd

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// network joins meshes in memory, in the time of a synctest bubble.
type network struct {
	mu     sync.Mutex
	conns  map[netip.AddrPort]*fakeConn
	random *rand.Rand
	loss   float64
	// delay is what a packet takes, and up to so much more at random.
	delay, jitter time.Duration
	cut           map[[2]netip.Addr]bool // from, to
	// tape holds what was sent, delivered or not.
	tape  []taped
	nodes []*node
}

type taped struct {
	at       time.Time
	from, to netip.AddrPort
	b        []byte
}

func newNetwork() *network {
	return &network{
		conns: map[netip.AddrPort]*fakeConn{}, random: rand.New(rand.NewPCG(1, 2)), cut: map[[2]netip.Addr]bool{},
		delay: 100 * time.Microsecond,
	}
}

func (w *network) send(from, to netip.AddrPort, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b = append([]byte(nil), b...)
	w.tape = append(w.tape, taped{time.Now(), from, to, b})
	if w.cut[[2]netip.Addr{from.Addr(), to.Addr()}] || w.random.Float64() < w.loss {
		return
	}
	delay := w.delay
	if w.jitter > 0 {
		delay += time.Duration(w.random.Int64N(int64(w.jitter)))
	}
	time.AfterFunc(delay, func() { w.inject(from, to, b) })
}

// inject delivers a datagram, whoever sends it.
func (w *network) inject(from, to netip.AddrPort, b []byte) {
	w.mu.Lock()
	c := w.conns[to]
	w.mu.Unlock()
	if c != nil {
		c.deliver(taped{at: time.Now(), from: from, b: b})
	}
}

// recorded returns what was sent so far from one address to another.
func (w *network) recorded(from, to netip.AddrPort) (list []taped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tape {
		if t.from == from && t.to == to {
			list = append(list, t)
		}
	}
	return list
}

func (w *network) set(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }

// separate cuts a from b and back, or joins them again.
func (w *network) separate(a, b netip.Addr, cut bool) {
	w.set(func() { w.cut[[2]netip.Addr{a, b}], w.cut[[2]netip.Addr{b, a}] = cut, cut })
}

// fakeConn is a node's socket.
type fakeConn struct {
	network *network
	local   netip.AddrPort

	mu      sync.Mutex
	queue   []taped
	dead    bool      // its process was killed
	frozen  time.Time // its process is stopped until then
	failure error     // of the next read
	skew    time.Duration
}

func (c *fakeConn) update(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }

func (c *fakeConn) deliver(t taped) { c.update(func() { c.queue = append(c.queue, t) }) }

func (c *fakeConn) close() error {
	c.network.set(func() {
		if c.network.conns[c.local] == c { // another process may have it by now
			delete(c.network.conns, c.local)
		}
	})
	return nil
}

func (c *fakeConn) send(b []byte, to netip.AddrPort) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.network.send(c.local, to, b)
	}
	return nil
}

func (c *fakeConn) receive(b []byte) (int, netip.AddrPort, time.Time, error) {
	c.mu.Lock()
	frozen := time.Until(c.frozen)
	c.mu.Unlock()
	time.Sleep(frozen)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failure; err != nil {
		c.failure = nil
		return 0, netip.AddrPort{}, time.Time{}, err
	}
	if len(c.queue) == 0 {
		return 0, netip.AddrPort{}, time.Time{}, errNone
	}
	t := c.queue[0]
	c.queue = c.queue[1:]
	return copy(b, t.b), t.from, t.at.Add(c.skew), nil
}

// node is a mesh in a network, and what it reported.
type node struct {
	t       *testing.T
	network *network
	name    string
	at      netip.AddrPort
	mesh    *Mesh
	conn    *fakeConn
	metrics *prometheus.Registry
	stop    context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex
	events []Event
}

const testPort = 7957

// addressOf gives the nodes a, b, c ... an address each.
func addressOf(name string) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, name[0] - 'a' + 1}) }

func addressPortOf(name string) netip.AddrPort { return netip.AddrPortFrom(addressOf(name), testPort) }

type nodeOption func(*Config)

func withKey(key string) nodeOption   { return func(c *Config) { c.Key = []byte(key) } }
func withTiming(t Timing) nodeOption  { return func(c *Config) { c.Timing = t } }
func withLog(w io.Writer) nodeOption  { return func(c *Config) { c.Log = slogTo(w) } }
func slogTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func peersOf(names ...string) (m map[string]netip.Addr) {
	m = map[string]netip.Addr{}
	for _, n := range names {
		m[n] = addressOf(n)
	}
	return m
}

// start has a node run with sessions to peers.
func (w *network) start(t *testing.T, name string, peers map[string]netip.Addr, options ...nodeOption) *node {
	t.Helper()
	n := &node{
		t: t, network: w, name: name, at: addressPortOf(name),
		metrics: prometheus.NewRegistry(), done: make(chan struct{}),
	}
	config := Config{
		Local: n.at, Key: []byte("secret\n"), Timing: Fast, Log: slog.New(slog.DiscardHandler), Metrics: n.metrics,
		Changed: func(e Event) { n.mu.Lock(); defer n.mu.Unlock(); n.events = append(n.events, e) },
	}
	for _, o := range options {
		o(&config)
	}
	m, err := NewMesh(config)
	if err != nil {
		t.Fatal(err)
	}
	n.mesh = m
	n.conn = &fakeConn{network: w, local: n.at}
	m.listen = func(netip.AddrPort) (conn, error) {
		w.set(func() { w.conns[n.at], w.nodes = n.conn, append(w.nodes, n) })
		return n.conn, nil
	}
	m.SetPeers(maps.Clone(peers))
	ctx, cancel := context.WithCancel(t.Context())
	n.stop = cancel
	go func() { defer close(n.done); _ = m.Run(ctx) }()
	synctest.Wait()
	return n
}

// kill ends the node without a good-bye.
func (n *node) kill() {
	n.conn.update(func() { n.conn.dead = true })
	_ = n.conn.close()
	n.stop()
}

// quit ends it with one.
func (n *node) quit() { n.stop(); <-n.done }

// freeze stops its process for a while.
func (n *node) freeze(d time.Duration) { n.conn.update(func() { n.conn.frozen = time.Now().Add(d) }) }

// take returns the events since it was last called.
func (n *node) take() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.events
	n.events = nil
	return e
}

// alone returns the only event since the last, of one that must have come.
func (n *node) alone() Event {
	n.t.Helper()
	events := n.take()
	if len(events) != 1 {
		n.t.Fatalf("%s reported %+v, not one event", n.name, events)
	}
	return events[0]
}

func (n *node) session(peer string) SessionStatus {
	n.t.Helper()
	for _, s := range n.mesh.Sessions() {
		if s.Peer == peer {
			return s
		}
	}
	n.t.Fatalf("%s has no session with %s", n.name, peer)
	return SessionStatus{}
}

// dropped returns how many packets the node dropped, by reason.
func (n *node) dropped() map[reason]int {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	counts := map[reason]int{}
	for _, f := range families {
		if f.GetName() != "fairlead_bfd_packets_dropped_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if v := int(m.GetCounter().GetValue()); v > 0 {
				counts[reason(m.GetLabel()[0].GetValue())] = v
			}
		}
	}
	return counts
}

// after lets time pass.
func after(d time.Duration) { time.Sleep(d); synctest.Wait() }

// pair runs a body with two nodes whose session is up.
func pair(t *testing.T, body func(t *testing.T, w *network, a, b *node), options ...nodeOption) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork()
		a := w.start(t, "a", peersOf("b"), options...)
		b := w.start(t, "b", peersOf("a"), options...)
		after(time.Second)
		for _, n := range []*node{a, b} {
			if e := n.alone(); !e.Up {
				t.Fatalf("%s reported %+v", n.name, e)
			}
		}
		body(t, w, a, b)
		w.mu.Lock()
		nodes := w.nodes
		w.mu.Unlock()
		for _, n := range nodes {
			n.kill()
			<-n.done
		}
	})
}
