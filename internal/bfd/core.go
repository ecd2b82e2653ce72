package bfd

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// reason why a packet is dropped.
type reason string

const (
	unknown         reason = "unknown"         // from an address and port where no peer is
	malformed       reason = "malformed"       // not as RFC 5880 wants it
	unauthenticated reason = "unauthenticated" // without a digest, or with another key's
	outdated        reason = "stale"           // for a session that has ended
	replayed        reason = "replayed"        // or overtaken on the way
)

// peer is a session and what guards it.
type peer struct {
	name           string
	address        netip.AddrPort
	session        *session
	in, out        key
	sequence       uint32 // bfd.XmitAuthSeq
	seen           freshness
	greeted        time.Time // when the last hello was answered
	sent, received uint64
}

const (
	// idle is the interval of a session that is not Up, unless that of one that is Up is longer.
	idle = 100 * time.Millisecond
	// Hellos may be recordings: they are answered at this pace at most.
	greetPause = 10 * time.Millisecond
)

// core is all sessions of a node, without clock and socket. It is told what is received; advance has it say what
// to send and what happened.
type core struct {
	local  netip.AddrPort
	secret []byte
	timing Timing
	// random returns any 32 bits, jitter any number of [0,1).
	random func() uint32
	jitter func() float64

	peers  map[netip.Addr]*peer
	sorted []*peer // by name
	late   lateness
	pace
	// used is behind what the sessions that have ended sent: a peer that comes back goes on there.
	used uint32

	out    []datagram
	events []Event
}

type datagram struct {
	to     netip.AddrPort
	octets [packetOctets]byte
}

// setPeers starts and ends sessions; those of peers that stay where they are go on. It returns why some of the
// peers have none.
func (c *core) setPeers(want map[string]netip.Addr, now time.Time) (errs []error) {
	for _, p := range c.sorted {
		if a, ok := want[p.name]; ok && a.Unmap() == p.address.Addr() {
			continue
		}
		c.dismiss(p, now)
		delete(c.peers, p.address.Addr())
		c.used = later(c.used, p.sequence)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		a := want[name].Unmap()
		if p := c.peers[a]; p != nil && p.name == name {
			continue
		}
		if err := c.add(name, a, now); err != nil {
			errs = append(errs, err)
		}
	}
	c.sorted = c.sorted[:0]
	for _, p := range c.peers {
		c.sorted = append(c.sorted, p)
	}
	slices.SortFunc(c.sorted, func(a, b *peer) int { return cmp.Compare(a.name, b.name) })
	return errs
}

func (c *core) add(name string, a netip.Addr, now time.Time) error {
	own := c.local.Addr()
	switch other := c.peers[a]; {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == own || a.Is4() != own.Is4():
		return fmt.Errorf("%s at %s cannot be a BFD peer of %s", name, a, own)
	case other != nil:
		return fmt.Errorf("%s at %s cannot be a BFD peer: %s is there", name, a, other.name)
	}
	in, err := deriveKey(c.secret, a, own)
	if err != nil {
		return err
	}
	out, err := deriveKey(c.secret, own, a)
	if err != nil {
		return err
	}
	c.hurry(now)
	c.peers[a] = &peer{
		name: name, address: netip.AddrPortFrom(a, c.local.Port()), in: in, out: out, sequence: later(c.used, firstSequence(now)),
		session: newSession(c.timing.timers(), max(idle, c.timing.Interval), c.discriminator, now),
	}
	return nil
}

// discriminator returns one that is not 0 and that no session has, section 6.8.1.
func (c *core) discriminator() uint32 {
	for {
		d := c.random()
		taken := d == 0
		for _, p := range c.peers {
			taken = taken || p.session.local == d
		}
		if !taken {
			return d
		}
	}
}

