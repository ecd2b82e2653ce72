package layer2

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// ether is a number of whole engines on one Ethernet segment in virtual time: gossip, sessions, ARP and a
// client that uses every address. What fails is the cable between hosts, gossip between them, a speaker, or
// the process of one for a while.
type ether struct {
	t     testing.TB
	rand  *rand.Rand
	now   time.Time
	names []string
	hosts map[string]*host
	// cable and gossip are the sides of partitions: equal sides hear each other. The client is on side 0.
	cable, gossip map[string]int
	// mute are those whose frames do not get out, though they hear all; deaf those who hear nothing.
	mute, deaf map[string]bool
	// tardy is how much later than other news a node hears what is said of itself.
	tardy  time.Duration
	events timeline
	vips   []netip.Addr
	sealed [][]lb.Claim // the payloads on the wire, by number
	began  time.Time    // of watching
	// beside is what network every host has besides the segment.
	beside  network
	client  map[netip.Addr]*clientView
	glanced time.Time // when the client looked last
	expiry  time.Time // when the next answer ends by itself
}

// clientView is what the client saw of an address.
type clientView struct {
	at      string // the host that its cache points at
	served  time.Time
	longest time.Duration
	moves   []string
	// doubled is for how long two hardware addresses answered.
	doubled time.Duration
	// isServed and isDoubled are as at the last look.
	isServed, isDoubled bool
}

type host struct {
	s      *ether
	name   string
	engine *Engine // nil while its speaker does not run
	frozen bool
	// unplugged is true while its interface has no carrier.
	unplugged bool
	owned     map[netip.Addr]string // the host whose hardware address is answered with
	until     time.Time
	table     *fakeTable
	began     time.Time
	next      time.Time // the next look that is scheduled; zero if none
	told      map[string]time.Time
}

// fakeTable is gossip's memory: the same rules as package gossip's table.
type fakeTable struct {
	h       *host
	version uint64

	lossVersion uint64
	states      map[string]lb.NodeState
	suspicions  map[string]lb.Suspicion
	claims      map[netip.Addr]lb.Claim
	alive       map[string]bool
	resting     map[string]bool
	contact     time.Time
	news        lb.GossipUpdate
}

func newEther(t testing.TB, seed uint64, nodes, vips int, options ...func(*ether)) *ether {
	s := &ether{t: t, rand: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1e9, 0), hosts: map[string]*host{}, cable: map[string]int{}, gossip: map[string]int{}, mute: map[string]bool{}, deaf: map[string]bool{}, client: map[netip.Addr]*clientView{}}
	for _, o := range options {
		o(s)
	}
	for i := range nodes {
		s.names = append(s.names, fmt.Sprint("n", i))
	}
	for i := range vips {
		s.vips = append(s.vips, address(i+1))
	}
	for _, name := range s.names {
		s.hosts[name] = &host{s: s, name: name}
	}
	for _, name := range s.names {
		s.start(name)
	}
	s.run(10 * time.Second)
	s.watch()
	return s
}

func hardwareAddr(name string) net.HardwareAddr {
	var i int
	fmt.Sscanf(name, "n%d", &i)
	return net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}
}

func ownAddress(name string) netip.Addr {
	hw := hardwareAddr(name)
	return netip.AddrFrom4([4]byte{192, 0, 2, 200 + hw[5]})
}

func (s *ether) at(after time.Duration, do func()) {
	heap.Push(&s.events, event{s.now.Add(after), do})
}

// soon is a delay as on a quiet network.
func (s *ether) soon() time.Duration {
	return time.Duration(100+s.rand.IntN(900)) * time.Microsecond
}

// wired tells whether what b sends reaches a.
func (s *ether) wired(a, b string) bool {
	return s.cable[a] == s.cable[b] && !s.deaf[a] && !s.mute[b]
}

// served tells whether the client and a host reach each other.
func (s *ether) served(name string) bool  { return s.cable[name] == 0 && !s.mute[name] && !s.deaf[name] }
func (s *ether) gossips(a, b string) bool { return s.wired(a, b) && s.gossip[a] == s.gossip[b] }

