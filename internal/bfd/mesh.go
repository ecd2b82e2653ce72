package bfd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Config of a Mesh.
type Config struct {
	// Local is the address and port to send from and to be reached at. All peers have the same port.
	Local netip.AddrPort
	// Key is the shared secret of the speakers, of any length but zero.
	Key     []byte
	Timing  Timing
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Changed is called for each event, by Run and in their order. It must not block.
	Changed func(Event)
}

// Mesh is the sessions of this node with its peers. Its methods may be called at any time.
type Mesh struct {
	config  Config
	listen  func(netip.AddrPort) (conn, error)
	metrics metrics
	kick    chan struct{}

	mu         sync.Mutex
	core       core
	complaints complaints
}

const (
	// A stopping speaker says good-bye so often, so far apart: one may be lost.
	goodbyes    = 3
	betweenThem = 20 * time.Millisecond
	// readAtOnce is how many datagrams are read until packets that are due are sent. A flood is not to silence us.
	readAtOnce = 1024
	// failAtOnce is how many errors are taken for some that pass, such as of one interface of several.
	failAtOnce    = 8
	receiveOctets = 256 // a packet's length is one octet
)

// NewMesh returns a mesh without peers.
func NewMesh(c Config) (*Mesh, error) {
	secret := secretOf(c.Key)
	c.Local = netip.AddrPortFrom(c.Local.Addr().Unmap(), c.Local.Port())
	if len(secret) == 0 {
		return nil, errors.New("the key for BFD is empty")
	}
	if !c.Local.IsValid() || c.Local.Addr().IsUnspecified() || c.Local.Port() == 0 {
		return nil, fmt.Errorf("%s is no address and port for BFD to listen on", c.Local)
	}
	if err := c.Timing.validate(); err != nil {
		return nil, fmt.Errorf("timing of BFD: %w", err)
	}
	m := &Mesh{config: c, listen: listen, kick: make(chan struct{}, 1), complaints: complaints{log: c.Log, said: map[string]*complaint{}}}
	m.core = core{
		local: c.Local, secret: secret, timing: c.Timing, random: random, jitter: mathrand.Float64,
		peers: map[netip.Addr]*peer{}, used: firstSequence(time.Now()),
	}
	m.metrics = newMetrics(m, c.Metrics)
	return m, nil
}

func random() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}

// SetPeers says with whom there are to be sessions, and at which addresses. It is cheap. A session goes on if its
// peer stays at its address.
func (m *Mesh) SetPeers(peers map[string]netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, err := range m.core.setPeers(peers, now) {
		m.complaints.add(slog.LevelWarn, "no BFD session", now, "error", err)
	}
	kick(m.kick)
}

// Sessions returns the sessions, by name of the peer.
func (m *Mesh) Sessions() []SessionStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.statuses()
}

// Run keeps the sessions until ctx ends, then says good-bye.
//
// One goroutine does it all, and it does not wait for packets: it looks for them when it wakes to send, and the
// kernel says when they came. With four sessions of 50 ms it cost twice as much to wake for each packet.
func (m *Mesh) Run(ctx context.Context) error {
	c, err := m.listen(m.config.Local)
	if err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("--gossip-port: another process has UDP port %d at %s, the one after --gossip-port, for failure detection: choose another for all "+
				"speakers, or stop it", m.config.Local.Port(), m.config.Local.Addr())
		}
		return fmt.Errorf("listening for BFD on %s: %w", m.config.Local, err)
	}
	defer c.close()
	b := make([]byte, receiveOctets)
	// Without sessions there is nothing to wake for until there is one.
	loop(ctx, m.kick, func(wake time.Time) time.Time {
		events, next := m.step(c, b, wake)
		for _, e := range events {
			m.report(e)
		}
		return next
	})
	m.leave(c)
	return nil
}

// step does what there is to do at a time that was to be wake. It returns what happened, and when to go on.
func (m *Mesh) step(c conn, b []byte, wake time.Time) ([]Event, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	read, failed := 0, 0
	for ; read < readAtOnce && failed < failAtOnce; read++ {
		n, from, at, err := c.receive(b)
		now := time.Now()
		if errors.Is(err, errNone) {
			break
		}
		if err != nil {
			m.complaints.add(slog.LevelWarn, "BFD packets not received", now, "error", err)
			failed++
			continue
		}
		if r, err := m.core.receive(from, b[:n], at, now); err != nil {
			m.drop(r, err, from, now)
		}
	}
	now := time.Now()
	m.core.advance(now, max(now.Sub(wake), 0), read)
	m.flush(c, now)
	events := m.core.events
	m.core.events = nil
	return events, m.core.next(now)
}

func (m *Mesh) report(e Event) {
	if e.Up {
		m.config.Log.Info("BFD session up", "peer", e.Peer)
	} else {
		m.config.Log.Info("BFD session down", "peer", e.Peer, "diagnostic", e.Diagnostic, "remote", e.Remote, "silence", e.Detection)
		m.metrics.downs.WithLabelValues(e.Diagnostic.String()).Inc()
	}
	if e.Diagnostic == ControlDetectionExpired {
		m.metrics.silence.Observe(e.Detection.Seconds())
	}
	m.config.Changed(e)
}

// drop counts a packet without effect. Strangers and leftovers are to be expected where speakers come and go.
func (m *Mesh) drop(r reason, err error, from netip.AddrPort, now time.Time) {
	m.metrics.dropped.WithLabelValues(string(r)).Inc()
	level := slog.LevelWarn
	if r == unknown || r == outdated {
		level = slog.LevelInfo
	}
	m.complaints.add(level, "BFD packet dropped: "+string(r), now, "from", from, "error", err)
}

func (m *Mesh) flush(c conn, now time.Time) {
	for i := range m.core.out {
		d := &m.core.out[i]
		if err := c.send(d.octets[:], d.to); err != nil {
			m.metrics.failures.Inc()
			m.complaints.add(slog.LevelWarn, "BFD packet not sent", now, "error", err)
		}
	}
	m.core.out = m.core.out[:0]
}

// leave says good-bye.
func (m *Mesh) leave(c conn) {
	for i := range goodbyes {
		if i > 0 {
			time.Sleep(betweenThem)
		}
		m.mu.Lock()
		m.core.disable(time.Now())
		m.flush(c, time.Now())
		m.mu.Unlock()
	}
}