// receive takes in a datagram that came at a time that the kernel tells, or returns why it is dropped. A peer is
// found by its address, which each has to itself, and so with Your Discriminator as without (section 6.3): the
// session's own is checked thereafter.
func (c *core) receive(from netip.AddrPort, b []byte, at, now time.Time) (reason, error) {
	p := c.peers[from.Addr().Unmap()]
	if p == nil || from.Port() != p.address.Port() {
		return unknown, fmt.Errorf("no peer is at %s", from)
	}
	k, err := decode(b)
	switch {
	case err != nil:
		return malformed, fmt.Errorf("packet of %s: %w", p.name, err)
	case k.auth.kind == 0:
		return unauthenticated, fmt.Errorf("packet of %s has no digest", p.name)
	case k.auth.keyID != keyID:
		return unauthenticated, fmt.Errorf("packet of %s names key %d, not %d", p.name, k.auth.keyID, keyID)
	case !p.in.authentic((*[packetOctets]byte)(b)):
		return unauthenticated, fmt.Errorf("packet of %s was not made with the gossip key", p.name)
	}
	switch p.seen.judge(&k, p.session.local, p.session.remote) {
	case hello:
		c.greet(p, &k, now)
		return "", nil
	case stale:
		return outdated, fmt.Errorf("packet of %s is for a session that has ended", p.name)
	case replay:
		return replayed, fmt.Errorf("packet of %s is not later than the one before", p.name)
	}
	p.received++
	before := p.session.state
	p.session.receive(&k, c.arrived(at, now))
	if p.session.state != before {
		c.hurry(now)
	}
	if up := p.session.state == Up; up != (before == Up) {
		c.happened(p, 0, now)
	}
	return "", nil
}

// greet tells a peer that may have restarted our discriminator: what it says with that is believed. The session
// itself does not take note.
func (c *core) greet(p *peer, k *packet, now time.Time) {
	if k.state != Down || now.Sub(p.greeted) < greetPause {
		return
	}
	p.greeted = now
	c.hurry(now)
	answer := p.session.packet()
	answer.poll, answer.your = false, k.my
	c.send(p, answer)
}

// advance does what is due, by a clock that fired late, after so many datagrams were received.
func (c *core) advance(now time.Time, late time.Duration, received int) {
	c.late.observe(late, c.timing, now)
	if c.read(received, now); c.more {
		late = max(late, c.timing.Interval) // what would save a session may wait
	}
	extra := c.late.widen(c.timing, now)
	slack, jitter := c.timing.Interval/along, jitterOf(c.jitter())
	for _, p := range c.sorted {
		p.session.widen(extra)
		silence, up := now.Sub(p.session.heard), p.session.state == Up
		if last, failed := p.session.judge(now, late); failed {
			c.send(p, last)
			if up {
				c.happened(p, silence, now)
			}
		}
		if k, ok := p.session.transmit(now, slack, jitter); ok {
			c.send(p, k)
		}
	}
}

func (c *core) happened(p *peer, silence time.Duration, now time.Time) {
	e := Event{Peer: p.name, Up: p.session.state == Up, At: now}
	if !e.Up {
		e.Diagnostic, e.Remote, e.Detection = p.session.diagnostic, p.session.remoteDiagnostic, silence
	}
	c.events = append(c.events, e)
}

func (c *core) send(p *peer, k packet) {
	p.sequence++
	p.sent++
	k.auth = authentication{kind: meticulousSHA1, keyID: keyID, sequence: p.sequence}
	c.out = append(c.out, datagram{to: p.address})
	d := &c.out[len(c.out)-1]
	k.appendTo(d.octets[:0])
	p.out.seal(&d.octets)
}

// disable tells all peers that this node stops.
func (c *core) disable(now time.Time) {
	for _, p := range c.sorted {
		c.dismiss(p, now)
	}
}

// dismiss tells a peer that its session ends. Who has not heard of this session would not believe it.
func (c *core) dismiss(p *peer, now time.Time) {
	if p.session.remote != 0 {
		p.session.disable(now)
		c.send(p, p.session.packet())
	}
}

// next is when to look into the socket and advance again; zero if there is no session.
func (c *core) next(now time.Time) (next time.Time) {
	if len(c.sorted) == 0 {
		return time.Time{}
	}
	next = c.look(now)
	for _, p := range c.sorted {
		next = sooner(next, p.session.next())
	}
	return next
}
