package layer2

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// swarm runs many electors against each other over a model of our gossip, in virtual time. What is real: each node's
// Elector, whose choice of watchers (package bfd), what a message of package gossip takes, and at what pace claims on
// the segment are read. The model: packets take up to 2 ms and one in a hundred is lost. A claim goes to all at once by
// a broadcast frame, sent twice and not passed on, and, in a group of up to 64, by a packet to each. By gossip it goes from
// node to node as memberlist spreads it: every 100 ms to three others, at most what a packet holds, those sent least
// first, each a number of times that grows with the logarithm of the group's size. Every 30 s, in large groups more
// rarely, a node exchanges all that it knows with another one. Detection is modelled in cuts_of_many_test.go.
type swarm struct {
	t      testing.TB
	rand   *rand.Rand
	now    time.Time
	peers  []*simPeer
	events timeline
	down   map[string]bool
	moves  map[netip.Addr]int
	causes map[Cause]int
	// since the last reset
	packets, items, claims, offers, frames, dropped int
	octets                                          float64
	busy                                            time.Duration // in the electors

	sizes sizes
	late  int // see each
	// parted is who has lost whom, orphans are the lost whose watchers are lost too, with who watches them, in order.
	parted  map[[2]string]bool
	orphans map[string][]string
	index   map[string]*simPeer
}

const (
	gossipInterval = 100 * time.Millisecond
	gossipNodes    = 3
	directMembers  = 64
	exchange       = 30 * time.Second
)

type simPeer struct {
	name   string
	e      *Elector
	queue  []rumor
	ticks  bool
	bucket bucket
	knows  map[string]bool // of whose loss it was told
	// told is what the segment was told of once, fresh what goes with it when it is told again; see tidings.
	told, fresh []lb.Claim
}

// rumor is what a node passes on: a claim, or the loss or the coming of a node.
type rumor struct {
	claim       lb.Claim
	lost, joins string
	sent        int
}

// swarmAddress returns one of 198.18.0.0/15.
func swarmAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)})
}

