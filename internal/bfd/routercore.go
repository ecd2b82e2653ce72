package bfd

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	wrongTTL      reason = "ttl"           // came from further away than it may
	authenticated reason = "authenticated" // RFC 5880 section 6.8.6: no authentication is in use
)

// router is a session with a router, and the peers that share it.
type router struct {
	routerKey
	targets map[string]RouterTarget // by peer
	peers   []string                // sorted
	// target of the first peer by name is the one whose timing counts.
	target  RouterTarget
	session *session
	// zone is the index of the interface that is remote's zone, as the shell finds it; 0 while it is not known.
	zone           int
	sent, received uint64
	// refusal is why its last packet was dropped, nil if it was not.
	refusal error
}

// arrival is how a datagram came.
type arrival struct {
	channel             // of the socket
	from, to netip.Addr // without zones
	// index of the interface, and whether it is the socket's device itself, not one of its VRF's.
	index  int
	direct bool
	ttl    uint8
}

// farewell is what is said to a router whose session has ended.
type farewell struct {
	routerKey
	octets [headerOctets]byte
	left   int
	due    time.Time
}

type routerDatagram struct {
	to     routerKey
	octets [headerOctets]byte
}

// routerCore is all sessions with routers, without clock and socket: as core is for those with speakers.
type routerCore struct {
	// random returns any 32 bits, jitter any number of [0,1).
	random func() uint32
	jitter func() float64

	routers map[routerKey]*router
	// By peer, its session or why it has none.
	peers   map[string]*router
	refused map[string]error
	sorted  []*router // by their first peer
	// For finding the session that a packet is for.
	discriminators map[uint32]*router
	remotes        map[netip.Addr][]*router
	farewells      []*farewell
	pace

	out    []routerDatagram
	events []RouterEvent
}

func newRouterCore(random func() uint32, jitter func() float64) routerCore {
	return routerCore{
		random: random, jitter: jitter, routers: map[routerKey]*router{}, peers: map[string]*router{},
		refused: map[string]error{}, discriminators: map[uint32]*router{}, remotes: map[netip.Addr][]*router{},
	}
}

// watch has a peer share the session with its router, which begins if there is none. It returns why there cannot
// be one.
func (c *routerCore) watch(peer string, t RouterTarget, now time.Time) error {
	k, err := t.key()
	if r := c.peers[peer]; r != nil && (err != nil || r.routerKey != k) {
		c.unwatch(peer, now)
	}
	if delete(c.refused, peer); err != nil {
		c.refused[peer] = err
		return err
	}
	r := c.routers[k]
	if r == nil {
		r = c.add(k, t, now)
	}
	r.targets[peer], c.peers[peer] = t, r
	c.settle(r)
	return nil
}

func (c *routerCore) add(k routerKey, t RouterTarget, now time.Time) *router {
	d := c.random()
	for d == 0 || c.discriminators[d] != nil {
		d = c.random()
	}
	// It stays the same for as long as there is the session: the router's log and ours name it.
	r := &router{routerKey: k, targets: map[string]RouterTarget{}, session: newSession(t.timers(), idleRouter, func() uint32 { return d }, now)}
	c.routers[k], c.discriminators[d] = r, r
	a := k.remote.WithZone("")
	// Who is more particular is asked first whether a packet is for it.
	c.remotes[a] = append(c.remotes[a], r)
	slices.SortStableFunc(c.remotes[a], func(x, y *router) int { return y.particular() - x.particular() })
	c.farewells = slices.DeleteFunc(c.farewells, func(f *farewell) bool { return f.routerKey == k })
	c.hurry(now)
	return r
}

func (k routerKey) particular() (n int) {
	if k.device != "" {
		n += 2
	}
	if k.local.IsValid() {
		n++
	}
	return n
}

// unwatch has a peer leave its session, which ends if it was the last.
func (c *routerCore) unwatch(peer string, now time.Time) {
	delete(c.refused, peer)
	r := c.peers[peer]
	if r == nil {
		return
	}
	delete(c.peers, peer)
	if delete(r.targets, peer); len(r.targets) > 0 {
		c.settle(r)
		return
	}
	delete(c.routers, r.routerKey)
	delete(c.discriminators, r.session.local)
	a := r.remote.WithZone("")
	if c.remotes[a] = slices.DeleteFunc(c.remotes[a], func(x *router) bool { return x == r }); len(c.remotes[a]) == 0 {
		delete(c.remotes, a)
	}
	c.sort()
	if r.session.remote != 0 {
		r.session.disable(now)
		p, f := r.session.packet(), &farewell{routerKey: r.routerKey, left: goodbyes, due: now}
		p.appendTo(f.octets[:0])
		c.farewells = append(c.farewells, f)
	}
}

// settle brings a session in line with what its peers ask for.
func (c *routerCore) settle(r *router) {
	r.peers = slices.Sorted(maps.Keys(r.targets))
	r.target = r.targets[r.peers[0]]
	r.session.retime(r.target.timers())
	r.session.setPassive(r.target.Passive)
	c.sort()
}

func (c *routerCore) sort() {
	c.sorted = slices.SortedFunc(maps.Values(c.routers), func(a, b *router) int { return strings.Compare(a.peers[0], b.peers[0]) })
}

// anew is after how many of its intervals a router that is Up may begin anew, without our discriminator. It need not be
// as many as make it lost: what the late are granted would let a router wait that is back already.
const anew = 2

