package layer2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
)

var segment = []lb.Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }

func service(i int) lb.Key { return lb.Key{Namespace: "default", Name: fmt.Sprint("s", i)} }

// everywhere is a scope of all the nodes named.
func everywhere(nodes ...string) Scope {
	s := Scope{Name: "all", Nodes: map[string]bool{}}
	for _, n := range nodes {
		s.Nodes[n] = true
	}
	return s
}

// one returns an elector of node a that knows nodes a, b and c on one segment.
func one() *Elector {
	e := NewElector("a")
	e.SetScope(everywhere("a", "b", "c"))
	for _, n := range []string{"a", "b", "c"} {
		e.Join(n, segment)
	}
	return e
}

func (e *Elector) ownerOf(a netip.Addr) string {
	if x := e.vips[a]; x != nil {
		return x.owner
	}
	return ""
}

func decide(e *Elector, now time.Time) ([]Change, []lb.Claim, time.Time) {
	d := e.Decide(now)
	return d.Changes, d.Claims, d.Wake
}

// ranked returns addresses whose first node by rank is the one named.
func ranked(node string, others ...string) netip.Addr {
	for i := 1; i < 250; i++ {
		first := true
		for _, o := range others {
			first = first && lb.Outranks(address(i), node, o)
		}
		if first {
			return address(i)
		}
	}
	panic("none")
}