// start starts a host's speaker, which remembers nothing.
func (s *ether) start(name string) {
	h := s.hosts[name]
	h.owned, h.frozen, h.until = map[netip.Addr]string{}, false, time.Time{}
	h.began, h.next, h.told = s.now, time.Time{}, map[string]time.Time{}
	h.table = &fakeTable{
		h: h, version: uint64(s.now.UnixMilli()), states: map[string]lb.NodeState{}, suspicions: map[string]lb.Suspicion{},
		claims: map[netip.Addr]lb.Claim{}, alive: map[string]bool{}, resting: map[string]bool{},
	}
	e := NewEngine(Config{Node: name, RestartGrace: 15 * time.Second, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	links := []Link{{Interface: lb.Interface{Name: "eth0", HardwareAddr: hardwareAddr(name), Prefixes: []netip.Prefix{netip.PrefixFrom(ownAddress(name), 24)}}}}
	beside := s.beside.link(name)
	e.links = func() (list []Link, err error) {
		if s.beside != noNetwork {
			list = append(list, beside)
		}
		if !h.unplugged {
			list = append(list, links...)
		}
		return list, nil
	}
	e.neighbors = func(interfaces []string) (list []Target, err error) {
		if slices.Contains(interfaces, string(s.beside)) {
			list = append(list, Target{Interface: string(s.beside), HardwareAddr: pod, Address: netip.MustParseAddr("10.88.99.99")})
		}
		if slices.Contains(interfaces, "eth0") {
			list = append(list, Target{Interface: "eth0", HardwareAddr: net.HardwareAddr{2, 9, 9, 9, 9, 9}, Address: netip.MustParseAddr("192.0.2.254")})
		}
		return list, nil
	}
	e.start = func(task func()) {
		// As long as TCP takes: at once, or until it gives up.
		after := 2 * time.Second
		for _, other := range s.names {
			if other != name && s.meets(name, other) {
				after = 5 * time.Millisecond
			}
		}
		s.at(after, func() {
			if h.engine == e {
				task()
				s.kick(h)
			}
		})
	}
	e.clock = func() time.Time { return s.now }
	e.responder, e.binder, e.group, e.sessions = h, nothingBound{}, h.table, noSessions{}
	h.engine = e
	e.elector.SetScope(everywhere(s.names...))
	for i, a := range s.vips {
		e.elector.SetVIP(VIP{Address: a, Service: service(i), Scopes: []string{"all"}})
	}
	if err := e.relink(); err != nil {
		s.t.Fatal(err)
	}
	for _, other := range s.names {
		if o := s.hosts[other]; other != name && o.engine != nil && s.gossips(name, other) {
			s.at(50*time.Millisecond+s.soon(), func() { s.meet(h, o) })
		}
	}
	s.pulse(e, h)
}

// pulse has an engine look at its pace, for as long as it runs.
func (s *ether) pulse(e *Engine, h *host) {
	s.at(pulse, func() {
		if h.engine == e {
			s.look(h)
			h.speak()
			s.pulse(e, h)
		}
	})
	s.look(h)
}

// speak is what a host lets everybody hear at all times: its speaker's word, and its kernel's questions.
func (h *host) speak() {
	if len(h.s.mute)+len(h.s.deaf) == 0 || h.frozen {
		return // where a path works both ways or not at all, it makes no difference
	}
	h.table.say(nil, nil, nil)
	for _, name := range h.s.names {
		o := h.s.hosts[name]
		if name == h.name || o.engine == nil || !h.s.wired(name, h.name) {
			continue
		}
		e := o.engine
		h.s.at(h.s.soon(), func() {
			e.sighted(Sighting{At: h.s.now, Interface: "eth0", HardwareAddr: hardwareAddr(h.name), Source: hardwareAddr(h.name), Address: ownAddress(h.name), Kind: Alive})
			h.s.kick(o)
		})
	}
}

// look has a host's engine look now, and again when it wants to or was kicked.
func (s *ether) look(h *host) {
	e := h.engine
	if e == nil || h.frozen {
		return
	}
	next := e.look(s.now, s.now.Sub(h.began) >= joinGrace)
	// what its announcer would send, at once and only once
	e.announcer.mu.Lock()
	due := slices.SortedFunc(maps.Keys(e.announcer.by), netip.Addr.Compare)
	var send []netip.Addr
	for _, a := range due {
		if x := e.announcer.by[a]; x.sent == 0 {
			x.sent = 1
			send = append(send, a)
		}
	}
	e.announcer.mu.Unlock()
	for _, a := range send {
		h.Announce(a)
	}
	if !next.IsZero() {
		s.schedule(h, max(0, next.Sub(s.now))+s.soon())
	}
}

func (s *ether) schedule(h *host, after time.Duration) {
	at, e := s.now.Add(after), h.engine
	if !h.next.IsZero() && !at.Before(h.next) {
		return
	}
	h.next = at
	s.at(after, func() {
		if h.engine == e && h.next.Equal(at) {
			h.next = time.Time{}
			s.look(h)
		}
	})
}

func (s *ether) kick(h *host) { s.schedule(h, s.soon()/4) }

// meet has two speakers exchange all that they know, as when one joins.
func (s *ether) meet(a, b *host) {
	if a.engine == nil || b.engine == nil || a.frozen || b.frozen || !s.gossips(a.name, b.name) || !s.gossips(b.name, a.name) {
		return
	}
	x, y := *a.table, *b.table
	statesOf := func(t fakeTable) (list []lb.NodeState) {
		for name, state := range t.states {
			if t.alive[name] || t.resting[name] || name == t.h.name {
				list = append(list, state)
			}
		}
		return list
	}
	a.table.alive[b.name], b.table.alive[a.name] = true, true
	a.table.contact, b.table.contact = s.now, s.now
	as, bs := statesOf(x), statesOf(y)
	ac, bc := slices.Collect(maps.Values(x.claims)), slices.Collect(maps.Values(y.claims))
	an, bn := slices.Collect(maps.Values(x.suspicions)), slices.Collect(maps.Values(y.suspicions))
	a.table.merge(bs, bc, bn)
	b.table.merge(as, ac, an)
	a.table.appear(b.name)
	b.table.appear(a.name)
}

func (t *fakeTable) appear(node string) {
	t.resting[node] = false
	t.news.Resting = slices.DeleteFunc(t.news.Resting, func(s lb.NodeState) bool { return s.Node == node })
	st, ok := t.states[node]
	if sus, suspected := t.suspicions[node]; ok && (!suspected || sus.Version < st.Version) {
		t.news.Joined = append(t.news.Joined, st)
	}
	t.h.s.kick(t.h)
}

func (t *fakeTable) merge(states []lb.NodeState, claims []lb.Claim, suspicions []lb.Suspicion) {
	for _, s := range states {
		known, ok := t.states[s.Node]
		if ok && s.Version <= known.Version || s.Node == t.h.name {
			continue
		}
		t.states[s.Node] = s
		if s.Version > t.suspicions[s.Node].Version {
			delete(t.suspicions, s.Node)
		}
		if t.alive[s.Node] {
			t.news.Joined = append(t.news.Joined, s)
		} else if !ok {
			t.news.Resting = append(t.news.Resting, s)
		}
	}
	for _, x := range suspicions {
		if x.Node == t.h.name && x.Silent && x.Version > t.lossVersion {
			t.lossVersion = x.Version
			t.news.Losses++
		}
		if known, ok := t.states[x.Node]; ok && x.Version < known.Version {
			continue
		}
		if x.Node == t.h.name {
			t.version = max(t.version, x.Version)
			t.SetState(t.states[t.h.name])
			continue
		}
		if old, had := t.suspicions[x.Node]; had && !x.Replaces(old) {
			continue
		}
		t.suspicions[x.Node] = x
		t.news.Suspicions = append(t.news.Suspicions, x)
	}
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			t.news.Claims = append(t.news.Claims, c)
		}
	}
	t.h.s.kick(t.h)
}

