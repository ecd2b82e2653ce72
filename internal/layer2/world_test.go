package layer2

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// world runs the electors of several nodes against each other in virtual time: gossip takes a while and
// loses its order, the API's news reaches the nodes at different times, partitions come and go, speakers
// crash and freeze.
type world struct {
	notice time.Duration // within which all notice that a node is lost or back
	t      testing.TB
	rand   *rand.Rand
	now    time.Time
	names  []string
	nodes  map[string]*Elector // without those whose speaker is gone
	side   map[string]int      // of a partition; equal sides hear each other
	alone  []string            // who hears nobody on the wire
	frozen map[string][]func() // speakers that are stopped, and what waits for them
	scope  Scope
	// claims are what each node's gossip knows.
	claims map[string]map[netip.Addr]lb.Claim
	vips   map[netip.Addr]VIP
	events timeline
	moves  map[netip.Addr]int // changes of owner, and claims of new ones
	offers int
}

type event struct {
	at time.Time
	do func()
}

type timeline []event

func (t timeline) Len() int           { return len(t) }
func (t timeline) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timeline) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timeline) Push(x any)        { *t = append(*t, x.(event)) }
func (t *timeline) Pop() any          { last := (*t)[len(*t)-1]; *t = (*t)[:len(*t)-1]; return last }

func newWorld(t testing.TB, nodes int, seed uint64) *world {
	w := &world{
		notice: time.Second,
		t:      t, rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0), nodes: map[string]*Elector{},
		side: map[string]int{}, frozen: map[string][]func(){}, claims: map[string]map[netip.Addr]lb.Claim{},
		vips: map[netip.Addr]VIP{}, moves: map[netip.Addr]int{},
	}
	for i := range nodes {
		w.names = append(w.names, fmt.Sprint("n", i))
	}
	w.scope = everywhere(w.names...)
	for _, name := range w.names {
		w.start(name)
	}
	return w
}

// macOf is the hardware address of a node's only interface.
func macOf(name string) net.HardwareAddr {
	return net.HardwareAddr{2, 0, 0, 0, name[len(name)-2], name[len(name)-1]}
}

func segmentOf(name string) []lb.Interface {
	return []lb.Interface{{Name: "eth0", HardwareAddr: macOf(name), Prefixes: segment[0].Prefixes}}
}

func (w *world) hears(a, b string) bool { return w.side[a] == w.side[b] }

// tell does something to a node's elector, if it has one: at once, or when it runs again.
func (w *world) tell(name string, do func(*Elector)) {
	e := w.nodes[name]
	if e == nil {
		return
	}
	run := func() {
		if w.nodes[name] == e {
			do(e)
			w.decide(name)
		}
	}
	if _, frozen := w.frozen[name]; frozen {
		w.frozen[name] = append(w.frozen[name], run)
		return
	}
	run()
}

// start begins a node's speaker, as after a crash: it remembers nothing and hears what the others know.
func (w *world) start(name string) {
	e := NewElector(name)
	e.SetScope(w.scope)
	e.Join(name, segmentOf(name))
	w.claims[name] = map[netip.Addr]lb.Claim{}
	for _, other := range w.names {
		if other == name || !w.hears(other, name) {
			continue
		}
		e.Join(other, segmentOf(other))
		if w.nodes[other] == nil || w.frozen[other] != nil {
			e.Rest(other)
		}
	}
	w.nodes[name] = e
	for _, other := range w.names {
		if other != name && w.nodes[other] != nil && w.hears(other, name) {
			for _, c := range w.claims[other] {
				w.hear(name, c)
			}
			w.tell(other, func(e *Elector) { e.Join(name, segmentOf(name)) })
		}
	}
	for _, v := range w.vips {
		e.SetVIP(v)
	}
	w.decide(name)
}

// rest ends a node's speaker; its kernel goes on. The others notice in their time.
func (w *world) rest(name string) {
	delete(w.nodes, name)
	w.others(name, func(e *Elector) { e.Rest(name) })
}

// others tells all others that hear a node something, within a second.
func (w *world) others(name string, do func(*Elector)) {
	for _, other := range w.names {
		if other != name && w.hears(other, name) {
			w.after(time.Second, func() { w.tell(other, do) })
		}
	}
}

// thaw lets a speaker that was stopped run on: it is behind, and hears of it only a moment later.
func (w *world) thaw(name string) {
	waiting := w.frozen[name]
	delete(w.frozen, name)
	w.tell(name, func(e *Elector) { e.Isolated(w.now) })
	for _, do := range waiting {
		do()
	}
	for _, other := range w.names {
		if other != name && w.nodes[other] != nil && w.hears(other, name) {
			w.after(time.Second, func() {
				w.tell(name, func(*Elector) {
					for _, c := range w.claims[other] {
						w.hear(name, c)
					}
				})
				w.tell(other, func(e *Elector) {
					e.Join(name, segmentOf(name))
					for _, c := range w.claims[name] {
						w.hear(other, c)
					}
				})
			})
		}
	}
}

func (w *world) at(at time.Time, do func()) { heap.Push(&w.events, event{at, do}) }

func (w *world) after(most time.Duration, do func()) {
	w.at(w.now.Add(time.Duration(w.rand.Int64N(int64(most)))), do)
}

// api brings news of the API server to all.
func (w *world) api(do func(*Elector)) {
	for _, name := range w.names {
		w.after(20*time.Millisecond, func() { w.tell(name, do) })
	}
}