func TestElection(t *testing.T) {
	mine, theirs := ranked("a", "b", "c"), ranked("b", "a", "c")
	at := time.Unix(0, 0)
	vip := func(a netip.Addr) VIP { return VIP{Address: a, Service: service(1), Scopes: []string{"all"}} }

	t.Run("the first by rank claims an address that nobody has", func(t *testing.T) {
		e := one()
		e.SetVIP(vip(mine))
		changes, claims, wake := decide(e, at)
		want := []Change{{Address: mine, Service: service(1), Owned: true, Interfaces: []string{"eth0"}, Claimed: true, Cause: Elected}}
		if diff := cmp.Diff(want, changes, comparers); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Node: "a", Epoch: 1}}, claims, comparers); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if !wake.IsZero() {
			t.Errorf("wants to be woken at %v", wake)
		}
	})
	t.Run("a claim counts more than rank", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		e.SetVIP(vip(mine))
		if changes, claims, _ := decide(e, at); len(changes)+len(claims) > 0 || e.ownerOf(mine) != "c" {
			t.Errorf("owner %s, changes %v, claims %v", e.ownerOf(mine), changes, claims)
		}
	})
	t.Run("after a restart a node goes on with what the others know to be its own", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: theirs, Node: "a", Epoch: 4})
		e.SetVIP(vip(theirs))
		changes, claims, _ := decide(e, at)
		if len(claims) > 0 || len(changes) != 1 || !changes[0].Owned || changes[0].Claimed {
			t.Errorf("changes %v, claims %v", changes, claims)
		}
	})
	t.Run("a lost owner is replaced, with a higher epoch", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Part("c", true, at)
		changes, claims, _ := decide(e, at)
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Node: "a", Epoch: 5, Standing: lb.Pending}}, claims, comparers); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if len(changes) != 1 || changes[0].From != "c" {
			t.Errorf("changes %+v", changes)
		}
		// for good, once the majority has held for a while
		_, claims, _ = decide(e, at.Add(confirmAfter))
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Node: "a", Epoch: 5}}, claims, comparers); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		// and keeps what it took over when the other one is back
		e.Join("c", segment)
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		if changes, claims, _ := decide(e, at); len(changes)+len(claims) > 0 {
			t.Errorf("changes %v, claims %v", changes, claims)
		}
	})
	t.Run("without a majority a takeover is provisional, and an owner that is still there does not yield", func(t *testing.T) {
		cut, rest := one(), NewElector("c")
		rest.SetScope(everywhere("a", "b", "c"))
		for _, n := range []string{"a", "b", "c"} {
			rest.Join(n, segment)
		}
		for _, e := range []*Elector{cut, rest} {
			e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
			e.SetVIP(vip(mine))
			e.Decide(at)
		}
		cut.Part("b", true, at)
		cut.Part("c", true, at)
		_, claims, _ := decide(cut, at)
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Node: "a", Epoch: 5, Standing: lb.Provisional}}, claims, comparers); diff != "" {
			t.Fatalf("claims (-want +got):\n%s", diff)
		}
		// the partition heals
		rest.Hear(claims[0])
		changes, claims, _ := decide(rest, at)
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Node: "c", Epoch: 6}}, claims, comparers); diff != "" || len(changes) > 0 {
			t.Fatalf("changes %v, claims (-want +got):\n%s", changes, diff)
		}
		cut.Join("c", segment)
		cut.Hear(claims[0])
		if changes, claims, _ := decide(cut, at); len(changes) != 1 || changes[0].Owned || len(claims) > 0 {
			t.Errorf("changes %v, claims %v", changes, claims)
		}
	})
	t.Run("an owner that was cut off yields to a claim although it does not see the claimant yet", func(t *testing.T) {
		e := one()
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Part("b", true, at)
		e.Decide(at.Add(time.Second)) // not outvoted: c has not been missed yet
		back := at.Add(2 * time.Second)
		e.Silence(back)
		e.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 2, Standing: lb.Pending})
		changes, claims, wake := decide(e, back)
		if len(changes) != 1 || changes[0].Owned || len(claims) > 0 {
			t.Fatalf("changes %v, claims %v", changes, claims)
		}
		e.Join("c", segment) // whatever else happens meanwhile
		if changes, claims, _ := decide(e, back); len(changes)+len(claims) > 0 {
			t.Fatalf("changes %v, claims %v", changes, claims)
		}
		// if the claimant is dead by now, there is an owner soon all the same
		if _, claims, _ := decide(e, wake); len(claims)+len(e.awaited) == 0 {
			t.Error("nobody owns the address")
		}
		e.Join("b", segment)
		e.Decide(wake)
	})
	t.Run("whoever is waited for in vain is passed over", func(t *testing.T) {
		e := NewElector("a")
		e.SetScope(everywhere("a", "b"))
		e.Join("a", segment)
		e.Join("b", segment)
		e.SetVIP(vip(theirs))
		changes, claims, wake := decide(e, at)
		if len(changes)+len(claims) > 0 || wake != at.Add(patience) {
			t.Fatalf("changes %v, claims %v, wake %v", changes, claims, wake)
		}
		if changes, _, _ := decide(e, wake); len(changes) != 1 || !changes[0].Owned {
			t.Errorf("changes %v", changes)
		}
	})
	t.Run("a planned move: the owner answers until the successor has claimed", func(t *testing.T) {
		e := one()
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Bar("a", "drained")
		changes, claims, _ := decide(e, at)
		if len(changes)+len(claims) > 0 || e.ownerOf(mine) == "a" {
			t.Fatalf("owner %s, changes %v, claims %v", e.ownerOf(mine), changes, claims)
		}
		e.Hear(lb.Claim{Address: mine, Node: e.ownerOf(mine), Epoch: 2})
		if changes, _, _ := decide(e, at); len(changes) != 1 || changes[0].Owned {
			t.Errorf("changes %v", changes)
		}
	})
	t.Run("nobody answers where nobody may", func(t *testing.T) {
		for name, forbid := range map[string]func(*Elector, *VIP){
			"no scope":       func(_ *Elector, v *VIP) { v.Scopes = nil },
			"another subnet": func(_ *Elector, v *VIP) { v.Address = netip.MustParseAddr("198.51.100.1") },
			"only the address itself on an interface": func(e *Elector, v *VIP) {
				for _, n := range []string{"a", "b", "c"} {
					e.Join(n, []lb.Interface{{Name: "kube-ipvs0", Prefixes: []netip.Prefix{netip.PrefixFrom(v.Address, 32)}}})
				}
			},
			"no local endpoint": func(_ *Elector, v *VIP) { v.Endpoints = map[string]bool{} },
			"no selected node":  func(e *Elector, _ *VIP) { e.SetScope(everywhere()) },
			"no such interface": func(e *Elector, _ *VIP) {
				s := everywhere("a", "b", "c")
				s.Interfaces = []string{"wlan*"}
				e.SetScope(s)
			},
			"every node is barred": func(e *Elector, _ *VIP) { e.Bar("a", "x"); e.Bar("b", "x"); e.Bar("c", "x") },
		} {
			e, v := one(), vip(mine)
			forbid(e, &v)
			e.SetVIP(v)
			if changes, claims, _ := decide(e, at); len(changes)+len(claims) > 0 || e.ownerOf(v.Address) != "" {
				t.Errorf("%s: owner %q, changes %v, claims %v", name, e.ownerOf(v.Address), changes, claims)
			}
		}
	})
	t.Run("a named interface needs no address in the subnet", func(t *testing.T) {
		e, v := one(), VIP{Address: netip.MustParseAddr("198.51.100.1"), Service: service(1), Scopes: []string{"all"}}
		s := everywhere("a")
		s.Interfaces = []string{"eth[0-9]"}
		e.SetScope(s)
		e.SetVIP(v)
		if changes, _, _ := decide(e, at); len(changes) != 1 || !slices.Equal(changes[0].Interfaces, []string{"eth0"}) {
			t.Errorf("changes %v", changes)
		}
	})
	t.Run("only nodes with endpoints own an address of a Local Service", func(t *testing.T) {
		e, v := one(), vip(mine)
		v.Endpoints = map[string]bool{"b": true}
		e.SetVIP(v)
		e.Decide(at)
		if got := e.ownerOf(mine); got != "b" {
			t.Errorf("owner %q", got)
		}
	})
	t.Run("a deleted Service's address is silent, its claim released, and it may come back", func(t *testing.T) {
		e := one()
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.RemoveVIP(mine)
		changes, claims, _ := decide(e, at)
		if len(changes) != 1 || changes[0].Owned || changes[0].Service != service(1) {
			t.Errorf("changes %v", changes)
		}
		if diff := cmp.Diff([]lb.Claim{{Address: mine, Epoch: 2, Of: service(1)}}, claims, comparers); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		e.SetVIP(VIP{Address: mine, Service: service(2), Scopes: []string{"all"}})
		if _, claims, _ := decide(e, at); len(claims) != 1 || claims[0].Epoch != 3 {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("an address that passes to another Service stays where it is", func(t *testing.T) {
		e := one()
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.RemoveVIP(mine)
		e.SetVIP(VIP{Address: mine, Service: service(2), Scopes: []string{"all"}})
		changes, claims, _ := decide(e, at)
		if len(claims) > 0 || len(changes) != 1 || !changes[0].Owned || changes[0].Claimed || changes[0].Service != service(2) {
			t.Errorf("changes %+v, claims %v", changes, claims)
		}
	})
	t.Run("two nodes whose news of the API server differ do not fight, and agree when one knows that it is blind", func(t *testing.T) {
		nodes := map[string]*Elector{}
		for _, name := range []string{"a", "b"} {
			e := NewElector(name)
			e.SetScope(everywhere("a", "b"))
			e.Join("a", segment)
			e.Join("b", segment)
			v := vip(mine)
			v.Endpoints = map[string]bool{name: true} // each believes that it alone has an endpoint
			e.SetVIP(v)
			nodes[name] = e
		}
		claims := 0
		run := func(from, seconds int) {
			for ms := range seconds * 1000 {
				now := at.Add(time.Duration(from)*time.Second + time.Duration(ms)*time.Millisecond)
				for name, other := range map[string]string{"a": "b", "b": "a"} {
					_, made, _ := decide(nodes[name], now)
					claims += len(made)
					for _, c := range made {
						nodes[other].Hear(c)
					}
				}
			}
		}
		run(0, 10)
		if claims > 12 {
			t.Errorf("%d claims in 10 s", claims)
		}
		nodes["a"].Blind(true)
		run(10, 3)
		claims = 0
		run(13, 60)
		if claims > 0 || nodes["a"].vips[mine].owns() || !nodes["b"].vips[mine].owns() {
			t.Errorf("%d claims; a answers: %v, b answers: %v", claims, nodes["a"].vips[mine].owns(), nodes["b"].vips[mine].owns())
		}
	})
	t.Run("who has not heard yet that a Service is gone does not take its address", func(t *testing.T) {
		released := lb.Claim{Address: mine, Epoch: 5, Of: service(1)}
		e := one()
		e.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 4})
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Hear(released)
		if changes, claims, wake := decide(e, at); len(changes)+len(claims) > 0 || e.ownerOf(mine) != "" || wake != at.Add(endAfter) {
			t.Fatalf("changes %v, claims %v, owner %q, wake %v", changes, claims, e.ownerOf(mine), wake)
		}
		// not even after long, while it has no news
		e.Blind(true)
		if changes, claims, _ := decide(e, at.Add(time.Hour)); len(changes)+len(claims) > 0 {
			t.Fatalf("changes %v, claims %v", changes, claims)
		}
		// but it does for the next Service
		e.SetVIP(VIP{Address: mine, Service: service(2), Scopes: []string{"all"}})
		if _, claims, _ := decide(e, at.Add(time.Hour)); len(claims) != 1 {
			t.Errorf("claims %v", claims)
		}
		// and for the same one, if it turns out to be there still
		e = one()
		e.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 4})
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Hear(released)
		_, _, wake := decide(e, at)
		if _, claims, _ := decide(e, wake); len(claims) != 1 {
			t.Errorf("claims %v", claims)
		}
		// a late word of an earlier Service's end does not concern the present one
		e = one()
		e.SetVIP(VIP{Address: mine, Service: service(2), Scopes: []string{"all"}})
		e.Hear(released)
		if _, claims, _ := decide(e, at); len(claims) != 1 || claims[0].Epoch != 6 {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("a takeover without a majority is confirmed when the majority is back", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.Part("b", true, at)
		e.Part("c", true, at)
		e.Decide(at)
		e.Join("b", segment)
		_, _, wake := decide(e, at.Add(time.Minute))
		if _, claims, _ := decide(e, wake); len(claims) != 1 || claims[0].Standing != lb.Confirmed {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("a Node that was deleted owns nothing, and does again when it is back", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		e.SetVIP(vip(mine))
		e.Decide(at)
		e.RemoveNode("c")
		if _, claims, _ := decide(e, at.Add(patience)); len(claims) != 1 {
			t.Fatalf("claims %v", claims)
		}
		e.Bar("c", "")
		e.Part("a", true, at)
		e.Part("b", true, at)
		e.Decide(at)
		if got := e.ownerOf(mine); got != "c" {
			t.Errorf("owner %q", got)
		}
	})
}

var comparers = cmp.Comparer(func(x, y netip.Addr) bool { return x == y })

// Addresses spread evenly, and losing a node moves only its own.
func TestSpread(t *testing.T) {
	w := newWorld(t, 3, 1)
	for i := range 200 {
		w.setVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
	}
	w.settle()
	counts := map[string]int{}
	before := w.owners()
	for _, owner := range before {
		counts[owner]++
	}
	for name, n := range counts {
		if n > 84 { // a quarter above 200/3, rounded up
			t.Errorf("%s owns %d of 200", name, n)
		}
	}
	t.Logf("spread: %v", counts)
	w.cut(map[string]int{"n0": 1})
	w.settle()
	for a, owner := range w.owners() {
		if before[a] != "n0" && owner != before[a] {
			t.Errorf("%s moved from %s to %s although its owner lives", a, before[a], owner)
		}
	}
}

func TestRankIsStable(t *testing.T) {
	// Speakers of two releases must agree: these values are a part of the protocol.
	got := fmt.Sprintf("%x %x", lb.Rank(address(1), "node1"), lb.Rank(netip.MustParseAddr("2001:db8::1"), "node1"))
	if want := "15a718db1fd90b5 891f57d35995e7fa"; got != want {
		t.Errorf("ranks %s, want %s", got, want)
	}
}

// Who hears of a takeover before it hears of the loss chooses the same owners for the rest as who does not,
// also where loads are at their bound.
func TestOrderOfNewsMakesNoDifference(t *testing.T) {
	at := time.Unix(0, 0)
	names := []string{"a", "b", "c", "d", "e", "lost"}
	setUp := func() *Elector {
		e := NewElector("")
		e.SetScope(everywhere(names...))
		for _, n := range names {
			e.Join(n, segment)
		}
		for i := range 90 { // the lost one has 15; the others are loaded unevenly
			owner := names[min(i%6, i%5+i%2)]
			if i < 15 {
				owner = "lost"
			}
			e.Hear(lb.Claim{Address: address(i + 1), Node: owner, Epoch: 1})
			e.SetVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
			e.Hear(lb.Claim{Address: address(i + 1), Node: owner, Epoch: 1})
		}
		e.Decide(at)
		return e
	}
	first := setUp()
	first.Part("lost", true, at)
	first.Decide(at)
	for early := range uint(1 << 10) {
		e := setUp()
		for i := range 10 {
			if a := address(i + 3); early&(1<<i) != 0 {
				e.Hear(lb.Claim{Address: a, Node: first.ownerOf(a), Epoch: 2, Standing: lb.Pending})
			}
		}
		e.Decide(at)
		e.Part("lost", true, at)
		e.Decide(at)
		if !maps.Equal(first.Owners(), e.Owners()) {
			t.Fatalf("early claims %b lead to %v instead of %v", early, e.Owners(), first.Owners())
		}
	}
}

// Speakers that hear of addresses in one order choose owners for them in one order: what an advertisement that selects
// other nodes puts in question too comes up alike for all.
func TestAnAdvertisementsEditComesUpInOneOrder(t *testing.T) {
	at := time.Unix(0, 0)
	names := []string{"a", "b", "c", "d", "e", "f"}
	var first []netip.Addr
	for range 20 {
		e := NewElector("")
		e.SetScope(everywhere(names...))
		for _, n := range names {
			e.Join(n, segment)
		}
		for i := range 24 {
			e.SetVIP(VIP{Address: address(i + 1), Service: service(i), Scopes: []string{"all"}})
			e.Hear(lb.Claim{Address: address(i + 1), Node: names[i%6], Epoch: 1})
		}
		e.Decide(at)
		e.SetScope(everywhere("f"))
		if first == nil {
			first = slices.Clone(e.queue)
		}
		if !slices.Equal(e.queue, first) || len(first) != 20 {
			t.Fatalf("comes up as %v, and as %v", first, e.queue)
		}
	}
}