// say tells all speakers that are reached.
func (t *fakeTable) say(states []lb.NodeState, claims []lb.Claim, suspicions []lb.Suspicion) {
	s := t.h.s
	for _, name := range s.names {
		o := s.hosts[name]
		if name == t.h.name || o.engine == nil || !s.gossips(name, t.h.name) {
			continue
		}
		table, after := o.table, s.soon()
		if slices.ContainsFunc(suspicions, func(x lb.Suspicion) bool { return x.Node == name }) {
			after += s.tardy
		}
		s.at(after, func() { table.merge(states, claims, suspicions) })
	}
}

func (t *fakeTable) Run(context.Context) error { return nil }
func (t *fakeTable) Joined() bool {
	for _, name := range t.h.s.names {
		if o := t.h.s.hosts[name]; name != t.h.name && o.engine != nil && !o.frozen && t.h.s.gossips(name, t.h.name) && !t.alive[name] {
			return len(t.alive) > 0 && t.h.s.now.Sub(t.h.began) > 2*time.Second
		}
	}
	return len(t.alive) > 0
}
func (t *fakeTable) Rest(node string, resting bool) { t.resting[node] = resting }
func (t *fakeTable) Asked() bool                    { return true }
func (t *fakeTable) Silence() (time.Time, bool) {
	return time.Time{}, false
}
func (t *fakeTable) Contact() time.Time { return t.contact }
func (t *fakeTable) Take() lb.GossipUpdate {
	n := t.news
	t.news = lb.GossipUpdate{}
	return n
}
func (t *fakeTable) SetState(own lb.NodeState) {
	t.version++
	own.Node, own.Version = t.h.name, t.version
	t.states[t.h.name] = own
	t.say([]lb.NodeState{own}, nil, nil)
}
func (t *fakeTable) Publish(claims []lb.Claim) {
	var count []lb.Claim
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			count = append(count, c)
		}
	}
	t.say(nil, count, nil)
}
func (t *fakeTable) Offer(offers []lb.Offer) {
	for _, o := range offers {
		if to := t.h.s.hosts[o.To]; to.engine != nil && t.h.s.gossips(o.To, t.h.name) {
			to.table.news.Offers = append(to.table.news.Offers, o)
			t.h.s.kick(to)
		}
	}
}
func (t *fakeTable) Suspect(node string, silent bool, unheard time.Duration) {
	st, ok := t.states[node]
	if !ok {
		return
	}
	x := lb.Suspicion{Node: node, Version: st.Version, Silent: silent}
	if old, had := t.suspicions[node]; had && !x.Replaces(old) {
		x = old
	} else {
		t.suspicions[node] = x
	}
	x.Unheard = unheard
	t.say(nil, nil, []lb.Suspicion{x})
}
func (t *fakeTable) Refresh() (heard bool) {
	for _, name := range t.h.s.names {
		if o := t.h.s.hosts[name]; name != t.h.name && t.h.s.meets(t.h.name, name) {
			t.h.s.meet(t.h, o)
			heard = true
		}
	}
	return heard
}
func (t *fakeTable) Addresses() map[string]netip.Addr {
	addresses := map[string]netip.Addr{}
	for name, alive := range t.alive {
		if alive {
			addresses[name] = ownAddress(name)
		}
	}
	return addresses
}
func (t *fakeTable) Seal(addresses []netip.Addr, _ int) [][]byte {
	var claims []lb.Claim
	for _, a := range addresses {
		claims = append(claims, t.claims[a])
	}
	t.h.s.sealed = append(t.h.s.sealed, claims)
	return [][]byte{fmt.Append(nil, len(t.h.s.sealed)-1)}
}
func (t *fakeTable) Open(payload []byte) (beaten []netip.Addr, err error) {
	var i int
	fmt.Sscan(string(payload), &i)
	for _, c := range t.h.s.sealed[i] {
		if t.claims[c.Address].Beats(c) {
			beaten = append(beaten, c.Address)
		}
	}
	t.merge(nil, t.h.s.sealed[i], nil)
	return beaten, nil
}

