package layer2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// Whatever happens: once things have come to rest, exactly one hardware address is heard for each address by
// those who hear each other, all agree on the owner, and no address has moved whose owner was there all the
// time.
func TestElectionConverges(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, 2+r.IntN(6), seed)
			for i := range 20 {
				w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
			}
			w.settle()
			for range 12 {
				disturb(t, w, r)
				w.settle()
				w.owners()
			}
		})
	}
}

// disturb does one thing to a world at rest.
func disturb(t *testing.T, w *world, r *rand.Rand) {
	before := w.owners()
	victim, what := w.names[r.IntN(len(w.names))], r.IntN(11)
	t.Log("disturbance", what, "of", victim, "among", len(w.names))
	switch what {
	case 0, 1: // one node is cut off and comes back
		var isolated []string
		if r.IntN(2) == 0 {
			isolated = []string{victim}
		}
		w.cut(map[string]int{victim: 1}, isolated...)
		w.settle()
		w.owners()
		during := map[netip.Addr]string{}
		for a := range before {
			for _, n := range w.names {
				if n != victim {
					during[a] = w.nodes[n].ownerOf(a)
				}
			}
		}
		if isolated != nil {
			w.tell(victim, func(e *Elector) { e.Isolated(w.now) })
		}
		w.cut(nil)
		w.settle()
		now := w.owners()
		for a, owner := range before {
			lost := owner == victim
			if !lost && during[a] != owner {
				t.Fatalf("%s moved from %s to %s when %s was cut off", a, owner, during[a], victim)
			}
			// A takeover stays if a majority made it, or one that knows that it was not cut off; else it is undone:
			// nobody moves back and forth.
			known := len(w.names) > 2 || isolated != nil
			if known && lost && now[a] != during[a] {
				t.Fatalf("%s went on from %s to %s when %s was back", a, during[a], now[a], victim)
			}
			if known && !lost && now[a] != owner {
				t.Fatalf("%s moved from %s to %s when %s was back", a, owner, now[a], victim)
			}
		}
	case 2: // a partition anyhow
		side := map[string]int{}
		for _, n := range w.names {
			side[n] = r.IntN(3)
		}
		side["n0"] = 0
		w.cut(side)
		w.settle()
		w.owners()
		w.cut(nil)
	case 3: // a speaker crashes and starts anew, within the time of anybody's noticing
		w.start(victim)
		w.same(before, "a speaker crashed")
	case 4: // Services come and go
		for range 5 {
			i := r.IntN(30)
			if _, there := w.vips[address(i+1)]; there && len(w.vips) > 5 {
				w.removeVIP(address(i + 1))
			} else {
				w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
			}
		}
	case 5: // a node is barred and admitted again
		w.bar(victim)
		w.api(func(e *Elector) { e.Bar(victim, "") })
	case 6: // a speaker restarts within the grace, and others with it
		resting := w.names[:1+r.IntN(len(w.names)-1)]
		for _, n := range resting {
			w.rest(n)
		}
		w.settle()
		w.same(before, "speakers rested")
		for _, n := range resting {
			w.after(time.Second, func() { w.start(n) })
		}
		w.settle()
		w.same(before, "speakers returned")
	case 7: // a speaker does not return within the grace, or its node is drained or lost meanwhile
		w.rest(victim)
		w.settle()
		w.same(before, "a speaker rested")
		end := r.IntN(3)
		if end == 0 {
			w.bar(victim)
			w.start(victim)
			w.settle()
			w.api(func(e *Elector) { e.Bar(victim, "") })
			break
		}
		w.others(victim, func(e *Elector) { e.Part(victim, end == 1, w.now) })
		w.settle()
		for a, owner := range w.owners() {
			if owner == victim || (before[a] != victim && owner != before[a]) {
				t.Fatalf("%s moved from %s to %s when %s was gone", a, before[a], owner, victim)
			}
		}
		w.start(victim)
	case 8: // a speaker is stopped past the grace and wakes, the node is a zombie
		w.frozen[victim] = []func(){}
		w.others(victim, func(e *Elector) { e.Rest(victim) })
		w.settle()
		w.same(before, "a speaker was stopped")
		w.others(victim, func(e *Elector) { e.Part(victim, false, w.now) })
		w.settle()
		during := w.owners()
		w.thaw(victim)
		w.settle()
		w.same(during, "a zombie woke")
	case 9: // preferences change, which moves nothing
		s := w.scope
		s.Weights = map[string]int32{}
		for _, n := range w.names {
			s.Weights[n] = []int32{0, 0, 10, 50}[r.IntN(4)]
		}
		w.setScope(s)
		w.settle()
		w.same(before, "preferences changed")
	case 10: // until somebody asks for it
		w.api(func(e *Elector) { e.Rebalance("all", w.now) })
		moves, offers := w.total(), w.offers
		w.settle()
		now := w.owners()
		w.even(now)
		moved := 0
		for a := range now {
			if before[a] != now[a] {
				moved++
			}
		}
		if w.total()-moves > moved+len(w.names) { // many may give at once what only one had to
			t.Fatalf("%d moves although %d addresses are at another place", w.total()-moves, moved)
		}
		w.api(func(e *Elector) { e.Rebalance("all", w.now) })
		moves, offers = w.total(), w.offers
		w.settle()
		if w.total() != moves || w.offers != offers {
			t.Fatalf("%d moves, %d offers when all is even", w.total()-moves, w.offers-offers)
		}
	}
}

