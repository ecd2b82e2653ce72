package layer2

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

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

func hardwareAddr(name string) net.HardwareAddr {
	var i int
	fmt.Sscanf(name, "n%d", &i)
	return net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}
}

func ownAddress(name string) netip.Addr {
	hw := hardwareAddr(name)
	return netip.AddrFrom4([4]byte{192, 0, 2, 200 + hw[5]})
}

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