type noSessions struct{}

func (noSessions) Run(context.Context) error                                    { return nil }
func (noSessions) SetMembers(map[string]netip.Addr, func(string) bool) []string { return nil }
func (noSessions) Status() (string, []SessionStatus)                            { return "", nil }

type nothingBound struct{}

func (nothingBound) Run(context.Context) error { return nil }
func (nothingBound) Set(netip.Addr, []string)  {}
func (nothingBound) Unset(netip.Addr)          {}

// The host is its engine's wire.
func (h *host) SetLinks([]Link) []netip.Addr { return nil }
func (h *host) Own(a netip.Addr, _ []string, as net.HardwareAddr) {
	h.owned[a] = h.name
	if as != nil {
		h.owned[a] = fmt.Sprint("n", int(as[4])<<8|int(as[5]))
	}
}
func (h *host) Disown(a netip.Addr)   { delete(h.owned, a) }
func (h *host) Renew(until time.Time) { h.until = until }
func (h *host) Close()                {}

// answers tells with whose hardware address a host answers for an address.
func (h *host) answers(a netip.Addr) (as string, ok bool) {
	if h.engine == nil || h.frozen || h.s.now.After(h.until) {
		return "", false
	}
	as, ok = h.owned[a]
	return as, ok
}

func (h *host) Announce(a netip.Addr) {
	as, ok := h.answers(a)
	if !ok {
		return
	}
	s := h.s
	if s.cable[h.name] == 0 && !s.mute[h.name] {
		s.client[a] = s.see(a, as)
	}
	for _, name := range s.names {
		o := s.hosts[name]
		if name == h.name || !s.wired(name, h.name) {
			continue
		}
		if theirs, ok := o.answers(a); ok && theirs != as && as != o.name {
			e, key := o.engine, fmt.Sprint(a, as)
			if last, ok := o.told[key]; ok && s.now.Sub(last) < time.Second {
				continue
			}
			o.told[key] = s.now
			s.at(s.soon(), func() {
				e.sighted(Sighting{At: s.now, Interface: "eth0", HardwareAddr: hardwareAddr(as), Source: hardwareAddr(h.name), Address: a, Kind: Conflict})
				s.kick(o)
			})
		}
	}
}

