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

// world runs the electors of several nodes against each other in virtual time: gossip takes a while and
// loses its order, the API's news reaches the nodes at different times, partitions come and go.
type world struct {
	t     testing.TB
	rand  *rand.Rand
	now   time.Time
	nodes map[string]*Elector
	names []string
	side  map[string]int // of a partition; equal sides hear each other
	// claims are what each node's gossip knows.
	claims map[string]map[netip.Addr]lb.Claim
	vips   map[netip.Addr]VIP
	events timeline
	moves  int
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
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0), nodes: map[string]*Elector{},
		side: map[string]int{}, claims: map[string]map[netip.Addr]lb.Claim{}, vips: map[netip.Addr]VIP{},
	}
	for i := range nodes {
		w.names = append(w.names, fmt.Sprint("n", i))
	}
	for _, name := range w.names {
		w.start(name)
	}
	return w
}

// start begins a node's speaker, as after a crash: it remembers nothing and hears what the others know.
func (w *world) start(name string) {
	e := NewElector(name)
	e.SetScope(everywhere(w.names...))
	w.nodes[name] = e
	w.claims[name] = map[netip.Addr]lb.Claim{}
	for _, other := range w.names {
		if other == name || (w.nodes[other] != nil && w.side[other] == w.side[name]) {
			e.Join(other, segment)
		}
	}
	for _, other := range w.names {
		if other != name && w.nodes[other] != nil && w.side[other] == w.side[name] {
			for _, c := range w.claims[other] {
				w.hear(name, c)
			}
			w.nodes[other].Join(name, segment)
		}
	}
	for _, v := range w.vips {
		e.SetVIP(v)
	}
	w.decide(name)
}

func (w *world) after(most time.Duration, do func()) {
	heap.Push(&w.events, event{w.now.Add(time.Duration(w.rand.Int64N(int64(most)))), do})
}

func (w *world) setVIP(v VIP) {
	w.vips[v.Address] = v
	for _, name := range w.names {
		w.after(20*time.Millisecond, func() {
			if current, ok := w.vips[v.Address]; ok {
				w.nodes[name].SetVIP(current)
				w.decide(name)
			}
		})
	}
}

func (w *world) removeVIP(a netip.Addr) {
	delete(w.vips, a)
	for _, name := range w.names {
		w.after(20*time.Millisecond, func() {
			if _, back := w.vips[a]; !back {
				w.nodes[name].RemoveVIP(a)
				w.decide(name)
			}
		})
	}
}

// cut puts nodes on sides; nodes not named are on side 0.
func (w *world) cut(side map[string]int) {
	before := w.side
	w.side = side
	for _, a := range w.names {
		for _, b := range w.names {
			if a == b || (before[a] == before[b]) == (side[a] == side[b]) {
				continue
			}
			w.after(time.Second, func() {
				if w.side[a] != w.side[b] {
					w.nodes[a].Part(b, true)
				} else {
					w.nodes[a].Join(b, segment)
					for _, c := range w.claims[b] { // push and pull of everything
						w.hear(a, c)
					}
				}
				w.decide(a)
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
	changes, claims, wake := w.nodes[name].Decide(w.now)
	for _, c := range changes {
		if c.Owned {
			w.moves++
		}
	}
	if !wake.IsZero() {
		e := w.nodes[name]
		heap.Push(&w.events, event{wake, func() {
			if w.nodes[name] == e {
				w.decide(name)
			}
		}})
	}
	for _, c := range claims {
		if c.Beats(w.claims[name][c.Address]) {
			w.claims[name][c.Address] = c
		}
		for _, other := range w.names {
			if other == name {
				continue
			}
			w.after(50*time.Millisecond, func() {
				if w.side[other] == w.side[name] {
					w.hear(other, c)
					w.decide(other)
				}
			})
		}
	}
}

// settle runs until nothing is left to happen, and lets a quiet minute pass.
func (w *world) settle() {
	defer func() { w.now = w.now.Add(time.Minute) }()
	for n := 0; len(w.events) > 0; n++ {
		if n > 1_000_000 {
			w.t.Fatal("the nodes do not come to rest")
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
}

// answering returns which nodes answer for an address.
func (w *world) answering(a netip.Addr) (names []string) {
	for _, name := range w.names {
		if x := w.nodes[name].vips[a]; x != nil && x.answering {
			names = append(names, name)
		}
	}
	return names
}

// owners returns the one owner of each address, and fails if there are none or two on one side.
func (w *world) owners() map[netip.Addr]string {
	owners := map[netip.Addr]string{}
	for a := range w.vips {
		bySide := map[int][]string{}
		for _, name := range w.answering(a) {
			bySide[w.side[name]] = append(bySide[w.side[name]], name)
		}
		for _, name := range w.names {
			if got := bySide[w.side[name]]; len(got) != 1 {
				w.t.Fatalf("%s: %v answer on the side of %s", a, got, name)
			}
			if says := w.nodes[name].ownerOf(a); says != bySide[w.side[name]][0] {
				w.t.Fatalf("%s: %s believes in %s, but %v answers", a, name, says, bySide[w.side[name]])
			}
		}
		owners[a] = bySide[0][0]
	}
	return owners
}

// Whatever happens: once things have come to rest, exactly one node of those that hear each other answers
// for each address, all agree on it, and no address has moved whose owner was there all the time.
func TestElectionConverges(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, 2+r.IntN(6), seed)
			for i := range 20 {
				w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
			}
			w.settle()
			for range 12 {
				before := w.owners()
				switch victim := w.names[r.IntN(len(w.names))]; r.IntN(5) {
				case 0: // one node is cut off and comes back
					w.cut(map[string]int{victim: 1})
					w.settle()
					during := w.owners()
					w.cut(nil)
					w.settle()
					now := w.owners()
					for a, owner := range before {
						lost := owner == victim
						if victim != "n0" && !lost && during[a] != owner {
							t.Fatalf("%s moved from %s to %s when %s was cut off", a, owner, during[a], victim)
						}
						// A majority's takeover stays, a minority's is undone: nobody moves back and forth.
						if len(w.names) > 2 && lost && now[a] == victim {
							t.Fatalf("%s went back to %s, which had been cut off", a, victim)
						}
						if len(w.names) > 2 && !lost && now[a] != owner {
							t.Fatalf("%s moved from %s to %s when %s was back", a, owner, now[a], victim)
						}
					}
				case 1: // a partition anyhow
					side := map[string]int{}
					for _, n := range w.names {
						side[n] = r.IntN(3)
					}
					side["n0"] = 0
					w.cut(side)
					w.settle()
					w.owners()
					w.cut(nil)
				case 2: // a speaker crashes and starts anew, within the time of anybody's noticing
					w.start(victim)
				case 3: // Services come and go
					for range 5 {
						i := r.IntN(30)
						if _, there := w.vips[address(i+1)]; there && len(w.vips) > 5 {
							w.removeVIP(address(i + 1))
						} else {
							w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
						}
					}
				case 4: // a node is barred and admitted again
					for _, n := range w.names {
						w.nodes[n].Bar(victim, "excluded")
						w.decide(n)
					}
					w.settle()
					for a := range w.vips {
						if got := w.answering(a); slices.Contains(got, victim) && len(w.names) > 1 {
							t.Fatalf("%v answer for %s although %s is barred", got, a, victim)
						}
					}
					for _, n := range w.names {
						w.nodes[n].Bar(victim, "")
						w.decide(n)
					}
				}
				w.settle()
				w.owners()
			}
		})
	}
}