// receive takes in a datagram that came at a time that the kernel tells, or returns why it is dropped.
func (c *routerCore) receive(a arrival, b []byte, at, now time.Time) (reason, error) {
	if len(b) >= headerOctets && b[1]&flagAuth != 0 {
		return authenticated, fmt.Errorf("packet of %s has authentication, of which none is in use", a.from)
	}
	k, err := decode(b)
	if err != nil {
		return malformed, fmt.Errorf("packet of %s: %w", a.from, err)
	}
	r := c.find(a, k.your)
	if r == nil {
		return unknown, fmt.Errorf("packet of %s to %s with Your Discriminator %d is for no session", a.from, a.to, k.your)
	}
	least := uint8(singleHop)
	if r.multiHop {
		least = r.target.MinimumTTL
	}
	if r.refusal = nil; a.ttl < least {
		r.refusal = fmt.Errorf("packet of %s has TTL %d, less than %d", a.from, a.ttl, least)
		return wrongTTL, r.refusal
	}
	arrived := c.arrived(at, now)
	if s := r.session; k.your == 0 && s.state == Up && s.remoteState == Up && arrived.Sub(s.heard) < anew*s.accepted() {
		// RFC 5880, section 6.8.6, would end the session, and anybody on the segment could, in the router's name: who does
		// not hear us does not know our discriminator. Nor does a router that has begun anew, but it is not heard as before.
		// One that has not come Up yet may begin anew at once: BIRD does when BGP ends.
		return unknown, fmt.Errorf("packet of %s says %s without the discriminator of the session, which is up and heard", a.from, k.state)
	}
	r.received++
	before := r.session.state
	r.session.receive(&k, arrived)
	if r.session.state != before {
		c.hurry(now)
	}
	if up := r.session.state == Up; up != (before == Up) {
		c.happened(r, 0, now)
	}
	return "", nil
}

// find returns the session that a packet is for, nil if there is none: section 6.3. With its discriminator too it
// has to come from where the router is.
func (c *routerCore) find(a arrival, your uint32) *router {
	if your != 0 {
		if r := c.discriminators[your]; r != nil && r.hears(a) {
			return r
		}
		return nil
	}
	for _, r := range c.remotes[a.from] {
		if r.hears(a) {
			return r
		}
	}
	return nil
}

// hears tells whether a packet came the way that a session's packets come.
func (r *router) hears(a arrival) bool {
	return r.remote.WithZone("") == a.from && (!r.local.IsValid() || r.local == a.to) && r.multiHop == a.multiHop &&
		(r.remote.Zone() == "" || r.zone == a.index) && (r.device == a.device || r.device == "" && a.direct)
}

// advance does what is due, by a clock that fired late, after so many datagrams were received.
func (c *routerCore) advance(now time.Time, late time.Duration, received int) {
	c.read(received, now)
	jitter := jitterOf(c.jitter())
	for _, r := range c.sorted {
		s, late := r.session, late
		if c.more {
			late = max(late, s.timers.receive) // what would save a session may wait
		}
		silence, up := now.Sub(s.heard), s.state == Up
		if last, failed := s.judge(now, late); failed {
			c.send(r, last)
			if up {
				c.happened(r, silence, now)
			}
		}
		if p, ok := s.transmit(now, s.period()/along, jitter); ok {
			c.send(r, p)
		}
	}
	for _, f := range c.farewells {
		if !f.due.After(now) {
			c.out = append(c.out, routerDatagram{f.routerKey, f.octets})
			f.left, f.due = f.left-1, now.Add(betweenThem)
		}
	}
	c.farewells = slices.DeleteFunc(c.farewells, func(f *farewell) bool { return f.left == 0 })
}

func (c *routerCore) happened(r *router, silence time.Duration, now time.Time) {
	s := r.session
	e := RouterEvent{Peers: slices.Clone(r.peers), Up: s.state == Up, At: now}
	if !e.Up {
		e.Diagnostic, e.Remote, e.Detection = s.diagnostic, s.remoteDiagnostic, silence
		e.AdminDown = s.diagnostic == NeighborSignaledDown && s.remoteState == AdminDown
	}
	c.events = append(c.events, e)
}

func (c *routerCore) send(r *router, p packet) {
	d := routerDatagram{to: r.routerKey}
	p.appendTo(d.octets[:0])
	c.out = append(c.out, d)
}

// disable tells all routers that this node stops.
func (c *routerCore) disable(now time.Time) {
	for _, r := range c.sorted {
		if r.session.remote != 0 { // who has not been heard has nothing to lose
			r.session.disable(now)
			c.send(r, r.session.packet())
		}
	}
}

// next is when to look into the sockets and advance again; zero if there is no session.
func (c *routerCore) next(now time.Time) (next time.Time) {
	if len(c.sorted)+len(c.farewells) == 0 {
		return time.Time{}
	}
	next = c.look(now)
	for _, r := range c.sorted {
		next = sooner(next, r.session.next())
	}
	for _, f := range c.farewells {
		next = sooner(next, f.due)
	}
	return next
}

// status returns what there is to see of a peer's session.
func (c *routerCore) status(peer string) (RouterStatus, bool) {
	if err := c.refused[peer]; err != nil {
		return RouterStatus{Peers: []string{peer}, State: Down, RemoteState: Down, Trouble: err}, true
	}
	r := c.peers[peer]
	if r == nil {
		return RouterStatus{}, false
	}
	s := r.session
	status := RouterStatus{
		Peers: slices.Clone(r.peers), Remote: r.remote, Local: r.local, MultiHop: r.multiHop, State: s.state,
		RemoteState: s.remoteState, Since: s.since, Diagnostic: s.diagnostic, RemoteDiagnostic: s.remoteDiagnostic,
		Interval: s.period(), Sent: r.sent, Received: r.received,
	}
	if s.state != Up {
		status.Trouble = r.refusal
	}
	if s.remote != 0 {
		status.RemoteInterval, status.Detection = s.accepted(), s.detection()
	}
	return status, true
}