// network is one that the hosts have besides the segment of the test, by the name of their interfaces. It goes on
// whatever becomes of the segment, and comes first by its name.
type network string

const (
	noNetwork network = ""
	pods      network = "cni0"    // a bridge on each host, with a subnet of its own and a Pod
	docker    network = "docker0" // a bridge on each host, with one subnet and one address everywhere, and a container
	storage   network = "data0"   // joins all hosts
)

var networks = []network{noNetwork, pods, docker, storage}

func (n network) link(host string) Link {
	i := hardwareAddr(host)[5]
	a := map[network]string{
		noNetwork: "10.88.0.1/16", docker: "10.88.0.1/16", pods: fmt.Sprintf("10.244.%d.1/24", i), storage: fmt.Sprintf("198.51.100.%d/24", 100+i),
	}[n]
	return Link{Index: 2, Interface: lb.Interface{Name: string(n), HardwareAddr: net.HardwareAddr{2, 8, 8, 8, 8, i}, Prefixes: []netip.Prefix{netip.MustParsePrefix(a)}}}
}

// pod is the hardware address of what is on each host's bridge.
var pod = net.HardwareAddr{2, 7, 7, 7, 7, 7}

func (h *host) Probe(t Target) error {
	s, e := h.s, h.engine
	if t.Interface == string(s.beside) {
		to := s.hosts[fmt.Sprint("n", t.HardwareAddr[5])]
		stands := to != nil && to.frozen && !s.wired(to.name, h.name) // all of it, as a virtual machine
		if answers := same(t.HardwareAddr, pod) || s.beside == storage && !stands; answers {
			s.at(s.soon(), func() {
				if h.engine == e {
					e.sighted(Sighting{At: s.now, Interface: t.Interface, HardwareAddr: t.HardwareAddr, Source: t.HardwareAddr, Address: t.Address, Kind: Answer})
					s.kick(h)
				}
			})
		}
		return nil
	}
	to := fmt.Sprint("n", int(t.HardwareAddr[4])<<8|int(t.HardwareAddr[5]))
	s.at(s.soon(), func() {
		o := s.hosts[to]
		switch {
		case string(t.HardwareAddr) == string(net.HardwareAddr{2, 9, 9, 9, 9, 9}): // the client
			if !s.served(h.name) {
				return
			}
		case o == nil || !s.wired(to, h.name) || !s.wired(h.name, to):
			return
		case t.Address != ownAddress(to):
			if as, ok := o.answers(t.Address); !ok || as != to {
				return
			}
		}
		if h.engine == e {
			e.sighted(Sighting{At: s.now, Interface: "eth0", HardwareAddr: t.HardwareAddr, Source: t.HardwareAddr, Address: t.Address, Kind: Answer})
			s.kick(h)
		}
	})
	return nil
}

func (h *host) Broadcast(_ []string, payload []byte) {
	for _, name := range h.s.names {
		o := h.s.hosts[name]
		if name == h.name || o.engine == nil || !h.s.wired(name, h.name) {
			continue
		}
		e := o.engine
		h.s.at(h.s.soon(), func() { e.heard("eth0", payload) })
	}
}

func (h *host) Detect(_ netip.Addr, _ []string, _ bool, done func(*Sighting)) { done(nil) }

