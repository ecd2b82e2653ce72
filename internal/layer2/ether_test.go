package layer2

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
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
func (s *ether) served(name string) bool { return s.cable[name] == 0 && !s.mute[name] && !s.deaf[name] }

func (s *ether) gossips(a, b string) bool { return s.wired(a, b) && s.gossip[a] == s.gossip[b] }

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
