package layer2

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Two machines for outside traffic among five: they alone own, evenly; when one fails the other has it all,
// and when both do the rest have it, until somebody asks for what was.
func TestPreferredNodes(t *testing.T) {
	w := newWorld(t, 5, 1)
	s := w.scope
	s.Weights = map[string]int32{"n1": 10, "n3": 10, "n4": 1}
	w.setScope(s)
	w.run(time.Second)
	for i := range 40 {
		w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
	}
	// counts lets things settle and tells who owns how many.
	counts := func() map[string]int {
		w.settle()
		counts := map[string]int{}
		for _, owner := range w.owners() {
			counts[owner]++
		}
		return counts
	}
	expect := func(what string, want map[string]int, got map[string]int) {
		t.Helper()
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	got := counts()
	if got["n1"]+got["n3"] != 40 || max(got["n1"], got["n3"]) > 25 {
		t.Fatalf("owned: %v", got)
	}
	w.notice = 50 * time.Millisecond
	w.cut(map[string]int{"n1": 1}, "n1")
	expect("one failed", map[string]int{"n3": 40}, counts())
	w.cut(map[string]int{"n1": 1, "n3": 2}, "n1", "n3")
	expect("both failed", map[string]int{"n4": 40}, counts())
	w.tell("n1", func(e *Elector) { e.Isolated(w.now) })
	w.tell("n3", func(e *Elector) { e.Isolated(w.now) })
	w.cut(nil)
	expect("both are back", map[string]int{"n4": 40}, counts())
	clear(w.moves)
	w.api(func(e *Elector) { e.Rebalance("all", w.now) })
	expect("rebalanced", map[string]int{"n1": 20, "n3": 20}, counts())
	if w.total() != 40 {
		t.Errorf("%d moves of 40 addresses", w.total())
	}
}

func TestWeightIsTheHighestOfTheScopesThatAllow(t *testing.T) {
	e := one()
	for name, s := range map[string]Scope{
		"low":        {Weights: map[string]int32{"a": 5}},
		"high":       {Weights: map[string]int32{"a": 7}},
		"elsewhere":  {Weights: map[string]int32{"a": 90}, Interfaces: []string{"wlan0"}},
		"of another": {Weights: map[string]int32{"a": 90}, Nodes: map[string]bool{"b": true}},
	} {
		if s.Name = name; s.Nodes == nil {
			s.Nodes = map[string]bool{"a": true}
		}
		e.SetScope(s)
	}
	x := &vip{VIP: VIP{Address: address(1), Scopes: []string{"low", "high", "elsewhere", "of another", "unknown"}}}
	if w, ok := e.fit("a", e.nodes["a"], x); w != 7 || !ok {
		t.Errorf("weight %d, %v", w, ok)
	}
}

func TestOffers(t *testing.T) {
	at := time.Unix(0, 0)
	// b owns ten addresses, a none.
	setUp := func(self string) *Elector {
		e := NewElector(self)
		e.SetScope(everywhere("a", "b"))
		e.Join("a", segment)
		e.Join("b", segment)
		for i := range 10 {
			e.Hear(lb.Claim{Address: address(i + 1), Node: "b", Epoch: 3})
			e.SetVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
		}
		e.Decide(at)
		return e
	}
	offer := lb.Offer{Address: address(1), To: "a", Epoch: 3}
	t.Run("an offer that evens out is taken, with the next epoch", func(t *testing.T) {
		e := setUp("a")
		e.Offered(offer)
		d := e.Decide(at)
		if len(d.Claims) != 1 || d.Claims[0] != (lb.Claim{Address: address(1), Node: "a", Epoch: 4}) || d.Changes[0].Cause != Rebalanced || d.Changes[0].From != "b" {
			t.Errorf("%+v", d)
		}
	})
	for name, spoil := range map[string]func(*Elector, *lb.Offer){
		"of another claim":             func(_ *Elector, o *lb.Offer) { o.Epoch = 2 },
		"to another node":              func(_ *Elector, o *lb.Offer) { o.To = "b" },
		"of an unknown address":        func(_ *Elector, o *lb.Offer) { o.Address = address(99) },
		"while this node is drained":   func(e *Elector, _ *lb.Offer) { e.Bar("a", "drained") },
		"while its news are old":       func(e *Elector, _ *lb.Offer) { e.Blind(true) },
		"of an owner that may be gone": func(e *Elector, _ *lb.Offer) { e.Unheard() },
		"that would only swap roles": func(e *Elector, _ *lb.Offer) {
			for i := range 9 {
				e.Hear(lb.Claim{Address: address(i + 2), Node: "a", Epoch: 4})
			}
		},
	} {
		t.Run("an offer is left "+name, func(t *testing.T) {
			e, o := setUp("a"), offer
			spoil(e, &o)
			e.Offered(o)
			if d := e.Decide(at); len(d.Claims) > 0 {
				t.Errorf("%+v", d.Claims)
			}
		})
	}
	t.Run("one at a time, another one when it is not taken, and in the end none", func(t *testing.T) {
		e := setUp("b")
		e.Rebalance("all", at)
		d := e.Decide(at)
		if len(d.Offers) != 1 || d.Offers[0].To != "a" || len(d.Changes) > 0 || d.Wake != at.Add(offerPatience) {
			t.Fatalf("%+v", d)
		}
		first := d.Offers[0]
		if d := e.Decide(at.Add(pace)); len(d.Offers) > 0 {
			t.Fatalf("offers %+v although one is open", d.Offers)
		}
		d = e.Decide(d.Wake)
		if len(d.Offers) != 1 || d.Offers[0].Address == first.Address {
			t.Fatalf("offers %+v", d.Offers)
		}
		e.Hear(lb.Claim{Address: d.Offers[0].Address, Node: "a", Epoch: 4})
		d = e.Decide(at.Add(offerPatience + time.Millisecond))
		if len(d.Changes) != 1 || d.Changes[0].Owned || d.Changes[0].Cause != Rebalanced || len(d.Offers) > 0 {
			t.Fatalf("%+v", d)
		}
		offers := 0
		for ; !d.Wake.IsZero(); d = e.Decide(d.Wake) {
			offers += len(d.Offers)
		}
		if offers != misses {
			t.Errorf("%d offers to a node that takes none", offers)
		}
	})
	t.Run("addresses of other advertisements stay", func(t *testing.T) {
		e := setUp("b")
		e.Rebalance("other", at)
		d := e.Decide(at)
		for ; !d.Wake.IsZero(); d = e.Decide(d.Wake) {
			if len(d.Offers) > 0 {
				t.Fatalf("%+v", d.Offers)
			}
		}
	})
}