// sever notices paths between speakers that broke or are whole again: a session after 100 to 150 ms, gossip
// after a second.
func (s *ether) sever(before func(a, b string) bool) {
	for _, a := range s.names {
		for _, b := range s.names {
			if a == b || s.hosts[a].engine == nil {
				continue
			}
			was, is, silent := before(a, b), s.meets(a, b), s.now
			h, e := s.hosts[a], s.hosts[a].engine
			switch {
			case was && !is:
				s.at(time.Duration(100+s.rand.IntN(50))*time.Millisecond, func() {
					if h.engine == e && !s.reaches(a, b) {
						e.SessionChanged(b, false, silent)
						s.kick(h)
					} else if h.engine == e && !s.meets(a, b) {
						s.at(s.tardy, func() {
							if h.engine == e && !s.meets(a, b) {
								e.NotHeardBy(b) // it says so
								s.kick(h)
							}
						})
					}
				})
				s.at(time.Duration(1000+s.rand.IntN(500))*time.Millisecond, func() {
					if h.engine == e && !s.meets(a, b) {
						delete(h.table.alive, b)
						h.table.news.Lost = append(h.table.news.Lost, b)
						s.kick(h)
					}
				})
			case !was && is:
				s.at(time.Duration(20+s.rand.IntN(100))*time.Millisecond, func() {
					if h.engine == e && s.meets(a, b) {
						e.SessionChanged(b, true, time.Time{})
						s.kick(h)
					}
				})
				if o := s.hosts[b]; a < b || s.meets(b, a) {
					s.at(time.Duration(200+s.rand.IntN(800))*time.Millisecond, func() {
						if !h.table.alive[b] || !o.table.alive[a] {
							s.meet(h, o)
						}
					})
				}
			}
		}
	}
}

// reaches tells whether what b's speaker sends reaches a.
func (s *ether) reaches(a, b string) bool {
	o := s.hosts[b]
	return s.gossips(a, b) && o.engine != nil && !o.frozen
}

// meets tells whether two speakers hear each other, which a session and an answered probe of gossip need.
func (s *ether) meets(a, b string) bool { return s.reaches(a, b) && s.gossips(b, a) }

func (s *ether) change(do func()) {
	before := map[[2]string]bool{}
	for _, a := range s.names {
		for _, b := range s.names {
			before[[2]string{a, b}] = s.meets(a, b)
		}
	}
	do()
	s.sever(func(a, b string) bool { return before[[2]string{a, b}] })
}

func (s *ether) cut(name string) {
	s.change(func() { s.cable[name] = 1 + slices.Index(s.names, name) })
}
func (s *ether) unplug(name string, unplugged bool) {
	h := s.hosts[name]
	h.unplugged = unplugged
	if s.cut(name); !unplugged {
		s.mend(name)
	}
	s.at(s.soon(), func() {
		if err := h.engine.relink(); err != nil {
			s.t.Error(err)
		}
		s.look(h)
	})
}
func (s *ether) mend(name string) {
	s.change(func() { s.cable[name] = 0; delete(s.mute, name); delete(s.deaf, name) })
}
func (s *ether) muffle(name string) { s.change(func() { s.mute[name] = true }) }
func (s *ether) deafen(name string) { s.change(func() { s.deaf[name] = true }) }
func (s *ether) kill(name string)   { s.change(func() { s.hosts[name].engine = nil }) }
func (s *ether) freeze(name string) { s.change(func() { s.hosts[name].frozen = true }) }
func (s *ether) wake(name string) {
	s.change(func() { s.hosts[name].frozen = false })
	s.look(s.hosts[name])
	s.kick(s.hosts[name])
}
func (s *ether) restart(name string) { s.change(func() { s.start(name) }) }

// run lets time pass in steps of a millisecond. The client looks after each in which something may have changed.
func (s *ether) run(d time.Duration) {
	changed := true // by what was done to it since
	for end := s.now.Add(d); s.now.Before(end); changed = false {
		tick := s.now.Add(time.Millisecond)
		for n := 0; len(s.events) > 0 && !s.events[0].at.After(tick); n++ {
			changed = true
			if n > 2_000 {
				s.t.Fatal("the engines do not come to rest")
			}
			e := heap.Pop(&s.events).(event)
			if e.at.After(s.now) {
				s.now = e.at
			}
			e.do()
		}
		s.now = tick
		if changed || tick.After(s.expiry) {
			s.glance()
		}
	}
	s.wentOn(s.now)
}

// wentOn takes note that all went on as it was when the client looked last.
func (s *ether) wentOn(until time.Time) {
	for _, c := range s.client {
		if c.isServed {
			c.served = until
		}
		if c.isDoubled {
			c.doubled += until.Sub(s.glanced)
		}
	}
	s.glanced = until
}

func (s *ether) watch() {
	s.began = s.now
	for _, a := range s.vips {
		c := s.see(a, "")
		s.client[a] = &clientView{at: c.at, served: s.now}
	}
}

func (s *ether) see(a netip.Addr, at string) *clientView {
	c := s.client[a]
	if c == nil {
		c = &clientView{served: s.now}
	}
	if at != "" && at != c.at {
		if c.at != "" {
			c.moves = append(c.moves, at)
		}
		c.at = at
	}
	return c
}

