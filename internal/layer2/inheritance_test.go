package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func inherited(a netip.Addr) VIP {
	return VIP{Address: a, Service: service(1), Scopes: []string{"all"}, Inherited: true}
}

// Who is chosen for an address that another system has asks for it first, and offers it to the node that has it.
func TestInherit(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	pair := func() (a, b *Elector) {
		a, b = one(), NewElector("b")
		b.SetScope(everywhere("a", "b", "c"))
		for _, n := range []string{"a", "b", "c"} {
			b.Join(n, segment)
		}
		return a, b
	}
	for _, tt := range []struct {
		name string
		do   func(a, b *Elector)
		take bool
	}{
		{"the node that has it takes it", func(*Elector, *Elector) {}, true},
		{"also if it owns much more than the others", func(_, b *Elector) {
			for i := range 20 {
				b.Hear(lb.Claim{Address: address(200 + i), Node: "b", Epoch: 1})
				b.SetVIP(VIP{Address: address(200 + i), Service: service(2), Scopes: []string{"all"}})
			}
		}, true},
		{"also if it sees no majority", func(_, b *Elector) { b.Part("a", true, at); b.Part("c", true, at); b.Join("a", segment) }, true},
		{"a node that may not own it does not", func(_, b *Elector) { b.Bar("b", "drained") }, false},
		{"nor one whose news may be old", func(_, b *Elector) { b.Blind(true) }, false},
		{"an offer is of no use once there is a later claim", func(_, b *Elector) { b.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 9}) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pair()
			a.SetVIP(inherited(mine))
			d := a.Decide(at)
			if len(d.Changes) != 1 || !d.Changes[0].Inherit || d.Changes[0].Probe || len(d.Claims) != 1 {
				t.Fatalf("%+v", d)
			}
			if !a.Bequeath(mine, "b") {
				t.Fatal("b may not own it, says a")
			}
			offers := a.Decide(at).Offers
			if len(offers) != 1 || offers[0].To != "b" || !offers[0].Held {
				t.Fatalf("offers %+v", offers)
			}
			b.SetVIP(inherited(mine))
			b.Hear(d.Claims[0])
			b.Decide(at)
			tt.do(a, b)
			b.Decide(at)
			b.Offered(offers[0])
			d = b.Decide(at)
			if took := len(d.Claims) == 1 && d.Claims[0].Node == "b"; took != tt.take {
				t.Fatalf("took %v: %+v", took, d)
			}
			if !tt.take {
				return
			}
			if c := d.Changes[0]; !c.Owned || c.Inherit || c.Cause != Elected || c.From != "" {
				t.Errorf("%+v", c)
			}
			a.Hear(d.Claims[0])
			if d := a.Decide(at); len(d.Changes) != 1 || d.Changes[0].Owned || len(d.Offers) > 0 {
				t.Errorf("a goes on: %+v", d)
			}
		})
	}
}

func TestInheritIsAskedOnlyOfWhatHadNoOwner(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	for name, do := range map[string]func(*Elector){
		"taken over from a node that is lost": func(e *Elector) {
			e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
			e.Part("c", true, at)
		},
		"owned before this speaker's restart": func(e *Elector) { e.Hear(lb.Claim{Address: mine, Node: "a", Epoch: 4}) },
	} {
		t.Run(name, func(t *testing.T) {
			e := one()
			do(e)
			e.SetVIP(inherited(mine))
			if d := e.Decide(at); len(d.Changes) != 1 || !d.Changes[0].Owned || d.Changes[0].Inherit {
				t.Errorf("%+v", d.Changes)
			}
		})
	}
}

// A claim says that its node does not know yet who has the address, so that whoever comes after it asks too.
func TestInheritIsAskedByWhoComesAfter(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	waiting := func(node string) lb.Claim { return lb.Claim{Address: mine, Node: node, Epoch: 1, Asking: true} }
	for _, tt := range []struct {
		name string
		do   func(*Elector)
		asks bool
	}{
		{"its own speaker, after a restart", func(e *Elector) { e.Hear(waiting("a")) }, true},
		{"another owner, when that one is lost", func(e *Elector) { e.Hear(waiting("c")); e.Part("c", true, at) }, true},
		{"another owner, when that one may own it no longer", func(e *Elector) { e.Hear(waiting("c")); e.Bar("c", "drained") }, true},
		{"not once it was answered for", func(e *Elector) {
			c := waiting("c")
			c.Asking = false
			e.Hear(c)
			e.Part("c", true, at)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := one()
			e.SetVIP(inherited(mine))
			tt.do(e)
			// A claim of one that may not own it is believed for a while.
			changes := slices.Concat(e.Decide(at).Changes, e.Decide(at.Add(2*patience)).Changes)
			if len(changes) != 1 || !changes[0].Owned || changes[0].Inherit != tt.asks {
				t.Fatalf("%+v", changes)
			}
			e.Answers(mine)
			if d := e.Decide(at.Add(3 * patience)); tt.asks && (len(d.Claims) == 0 || d.Claims[0].Asking || len(d.Changes) > 0) {
				t.Errorf("once it answers: %+v", d)
			}
			if d := e.Decide(at.Add(time.Hour)); len(d.Changes) > 0 || e.claim(mine).Standing != lb.Confirmed || e.claim(mine).Asking {
				t.Errorf("later: %+v", d)
			}
		})
	}
	t.Run("nobody stands in for it", func(t *testing.T) {
		e := one()
		e.SetVIP(inherited(mine))
		e.Hear(waiting("c"))
		e.Decide(at)
		e.Bar("b", "not here")
		e.Rest("c")
		if d := e.Decide(at); len(d.Changes) > 0 {
			t.Errorf("%+v", d.Changes)
		}
	})
}