var swarmSegment = []lb.Interface{{Name: "eth0", HardwareAddr: macOf("xx"), Prefixes: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")}}}

// newSwarm returns a swarm at rest, of nodes that know each other and all claims. If some are doomed each elector has
// their addresses alone, and counts the others': it decides the same (TestOnlyTheLostAddressesMatter), and 2,000 of them
// fit into one machine.
func newSwarm(t testing.TB, nodes, addresses int, doomed ...string) *swarm {
	s := &swarm{
		t: t, rand: rand.New(rand.NewPCG(1, 2)), now: time.Unix(0, 0),
		down: map[string]bool{}, moves: map[netip.Addr]int{}, causes: map[Cause]int{},
		sizes: sizesOf(t), parted: map[[2]string]bool{}, orphans: map[string][]string{}, index: map[string]*simPeer{},
	}
	first := crowd("", nodes, addresses)
	scope := first.scopes["all"]
	scopes := []string{"all"} // one for all, so that it does not count as the electors' memory
	var vips []VIP
	var claims []lb.Claim
	loads := map[string]int{}
	for i := range addresses {
		a := swarmAddress(i)
		if owner := first.ownerOf(a); len(doomed) > 0 && !slices.Contains(doomed, owner) {
			loads[owner]++
			continue
		}
		vips = append(vips, VIP{Address: a, Service: service(i), Scopes: scopes})
		claims = append(claims, lb.Claim{Address: a, Node: first.ownerOf(a), Epoch: 1})
	}
	for i := range nodes {
		s.add(i, nodes, scope, vips, claims)
		p := s.peers[i]
		for owner, n := range loads {
			*p.e.load(owner) = n + *p.e.load(owner)
		}
		s.at(time.Duration(s.rand.Int64N(int64(s.exchangeEvery()))), func() { s.exchange(p) })
	}
	return s
}

// exchangeEvery is memberlist's PushPullInterval, as it grows with the group.
func (s *swarm) exchangeEvery() time.Duration {
	if n := float64(len(s.peers)); n > 32 {
		return exchange * time.Duration(math.Ceil(math.Log2(n)-5)+1)
	}
	return exchange
}

// crowd returns an elector that has just chosen an owner for each address.
func crowd(self string, nodes, addresses int) *Elector {
	e := NewElector(self)
	scope := everywhere()
	for i := range nodes {
		scope.Nodes[nodeName(i)] = true
	}
	e.SetScope(scope)
	for i := range nodes {
		e.Join(nodeName(i), swarmSegment)
	}
	scopes := []string{"all"}
	for i := range addresses {
		e.SetVIP(VIP{Address: swarmAddress(i), Service: service(i), Scopes: scopes})
	}
	e.Decide(time.Unix(0, 0))
	return e
}

func nodeName(i int) string { return fmt.Sprintf("node-%04d", i) }

func (s *swarm) add(i, nodes int, scope *Scope, vips []VIP, claims []lb.Claim) {
	e := NewElector(nodeName(i))
	e.scopes[scope.Name] = scope // one for all
	for i := range nodes {
		e.Join(nodeName(i), swarmSegment)
	}
	for i := range vips {
		e.SetVIP(vips[i])
		e.Hear(claims[i])
	}
	e.Decide(s.now)
	p := &simPeer{name: nodeName(i), e: e, bucket: bucket{rate: claimRate, size: claimBurst}, knows: map[string]bool{}}
	s.peers, s.index[p.name] = append(s.peers, p), p
}

func (s *swarm) at(d time.Duration, do func()) { heap.Push(&s.events, event{s.now.Add(d), do}) }

func (s *swarm) run(d time.Duration, until func() bool) (took time.Duration) {
	start := s.now
	check := start
	for len(s.events) > 0 && s.events[0].at.Sub(start) < d {
		e := heap.Pop(&s.events).(event)
		if s.now = e.at; until != nil && s.now.Sub(check) >= 10*time.Millisecond {
			if check = s.now; until() {
				return s.now.Sub(start)
			}
		}
		e.do()
	}
	s.now = start.Add(d)
	return d
}

// threadTime is the CPU time of the calling thread, to which the test has to be locked.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func (s *swarm) decide(p *simPeer) {
	began := threadTime()
	d := p.e.Decide(s.now)
	s.busy += threadTime() - began
	for _, c := range d.Changes {
		if c.Claimed {
			s.moves[c.Address]++
			s.causes[c.Cause]++
		}
	}
	s.claims += len(d.Claims)
	if len(d.Claims) > 0 {
		if len(s.peers) <= directMembers {
			for _, to := range s.peers {
				s.send(to, rumors(d.Claims))
			}
		}
		switch {
		case len(s.peers) <= fewNodes:
			s.broadcast(d.Claims)
		case len(p.told) > 0:
			p.fresh = append(p.fresh, d.Claims...)
		default:
			s.broadcast(d.Claims)
			p.told = d.Claims
			s.at(retellAfter, func() { s.retell(p) })
		}
	}
	s.spread(p, rumors(d.Claims))
	for _, o := range d.Offers {
		s.offers++
		to := s.peers[slices.IndexFunc(s.peers, func(p *simPeer) bool { return p.name == o.To })]
		s.packet(to, func() { to.e.Offered(o); s.decide(to) })
	}
	if !d.Wake.IsZero() {
		s.at(d.Wake.Sub(s.now), func() {
			if !s.down[p.name] {
				s.decide(p)
			}
		})
	}
}

// retell tells the segment again of what a node has claimed, and of what it has claimed since.
func (s *swarm) retell(p *simPeer) {
	if s.down[p.name] {
		return
	}
	s.broadcast(slices.Concat(p.told, p.fresh))
	if p.told, p.fresh = p.fresh, nil; len(p.told) > 0 {
		s.at(retellAfter, func() { s.retell(p) })
	}
}

// broadcast tells the segment of claims.
func (s *swarm) broadcast(claims []lb.Claim) {
	for chunk := range slices.Chunk(claims, s.sizes.perFrame) {
		s.frames++
		s.octets += s.sizes.frame(len(chunk))
		for _, to := range s.peers {
			s.hear(to, rumors(chunk))
		}
	}
}

// hear has a frame with claims heard at a node: at the pace at which they are read, with what the kernel keeps.
func (s *swarm) hear(to *simPeer, list []rumor) {
	const kept = 300 // frames, in socket's receiveBuffer
	s.packet(to, func() {
		wait := to.bucket.take(s.now)
		if wait.Seconds()*to.bucket.rate > kept {
			to.bucket.spent--
			s.dropped++
			return
		}
		s.at(wait, func() {
			news := false
			for _, r := range list {
				news = s.tell(to, r) || news
			}
			if news && !s.down[to.name] {
				s.decide(to)
			}
		})
	})
}

func rumors(claims []lb.Claim) (list []rumor) {
	for _, c := range claims {
		list = append(list, rumor{claim: c})
	}
	return list
}

// spread queues rumors at a node, to be passed on from the next tick on.
func (s *swarm) spread(p *simPeer, list []rumor) {
	for _, r := range list {
		if r.claim.Address.IsValid() {
			p.queue = slices.DeleteFunc(p.queue, func(q rumor) bool { return q.claim.Address == r.claim.Address })
		}
		p.queue = append(p.queue, r)
	}
	if !p.ticks && len(p.queue) > 0 {
		p.ticks = true
		s.at(time.Duration(s.rand.Int64N(int64(gossipInterval))), func() { s.tick(p) })
	}
}

func (s *swarm) tick(p *simPeer) {
	if p.ticks = !s.down[p.name] && len(p.queue) > 0; !p.ticks {
		return
	}
	limit := 3 * int(math.Ceil(math.Log10(float64(len(s.peers)+1))))
	for range gossipNodes {
		slices.SortStableFunc(p.queue, func(a, b rumor) int { return a.sent - b.sent })
		n := min(s.sizes.perPacket, len(p.queue))
		s.send(s.peers[s.rand.IntN(len(s.peers))], slices.Clone(p.queue[:n]))
		for i := range n {
			p.queue[i].sent++
		}
		p.queue = slices.DeleteFunc(p.queue, func(r rumor) bool { return r.sent >= limit })
	}
	s.at(gossipInterval, func() { s.tick(p) })
}

// exchange has a node and another one tell each other all claims, again and again.
func (s *swarm) exchange(p *simPeer) {
	if !s.down[p.name] {
		to := s.alive()
		for _, pair := range [][2]*simPeer{{p, to}, {to, p}} {
			for a, x := range pair[0].e.vips {
				if c := x.claim; c.Beats(pair[1].e.claim(a)) {
					s.tell(pair[1], rumor{claim: c})
				}
			}
		}
		s.decide(to)
		s.decide(p)
	}
	s.at(s.exchangeEvery(), func() { s.exchange(p) })
}

// packet has something arrive at a node, as a rule.
func (s *swarm) packet(to *simPeer, arrive func()) {
	if s.rand.IntN(100) == 0 {
		return
	}
	s.at(200*time.Microsecond+time.Duration(s.rand.Int64N(int64(1800*time.Microsecond))), func() {
		if !s.down[to.name] {
			arrive()
		}
	})
}

func (s *swarm) send(to *simPeer, list []rumor) {
	s.packets, s.items = s.packets+1, s.items+len(list)
	s.octets += s.sizes.packet(len(list))
	s.deliver(to, list)
}

func (s *swarm) deliver(to *simPeer, list []rumor) {
	s.packet(to, func() {
		var news []rumor
		for _, r := range list {
			r.sent = 0
			if s.tell(to, r) {
				news = append(news, r)
			}
		}
		if len(news) > 0 {
			s.decide(to)
			s.spread(to, news)
		}
	})
}

// tell tells a node's elector a rumor, and whether it was news.
func (s *swarm) tell(p *simPeer, r rumor) bool {
	switch {
	case r.lost != "":
		return s.suspect(p, r.lost)
	case r.joins != "":
		return p.e.Join(r.joins, swarmSegment)
	default:
		before := p.e.claim(r.claim.Address)
		p.e.Hear(r.claim)
		return p.e.claim(r.claim.Address) != before
	}
}

func (s *swarm) alive() *simPeer {
	for {
		if p := s.peers[s.rand.IntN(len(s.peers))]; !s.down[p.name] {
			return p
		}
	}
}

func (s *swarm) reset() {
	s.packets, s.items, s.claims, s.offers, s.frames, s.dropped, s.octets, s.busy = 0, 0, 0, 0, 0, 0, 0, 0
	clear(s.moves)
	clear(s.causes)
}
