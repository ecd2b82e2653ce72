package layer2

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// paperWire takes note of what an engine wants of the segment. A test says what detections find.
type paperWire struct {
	mu        sync.Mutex
	owned     map[netip.Addr][]string
	announced int
	detected  []func(*Sighting)
}

func (w *paperWire) SetLinks([]Link) []netip.Addr { return nil }
func (w *paperWire) Own(a netip.Addr, interfaces []string, _ net.HardwareAddr) {
	w.owned[a] = interfaces
}
func (w *paperWire) Disown(a netip.Addr)        { delete(w.owned, a) }
func (w *paperWire) Announce(netip.Addr)        { w.announced++ }
func (w *paperWire) Renew(time.Time)            {}
func (w *paperWire) Probe(Target) error         { return nil }
func (w *paperWire) Broadcast([]string, []byte) {}
func (w *paperWire) Close()                     {}
func (w *paperWire) Detect(_ netip.Addr, _ []string, _ bool, done func(*Sighting)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detected = append(w.detected, done)
}

// detections are what the segment was asked so far: each is told what was found.
func (w *paperWire) detections() []func(*Sighting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.detected)
}

func oneLink() ([]Link, error) { return []Link{{Interface: segment[0], Index: 1}}, nil }

func TestEngineDetects(t *testing.T) {
	mac := func(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }
	of := func(hw net.HardwareAddr) *Sighting {
		return &Sighting{Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1), Kind: Conflict}
	}
	tests := []struct {
		name     string
		do       func(e *Engine, w *paperWire)
		owned    bool
		conflict bool
	}{
		{"nothing is answered for while the segment is asked", func(*Engine, *paperWire) {}, false, false},
		{"an address that nobody has is taken", func(_ *Engine, w *paperWire) { w.detections()[0](nil) }, true, false},
		{"one that a foreign host has is not", func(_ *Engine, w *paperWire) { w.detections()[0](of(mac(99))) }, false, true},
		{"another speaker that asks for it at the same time is no foreign host", func(_ *Engine, w *paperWire) { w.detections()[0](of(mac(2))) }, true, false},
		{"a change meanwhile does not end the detection early", func(e *Engine, w *paperWire) {
			e.apply([]Change{{Address: address(1), Service: service(1), Owned: true, Interfaces: []string{"eth1"}}}, time.Now())
		}, false, false},
		{"what was detected for other interfaces is no longer of use", func(e *Engine, w *paperWire) {
			e.apply([]Change{{Address: address(1), Service: service(1), Owned: true, Interfaces: []string{"eth1"}}}, time.Now())
			w.detections()[0](nil)
		}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
				w := &paperWire{owned: map[netip.Addr][]string{}}
				e.Update(func(*Elector) {
					e.responder = w
					e.place("b", []lb.Interface{{Name: "eth0", HardwareAddr: mac(2), Prefixes: segment[0].Prefixes}})
				})
				e.Update(func(e *Elector) {
					e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}, Probe: true})
				})
				g.tell(e, func(g *fakeGroup) { g.joined = true })
				if len(w.detections()) != 1 {
					t.Fatalf("%d detections", len(w.detections()))
				}
				e.post(func(time.Time) { tt.do(e, w) })
				synctest.Wait()
				if _, owned := w.owned[address(1)]; owned != tt.owned {
					t.Errorf("answers: %v", owned)
				}
				if n := len(e.Status().Conflicts); (n > 0) != tt.conflict {
					t.Errorf("%d conflicts", n)
				}
			})
		})
	}
}

// Who asks whether an address is free, and is told that it is not, is no conflict yet.
func TestEngineWanted(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		w := &paperWire{owned: map[netip.Addr][]string{}}
		e.Update(func(*Elector) { e.responder = w })
		setVIP(e, address(1))
		g.tell(e, func(g *fakeGroup) { g.joined = true })
		hw := net.HardwareAddr{2, 0, 0, 0, 0, 99}
		e.sighted(Sighting{At: time.Now(), Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1), Kind: Wanted})
		synctest.Wait()
		if n := len(e.Status().Conflicts); n != 0 {
			t.Errorf("%d conflicts", n)
		}
		e.sighted(Sighting{At: time.Now(), Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1), Kind: Conflict})
		synctest.Wait()
		if n := len(e.Status().Conflicts); n != 1 {
			t.Errorf("%d conflicts of a host that uses the address", n)
		}
	})
}