func TestBequeath(t *testing.T) {
	e := one()
	mine := ranked("a", "b", "c")
	if e.Bequeath(mine, "b") {
		t.Error("an address that is not known")
	}
	e.SetVIP(inherited(mine))
	e.Decide(time.Unix(0, 0))
	e.Bar("b", "drained")
	if e.Bequeath(mine, "b") || e.Bequeath(mine, "nobody") {
		t.Error("to a node that may not own it")
	}
}

// What is found on the segment decides: the address is left where it is until its node's speaker takes it, nobody has
// it any more, or patience ends.
func TestEngineInherits(t *testing.T) {
	of := func(n byte) *Sighting {
		hw := net.HardwareAddr{2, 0, 0, 0, 0, n}
		return &Sighting{Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1), Kind: Conflict}
	}
	const bs, stranger = 2, 99
	for _, tt := range []struct {
		name  string
		found []byte // by one question after another: 0 is nobody
		owned bool
		asked int // questions in all
		offer int
	}{
		{"nobody has it", []byte{0}, true, 1, 0},
		{"a node with a speaker has it", []byte{bs}, false, 2, 1},
		{"it did not take it, and lets go", []byte{bs, 0}, true, 2, 1},
		{"it does not take it, however often it is offered", []byte{bs, bs, bs, bs}, true, 4, 3},
		{"a host without a speaker has it", []byte{stranger}, false, 2, 0},
		{"it lets go", []byte{stranger, stranger, 0}, true, 3, 0},
		{"its speaker starts", []byte{stranger, stranger, bs}, false, 4, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
				w := &paperWire{owned: map[netip.Addr][]string{}}
				e.Update(func(x *Elector) {
					e.responder = w
					interfaces := []lb.Interface{{Name: "eth0", HardwareAddr: of(bs).HardwareAddr, Prefixes: segment[0].Prefixes}}
					e.place("b", interfaces)
					x.Join("b", interfaces)
					x.SetVIP(inherited(ranked("a", "b")))
				})
				g.tell(e, func(g *fakeGroup) { g.joined = true })
				for i, n := range tt.found {
					if list := w.detections(); len(list) != i+1 {
						t.Fatalf("asked %d times, want %d", len(list), i+1)
					}
					if n == 0 {
						w.detections()[i](nil)
					} else {
						w.detections()[i](of(n))
					}
					time.Sleep(inheritPause)
					synctest.Wait()
				}
				if _, owned := w.owned[ranked("a", "b")]; owned != tt.owned || len(w.detections()) != tt.asked || len(g.offers) != tt.offer {
					t.Errorf("answers %v, asked %d times, offered %d times; want %v, %d, %d",
						owned, len(w.detections()), len(g.offers), tt.owned, tt.asked, tt.offer)
				}
				if c := e.Status().Conflicts; len(c) > 0 {
					t.Errorf("conflicts %v: it is no foreign host", c)
				}
			})
		})
	}
	t.Run("a host without a speaker does not let go", func(t *testing.T) {
		engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
			w := &paperWire{owned: map[netip.Addr][]string{}}
			e.Update(func(x *Elector) { e.responder, e.links = w, oneLink; x.SetVIP(inherited(address(1))) })
			g.tell(e, func(g *fakeGroup) { g.joined = true })
			began := time.Now()
			for i := 0; len(w.owned) == 0 && time.Since(began) < time.Hour; i++ {
				w.detections()[i](of(stranger))
				time.Sleep(inheritPause)
				synctest.Wait()
			}
			if waited := time.Since(began); waited < inheritPatience || waited > inheritPatience+2*inheritPause {
				t.Errorf("waited %s", waited)
			}
		})
	})
}

// asking has the engine of node a join b, and ask the segment for an inherited address for which a is the first.
func asking(e *Engine, g *fakeGroup) (mine netip.Addr, w *paperWire) {
	mine, w = ranked("a", "b"), &paperWire{owned: map[netip.Addr][]string{}}
	e.Update(func(x *Elector) {
		e.responder = w
		e.place("b", segment)
		x.Join("b", segment)
		x.SetVIP(inherited(mine))
	})
	g.tell(e, func(g *fakeGroup) { g.joined = true })
	return mine, w
}

// The claim of the node that took the address may come together with what the segment says: nothing is announced then.
func TestEngineHearsTheClaimWithTheSighting(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		mine, w := asking(e, g)
		e.post(func(time.Time) {
			w.detections()[0](nil) // both are taken in with the next look
			e.Update(func(x *Elector) { x.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 2}) })
		})
		synctest.Wait()
		if len(w.owned) > 0 || w.announced > 0 {
			t.Errorf("answers for %v, announced %d times", w.owned, w.announced)
		}
	})
}

// A claim that comes with the answer, and that this node contests, leaves the address with it: it goes on asking.
func TestEngineAsksOnAfterAContestedClaim(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		mine, w := asking(e, g)
		e.post(func(time.Time) {
			w.detections()[0](nil)
			e.Update(func(x *Elector) { x.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 2, Standing: lb.Provisional}) })
		})
		time.Sleep(inheritPause)
		synctest.Wait()
		if len(w.detections()) != 2 {
			t.Fatalf("asked %d times; who owns it: %q", len(w.detections()), e.elector.owner(mine))
		}
		w.detections()[1](nil)
		synctest.Wait()
		if len(w.owned) != 1 {
			t.Error("is never answered for")
		}
	})
}