func (w *world) setVIP(v VIP) {
	w.vips[v.Address] = v
	w.api(func(e *Elector) {
		if current, ok := w.vips[v.Address]; ok {
			e.SetVIP(current)
		}
	})
}

func (w *world) removeVIP(a netip.Addr) {
	delete(w.vips, a)
	w.api(func(e *Elector) {
		if _, back := w.vips[a]; !back {
			e.RemoveVIP(a)
		}
	})
}

func (w *world) setScope(s Scope) {
	w.scope = s
	w.api(func(e *Elector) { e.SetScope(w.scope) })
}

// cut puts nodes on sides; nodes not named are on side 0. Those who are isolated hear nobody on the wire, and
// so know that it is they who were cut off.
func (w *world) cut(side map[string]int, isolated ...string) {
	before := w.side
	w.side, w.alone = side, isolated
	for _, a := range w.names {
		alone := slices.Contains(isolated, a)
		if alone {
			w.tell(a, func(e *Elector) { e.Isolated(w.now) })
		}
		for _, b := range w.names {
			if a == b || (before[a] == before[b]) == (side[a] == side[b]) {
				continue
			}
			most := w.notice
			if !w.hears(a, b) {
				most = min(most, 300*time.Millisecond) // who finds out tells all
			}
			w.after(most, func() {
				w.tell(a, func(e *Elector) {
					switch {
					case !w.hears(a, b) && !alone:
						e.Part(b, true, w.now)
					case w.hears(a, b):
						e.Join(b, segmentOf(b))
						for _, c := range w.claims[b] { // push and pull of everything
							w.hear(a, c)
						}
					}
				})
			})
		}
	}
}

func (w *world) hear(name string, c lb.Claim) {
	if c.Beats(w.claims[name][c.Address]) {
		w.claims[name][c.Address] = c
		w.nodes[name].Hear(c)
	}
}

func (w *world) decide(name string) {
	e := w.nodes[name]
	d := e.Decide(w.now)
	for _, c := range d.Changes {
		if c.Claimed {
			w.moves[c.Address]++
		}
		if c.Owned != (e.vips[c.Address] != nil && e.vips[c.Address].duty != nil) {
			w.t.Fatalf("%s: change %+v is not what holds", name, c)
		}
	}
	if !d.Wake.IsZero() {
		if !d.Wake.After(w.now) {
			w.t.Fatalf("%s wants to decide again at once", name)
		}
		w.at(d.Wake, func() {
			if w.nodes[name] == e {
				w.tell(name, func(*Elector) {})
			}
		})
	}
	for _, c := range d.Claims {
		if c.Beats(w.claims[name][c.Address]) {
			w.claims[name][c.Address] = c
		}
		for _, other := range w.names {
			if other != name {
				w.after(50*time.Millisecond, func() {
					if w.hears(other, name) {
						w.tell(other, func(*Elector) { w.hear(other, c) })
					}
				})
			}
		}
	}
	for _, o := range d.Offers {
		w.offers++
		w.after(20*time.Millisecond, func() {
			if w.hears(o.To, name) {
				w.tell(o.To, func(e *Elector) { e.Offered(o) })
			}
		})
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		w.step()
	}
	w.now = end
}

// settle runs until nothing is left to happen, and lets a quiet minute pass.
func (w *world) settle() {
	defer func() { w.now = w.now.Add(time.Minute) }()
	for n := 0; len(w.events) > 0; n++ {
		if n > 1_000_000 {
			w.t.Fatal("the nodes do not come to rest")
		}
		w.step()
	}
}

func (w *world) step() {
	e := heap.Pop(&w.events).(event)
	w.now = e.at
	e.do()
}

// answers returns the hardware addresses that a side hears for an address, and the nodes that say so.
func (w *world) answers(a netip.Addr, side int) (macs, names []string) {
	for _, name := range w.names {
		e := w.nodes[name]
		if e == nil || w.frozen[name] != nil || w.side[name] != side || e.vips[a] == nil || e.vips[a].duty == nil {
			continue
		}
		mac := string(macOf(name))
		if d := e.vips[a].duty; d.standsFor != "" {
			mac = d.mac
		}
		names = append(names, name)
		if !slices.Contains(macs, mac) {
			macs = append(macs, mac)
		}
	}
	return macs, names
}

// owners returns the one owner of each address, and fails if a side hears of none or of two.
func (w *world) owners() map[netip.Addr]string {
	w.t.Helper()
	owners := map[netip.Addr]string{}
	for a := range w.vips {
		for _, name := range w.names {
			e := w.nodes[name]
			if e == nil || w.frozen[name] != nil || slices.Contains(w.alone, name) {
				continue
			}
			owner := e.ownerOf(a)
			if macs, by := w.answers(a, w.side[name]); len(macs) != 1 || macs[0] != string(macOf(owner)) {
				w.t.Fatalf("%s: %s believes in %q, but %v answer", a, name, owner, by)
			}
			if w.side[name] == 0 {
				owners[a] = owner
			}
		}
	}
	return owners
}

// same fails where an address is not where it was.
func (w *world) same(before map[netip.Addr]string, what string) {
	w.t.Helper()
	for a, owner := range w.owners() {
		if before[a] != owner {
			w.t.Fatalf("%s moved from %s to %s when %s", a, before[a], owner, what)
		}
	}
}