// glance is the client: it uses the hardware address that it knows, and asks when that leads nowhere.
func (s *ether) glance() {
	s.wentOn(s.now.Add(-time.Millisecond))
	s.glanced, s.expiry = s.now, s.now.Add(time.Hour)
	for _, h := range s.hosts {
		if !s.now.After(h.until) && h.until.Before(s.expiry) {
			s.expiry = h.until
		}
	}
	for _, a := range s.vips {
		c := s.see(a, "")
		s.client[a] = c
		answers := map[string]bool{}
		for _, name := range s.names {
			if as, ok := s.hosts[name].answers(a); ok && s.served(name) {
				answers[as] = true
			}
		}
		if c.isDoubled = len(answers) > 1; c.isDoubled {
			c.doubled += time.Millisecond
		}
		if c.at == "" || !s.served(c.at) {
			for as := range answers {
				if s.served(as) {
					s.see(a, as)
				}
			}
		}
		if c.isServed = c.at != "" && s.served(c.at); c.isServed {
			c.longest = max(c.longest, s.now.Sub(c.served))
			c.served = s.now
		}
	}
}

// result sums up what the client saw since watch.
func (s *ether) result() (longest, doubled time.Duration, moves int, movesOf map[netip.Addr][]string) {
	movesOf = map[netip.Addr][]string{}
	for _, a := range s.vips {
		c := s.client[a]
		longest, doubled = max(longest, c.longest, s.now.Sub(c.served)), max(doubled, c.doubled)
		moves += len(c.moves)
		if len(c.moves) > 0 {
			movesOf[a] = c.moves
		}
	}
	return longest, doubled, moves, movesOf
}

// owners are the hosts whose hardware addresses are answered with, which must be one for each address.
func (s *ether) owners() map[netip.Addr]string {
	owners := map[netip.Addr]string{}
	for _, a := range s.vips {
		var all []string
		for _, name := range s.names {
			if as, ok := s.hosts[name].answers(a); ok && s.served(name) && !slices.Contains(all, as) {
				all = append(all, as)
			}
		}
		if len(all) != 1 {
			s.t.Fatalf("%s: %v answer after %s", a, all, s.now.Sub(s.began))
		}
		owners[a] = all[0]
	}
	return owners
}