// A cable that fails and returns ten times in five minutes moves an address at most twice, also where the two
// ends of it are all that there is.
func TestFlappingNode(t *testing.T) {
	for _, nodes := range []int{2, 3, 5, 10} {
		t.Run(fmt.Sprint("nodes=", nodes), func(t *testing.T) {
			for seed := range uint64(20) {
				w := newWorld(t, nodes, seed)
				for i := range 20 {
					w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
				}
				w.settle()
				before := w.owners()
				clear(w.moves)
				victim := w.names[1]
				for range 10 {
					w.cut(map[string]int{victim: 1}, victim)
					w.run(2*time.Second + time.Duration(w.rand.Int64N(int64(10*time.Second))))
					w.owners() // never nobody
					w.tell(victim, func(e *Elector) { e.Isolated(w.now); e.Penalize(victim, w.now) })
					w.cut(nil)
					w.run(15 * time.Second)
					w.owners()
				}
				for a, owner := range before {
					if n := w.moves[a]; n > 2 || (owner != victim && n > 0) {
						t.Errorf("seed %d: %s, which was %s's, changed its owner %d times", seed, a, owner, n)
					}
				}
				// What comes up now goes to the others.
				for _, name := range w.names {
					if d := w.nodes[name].Damped(w.now); len(d) != 1 || d[0].Node != victim {
						t.Errorf("seed %d: %s has suppressed %v", seed, name, d)
					}
				}
				for i := range 20 {
					w.setVIP(VIP{Address: address(i + 101), Service: service(i), Scopes: []string{"all"}})
				}
				w.run(10 * time.Second)
				for a, owner := range w.owners() {
					if owner == victim {
						t.Errorf("seed %d: %s went to the node that flaps", seed, a)
					}
				}
			}
		})
	}
}

// bar bars a node and sees that it ends owning.
func (w *world) bar(name string) {
	w.api(func(e *Elector) { e.Bar(name, "excluded") })
	w.settle()
	for a, owner := range w.owners() {
		if owner == name {
			w.t.Fatalf("%s owns %s although it is barred", name, a)
		}
	}
}

// even fails if an owner is not of the highest weight, or owns two addresses more than another one of it.
func (w *world) even(owners map[netip.Addr]string) {
	w.t.Helper()
	counts, top := map[string]int{}, int32(0)
	for _, n := range w.names {
		top = max(top, w.scope.Weights[n])
	}
	for _, n := range w.names {
		if w.scope.Weights[n] == top {
			counts[n] = 0
		}
	}
	for a, owner := range owners {
		if _, ok := counts[owner]; !ok {
			w.t.Fatalf("%s is with %s, which is not preferred", a, owner)
		}
		counts[owner]++
	}
	least, most := len(owners), 0
	for _, n := range counts {
		least, most = min(least, n), max(most, n)
	}
	if most-least > 1 {
		w.t.Fatalf("not even: %v", counts)
	}
}

func (w *world) total() (n int) {
	for _, moves := range w.moves {
		n += moves
	}
	return n
}
