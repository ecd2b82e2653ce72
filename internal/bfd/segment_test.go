package bfd

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// segment joins Routers in memory, in the time of a synctest bubble. It is to them what network is to meshes.
type segment struct {
	mu    sync.Mutex
	nodes map[netip.Addr]*routerNode
	cut   map[[2]netip.Addr]bool // from, to
	loss  int                    // every so many-th packet is lost, 0 for none
	ttl   uint8                  // with which packets arrive
	tape  []routerTaped
}

type routerTaped struct {
	at   time.Time
	from netip.Addr
	packet
}

// routerNode is Routers in a segment, and what they reported.
type routerNode struct {
	*Routers
	t       *testing.T
	segment *segment
	address netip.Addr
	metrics *prometheus.Registry
	stop    context.CancelFunc
	done    chan struct{}

	mu     sync.Mutex
	queues map[channel][]arrived
	events []RouterEvent
	frozen time.Time // its process is stopped until then
	dead   bool
	busy   error // of its ports
	opened int   // sockets
}

type arrived struct {
	arrival
	at time.Time
	b  []byte
}

func newSegment() *segment {
	return &segment{nodes: map[netip.Addr]*routerNode{}, cut: map[[2]netip.Addr]bool{}, ttl: 255}
}

func (w *segment) start(t *testing.T, address netip.Addr) *routerNode {
	t.Helper()
	n := &routerNode{
		t: t, segment: w, address: address, metrics: prometheus.NewRegistry(), done: make(chan struct{}), queues: map[channel][]arrived{},
	}
	n.Routers = NewRouters(RoutersConfig{
		Log: slog.New(slog.DiscardHandler), Metrics: n.metrics,
		Changed: func(e RouterEvent) { n.locked(func() { n.events = append(n.events, e) }) },
	})
	n.sockets = newSockets(kernel{n.listen, n.dial, func(name string) (int, error) {
		if name != "eth0" {
			return 0, errors.New("there is no interface " + name)
		}
		return 7, nil
	}})
	w.mu.Lock()
	w.nodes[address] = n
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	n.stop = cancel
	go func() { defer close(n.done); _ = n.Run(ctx) }()
	synctest.Wait()
	return n
}

func (n *routerNode) locked(f func()) { n.mu.Lock(); defer n.mu.Unlock(); f() }

type fakeReceiver struct {
	*routerNode
	channel
}

type fakeSender struct {
	*routerNode
	routerKey
}

func (n *routerNode) listen(c channel, _ bool) (receiver, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy != nil {
		return nil, n.busy
	}
	n.opened++
	return fakeReceiver{n, c}, nil
}

func (n *routerNode) dial(k routerKey, _ func(uint16) bool) (sender, uint16, error) {
	n.locked(func() { n.opened++ })
	return fakeSender{n, k}, 50000, nil
}

func (n *routerNode) close() error { n.locked(func() { n.opened-- }); return nil }

func (r fakeReceiver) receive(b []byte) (int, arrival, time.Time, error) {
	r.mu.Lock()
	frozen := time.Until(r.frozen)
	r.mu.Unlock()
	time.Sleep(frozen)
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[r.channel]
	if len(q) == 0 {
		return 0, arrival{}, time.Time{}, errNone
	}
	r.queues[r.channel] = q[1:]
	return copy(b, q[0].b), q[0].arrival, q[0].at, nil
}

func (s fakeSender) send(b []byte) error {
	w, from, to := s.segment, s.address, s.remote.WithZone("")
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := decode(b)
	if err != nil {
		s.t.Errorf("sent % x: %v", b, err)
	}
	w.tape = append(w.tape, routerTaped{time.Now(), from, p})
	if s.dead || w.cut[[2]netip.Addr{from, to}] || w.loss > 0 && len(w.tape)%w.loss == 0 || w.nodes[to] == nil {
		return nil
	}
	b, n, ttl := slices.Clone(b), w.nodes[to], w.ttl
	time.AfterFunc(100*time.Microsecond, func() { n.inject(s.channel(), from, ttl, b) })
	return nil
}

// inject delivers a datagram, whoever sends it.
func (n *routerNode) inject(c channel, from netip.Addr, ttl uint8, b []byte) {
	n.locked(func() {
		a := arrival{channel: c, from: from, to: n.address, index: 7, direct: true, ttl: ttl}
		n.queues[c] = append(n.queues[c], arrived{a, time.Now(), b})
	})
}

// separate cuts two addresses from each other, or joins them again.
func (w *segment) separate(a, b *routerNode, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]netip.Addr{a.address, b.address}], w.cut[[2]netip.Addr{b.address, a.address}] = cut, cut
}

// sent returns what a node sent since a time.
func (w *segment) sent(n *routerNode, since time.Time) (list []routerTaped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tape {
		if t.from == n.address && !t.at.Before(since) {
			list = append(list, t)
		}
	}
	return list
}

// kill ends a node without a good-bye.
func (n *routerNode) kill() { n.locked(func() { n.dead = true }); n.quit() }

func (n *routerNode) quit() { n.stop(); <-n.done }

func (n *routerNode) freeze(d time.Duration) { n.locked(func() { n.frozen = time.Now().Add(d) }) }

// take returns the events since it was last called.
func (n *routerNode) take() (e []RouterEvent) {
	n.locked(func() { e, n.events = n.events, nil })
	return e
}

// alone returns the only event since the last, of one that must have come.
func (n *routerNode) alone() RouterEvent {
	n.t.Helper()
	events := n.take()
	if len(events) != 1 {
		n.t.Fatalf("%s reported %+v, not one event", n.address, events)
	}
	return events[0]
}

func (n *routerNode) session(peer string) RouterStatus {
	n.t.Helper()
	s, ok := n.Session(peer)
	if !ok {
		n.t.Fatalf("%s has no session for %s", n.address, peer)
	}
	return s
}

func (n *routerNode) dropped(why reason) int {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "fairlead_bfd_router_packets_dropped_total" && m.GetLabel()[0].GetValue() == string(why) {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// at returns a target at a node, with 3 x 100 ms.
func at(n *routerNode) RouterTarget {
	return RouterTarget{Remote: n.address, Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 3}
}

var (
	nodeAddress   = netip.MustParseAddr("192.0.2.1")
	routerAddress = netip.MustParseAddr("192.0.2.2")
)

// routerPair runs a body with a node and a router; each is to have a session with the other as change says.
func routerPair(t *testing.T, change func(node, router *RouterTarget), body func(t *testing.T, w *segment, a, b *routerNode)) {
	synctest.Test(t, func(t *testing.T) {
		w := newSegment()
		a, b := w.start(t, nodeAddress), w.start(t, routerAddress)
		x, y := at(b), at(a)
		change(&x, &y)
		a.Watch("router", x)
		b.Watch("node", y)
		body(t, w, a, b)
		a.kill()
		b.kill()
		if a.opened != 0 || b.opened != 0 {
			t.Errorf("%d and %d sockets left open", a.opened, b.opened)
		}
	})
}

func asTheyAre(node, router *RouterTarget) {}

// bothUp lets the session come up.
func bothUp(t *testing.T, a, b *routerNode) {
	t.Helper()
	after(2 * time.Second)
	for _, n := range []*routerNode{a, b} {
		if e := n.alone(); !e.Up {
			t.Fatalf("%s reported %+v", n.address, e)
		}
	}
}