// An address that a foreign host had is tried again once the host was not seen for long.
func TestEngineTriesAgain(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		w := &paperWire{owned: map[netip.Addr][]string{}}
		e.Update(func(*Elector) { e.responder, e.links = w, oneLink })
		e.Update(func(e *Elector) {
			e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}, Probe: true})
		})
		g.tell(e, func(g *fakeGroup) { g.joined = true })
		hw := net.HardwareAddr{2, 0, 0, 0, 0, 99}
		w.detections()[0](&Sighting{Interface: "eth0", HardwareAddr: hw, Source: hw, Address: address(1), Kind: Conflict})
		time.Sleep(conflictMemory - time.Minute)
		synctest.Wait()
		if len(w.detections()) != 1 {
			t.Fatalf("%d detections", len(w.detections()))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(w.detections()) != 2 {
			t.Fatalf("%d detections after the host is gone", len(w.detections()))
		}
		w.detections()[1](nil)
		synctest.Wait()
		if len(w.owned) != 1 || len(e.Status().Conflicts) != 0 {
			t.Errorf("owned %v, conflicts %v", w.owned, e.Status().Conflicts)
		}
	})
}

// What is known of nodes that are gone for good does not grow for ever.
func TestEngineForgetsNodes(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		e.Update(func(*Elector) { e.responder, e.links = &paperWire{owned: map[netip.Addr][]string{}}, oneLink })
		g.tell(e, func(g *fakeGroup) { g.joined = true })
		for i := range 1000 {
			name := fmt.Sprint("autoscaled-", i)
			g.tell(e, func(g *fakeGroup) {
				g.news.Joined = []lb.NodeState{{Node: name, Version: 1, Interfaces: []lb.Interface{{
					Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 1, byte(i >> 8), byte(i)}, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")},
				}}}}
			})
			g.tell(e, func(g *fakeGroup) { g.news.Lost = []string{name} })
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n, m := len(e.peers), len(e.byHardwareAddr); n > 100 || m > 100 {
			t.Errorf("remembers %d nodes and %d hardware addresses", n, m)
		}
	})
}

// That a node's kernel speaks, of whatever address, does not show that its speaker is there.
func TestEngineTellsSpeakersFromKernels(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		setVIP(e, address(1))
		e.Update(func(*Elector) { e.status.Links, _ = oneLink() })
		hw := net.HardwareAddr{2, 0, 0, 0, 0, 2}
		g.tell(e, func(g *fakeGroup) {
			g.joined = true
			g.news.Joined = []lb.NodeState{{Node: "b", Version: 1, Interfaces: []lb.Interface{{Name: "eth0", HardwareAddr: hw, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.12/24")}}}}}
			g.news.Claims = []lb.Claim{{Address: address(1), Node: "b", Epoch: 3}}
		})
		for _, tt := range []struct {
			address  netip.Addr
			attested bool
		}{
			{netip.MustParseAddr("fe80::2"), false},
			{netip.MustParseAddr("169.254.1.1"), false},
			{address(7), false},
			{address(1), true},
		} {
			e.Update(func(*Elector) {
				e.asking["eth0"] = true
				e.answered(Sighting{At: time.Now(), Interface: "eth0", HardwareAddr: hw, Source: hw, Address: tt.address, Kind: Answer})
			})
			synctest.Wait()
			if got := !e.health.peers["b"].attested.IsZero(); got != tt.attested {
				t.Errorf("%s: attested is %v", tt.address, got)
			}
		}
	})
}

// Who looks late at the end of a node's grace leaves its speaker time to answer all the same.
func TestHealthQueriesAtItsPace(t *testing.T) {
	h, now := NewHealth(15*time.Second), time.Unix(0, 0)
	h.Serves("n1", 1)
	h.Askable("n1", true)
	h.Leaves("n1", now)
	now = now.Add(20 * time.Second)
	h.Answered("n1", now)
	var queries, gone []string
	for range 5 {
		f := h.Decide(now, 5*time.Second)
		queries, gone = append(queries, f.Query...), append(gone, f.Gone...)
		now = now.Add(time.Millisecond)
	}
	if !slices.Equal(queries, []string{"n1"}) || len(gone) > 0 {
		t.Errorf("asked %v, given up %v within 5 ms", queries, gone)
	}
}