func (s *ether) describe(moves map[netip.Addr][]string) string {
	var lines []string
	for a, m := range moves {
		lines = append(lines, fmt.Sprint(a, " to ", strings.Join(m, ", ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestSegment(t *testing.T) {
	const (
		second      = time.Second
		movesOfLost = -1 // as many as n1 had addresses
		anyMoves    = -2
	)
	ownedBy := func(owners map[netip.Addr]string, name string) (n int) {
		for _, o := range owners {
			if o == name {
				n++
			}
		}
		return n
	}
	// Each case: what happens, how long the client may be without service, how often an address may move in
	// all, and for how long two may answer.
	tests := []struct {
		name    string
		nodes   int
		do      func(s *ether)
		longest time.Duration
		moves   int
		doubled time.Duration
	}{
		{"nothing happens", 3, func(s *ether) { s.run(60 * second) }, 2 * time.Millisecond, 0, 0},
		{"a cable is cut", 3, func(s *ether) { s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a cable is cut and mended", 3, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable is cut for a moment", 3, func(s *ether) { s.cut("n1"); s.run(500 * time.Millisecond); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable is cut for too short a time to matter", 3, func(s *ether) { s.cut("n1"); s.run(80 * time.Millisecond); s.mend("n1"); s.run(20 * second) }, 100 * time.Millisecond, 0, 0},
		{"a node loses its carrier", 3, func(s *ether) { s.unplug("n1", true); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a node loses its carrier and has it again", 3, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two loses its carrier and has it again", 2, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node loses its carrier for a moment", 3, func(s *ether) {
			s.unplug("n1", true)
			s.run(60 * time.Millisecond)
			s.unplug("n1", false)
			s.run(20 * second)
		}, 250 * time.Millisecond, 0, 0},
		{"one of ten is cut", 10, func(s *ether) { s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"one of two is cut and mended", 2, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable flaps ten times", 3, func(s *ether) {
			for range 10 {
				s.cut("n1")
				s.run(15 * second)
				s.mend("n1")
				s.run(15 * second)
			}
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one cable after another is cut for a moment", 3, func(s *ether) {
			for i := range 9 {
				s.cut(s.names[i%3])
				s.run(800 * time.Millisecond)
				s.mend(s.names[i%3])
				s.run(1200 * time.Millisecond)
			}
		}, 330 * time.Millisecond, anyMoves, 250 * time.Millisecond},
		{"the cable of one of two flaps ten times", 2, func(s *ether) {
			for range 10 {
				s.cut("n1")
				s.run(15 * second)
				s.mend("n1")
				s.run(15 * second)
			}
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"the cable of one of two flaps quickly, at either end", 2, func(s *ether) {
			for i := range 10 {
				if i%2 == 0 {
					s.cut("n1")
				} else {
					s.unplug("n1", true)
				}
				s.run(1500 * time.Millisecond)
				if i%2 == 0 {
					s.mend("n1")
				} else {
					s.unplug("n1", false)
				}
				s.run(2500 * time.Millisecond)
			}
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a speaker is killed and comes back", 3, func(s *ether) { s.kill("n1"); s.run(3 * second); s.restart("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker is killed and comes back at once", 3, func(s *ether) { s.kill("n1"); s.run(100 * time.Millisecond); s.restart("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker says good-bye and comes back", 3, func(s *ether) {
			for _, name := range s.names {
				if name != "n1" {
					delete(s.hosts[name].table.alive, "n1")
					s.hosts[name].table.news.Left = append(s.hosts[name].table.news.Left, "n1")
					s.kick(s.hosts[name])
				}
			}
			s.hosts["n1"].engine = nil
			s.run(5 * second)
			s.restart("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"all speakers are restarted one after another", 3, func(s *ether) {
			for _, name := range s.names {
				s.kill(name)
				s.run(2 * second)
				s.restart(name)
				s.run(3 * second)
			}
		}, 2 * time.Millisecond, 0, 0},
		{"a speaker starts while another is away", 3, func(s *ether) {
			s.kill("n0")
			s.run(500 * time.Millisecond)
			s.kill("n1")
			s.run(2 * second)
			s.restart("n0")
			s.run(6 * second)
			s.restart("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"a speaker is killed and does not come back", 3, func(s *ether) { s.kill("n1"); s.run(30 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a node dies while its speaker is away", 3, func(s *ether) { s.kill("n1"); s.run(3 * second); s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a speaker is frozen and wakes", 3, func(s *ether) { s.freeze("n1"); s.run(5 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker is frozen for a moment", 3, func(s *ether) {
			s.freeze("n1")
			s.run(500 * time.Millisecond)
			s.wake("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"a zombie wakes", 3, func(s *ether) { s.freeze("n1"); s.run(30 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a zombie wakes of two", 2, func(s *ether) { s.freeze("n1"); s.run(30 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a node is heard by nobody, and heard again", 3, func(s *ether) { s.muffle("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node is heard by nobody for some seconds", 3, func(s *ether) { s.muffle("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node hears nobody, and hears again", 3, func(s *ether) { s.deafen("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node hears nobody for some seconds", 3, func(s *ether) { s.deafen("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two is not heard", 2, func(s *ether) { s.muffle("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two hears nobody", 2, func(s *ether) { s.deafen("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"gossip is cut, the segment is not", 4, func(s *ether) {
			s.change(func() { s.gossip["n1"], s.gossip["n2"] = 1, 1 })
			s.run(60 * second)
			s.change(func() { clear(s.gossip) })
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"gossip of one of two is cut", 2, func(s *ether) {
			s.change(func() { s.gossip["n1"] = 1 })
			s.run(60 * second)
			s.change(func() { clear(s.gossip) })
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
	}
	for _, tt := range tests {
		for seed := range uint64(8) {
			t.Run(fmt.Sprint(tt.name, "/seed ", seed), func(t *testing.T) {
				s := newEther(t, seed, tt.nodes, 12)
				before := s.owners()
				tt.do(s)
				longest, doubled, moves, movesOf := s.result()
				want := tt.moves
				if want == movesOfLost {
					want = ownedBy(before, "n1")
				}
				if want != anyMoves && moves != want {
					t.Errorf("%d moves, want %d: %s", moves, want, s.describe(movesOf))
				}
				if longest > tt.longest {
					t.Errorf("without service for %s, want at most %s", longest, tt.longest)
				}
				if doubled > tt.doubled {
					t.Errorf("two answered for %s, want at most %s", doubled, tt.doubled)
				}
				s.owners()
			})
		}
	}
}
