package layer2

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
)

// resting returns an elector of node a, on a segment with b and c, that knows an address of c's.
func resting(a netip.Addr) *Elector {
	e := NewElector("a")
	e.SetScope(everywhere("a", "b", "c"))
	for _, n := range []string{"a", "b", "c"} {
		e.Join(n, segmentOf("n"+n))
	}
	e.Hear(lb.Claim{Address: a, Node: "c", Epoch: 4})
	e.SetVIP(VIP{Address: a, Service: service(1), Scopes: []string{"all"}})
	e.Decide(time.Unix(0, 0))
	return e
}

func TestRest(t *testing.T) {
	at := time.Unix(0, 0)
	mine, theirs := ranked("a", "b", "c"), ranked("b", "a", "c")
	stand := Change{Address: mine, Service: service(1), Owned: true, Interfaces: []string{"eth0"}, For: "c", HardwareAddr: macOf("nc")}
	// step decides, and compares with what is to change and to be claimed.
	step := func(t *testing.T, e *Elector, changes []Change, claims []lb.Claim) {
		t.Helper()
		d := e.Decide(at)
		if diff := cmp.Diff(changes, d.Changes, comparers); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(claims, d.Claims, comparers); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
	t.Run("the first by rank answers with the hardware address of an owner whose speaker rests, and claims nothing", func(t *testing.T) {
		e := resting(mine)
		e.Rest("c")
		step(t, e, []Change{stand}, nil)
		if e.ownerOf(mine) != "c" {
			t.Errorf("owner %s", e.ownerOf(mine))
		}
		e.Join("c", segmentOf("nc"))
		step(t, e, []Change{{Address: mine, Service: service(1)}}, nil)
	})
	t.Run("the others are silent", func(t *testing.T) {
		e := resting(theirs)
		e.Rest("c")
		step(t, e, nil, nil)
	})
	t.Run("another stands in when the first is lost, and ceases when it is back", func(t *testing.T) {
		e := resting(theirs)
		e.Rest("c")
		e.Decide(at)
		e.Part("b", true, at)
		want := stand
		want.Address = theirs
		step(t, e, []Change{want}, nil)
		e.Join("b", segmentOf("nb"))
		step(t, e, []Change{{Address: theirs, Service: service(1)}}, nil)
	})
	t.Run("past the grace it is a takeover", func(t *testing.T) {
		e := resting(mine)
		e.Rest("c")
		e.Decide(at)
		e.Part("c", false, at)
		step(t, e, []Change{{
			Address: mine, Service: service(1), Owned: true, Interfaces: []string{"eth0"}, Claimed: true, From: "c", Cause: Left,
		}}, []lb.Claim{{Address: mine, Node: "a", Epoch: 5}})
	})
	t.Run("nobody stands in for a node that is lost", func(t *testing.T) {
		e := resting(mine)
		// a stands in, but it is loaded: another one is chosen as the owner
		e.Rest("c")
		e.Decide(at)
		for i := range 12 {
			e.Hear(lb.Claim{Address: address(200 + i), Node: "a", Epoch: 1})
			e.SetVIP(VIP{Address: address(200 + i), Service: service(i), Scopes: []string{"all"}})
		}
		e.Decide(at)
		e.Part("c", true, at)
		step(t, e, []Change{{Address: mine, Service: service(1)}}, nil)
		if e.ownerOf(mine) != "b" {
			t.Errorf("owner %s", e.ownerOf(mine))
		}
	})
	t.Run("a resting owner that is drained loses the address; until then it is stood in for", func(t *testing.T) {
		e := resting(mine)
		e.Rest("c")
		e.Decide(at)
		e.Bar("c", "drained")
		step(t, e, []Change{{
			Address: mine, Service: service(1), Owned: true, Interfaces: []string{"eth0"}, Claimed: true, From: "c", Cause: Moved,
		}}, []lb.Claim{{Address: mine, Node: "a", Epoch: 5}})
	})
	t.Run("a resting node takes nothing, also what it was just awaited for", func(t *testing.T) {
		e := resting(mine)
		c := ranked("c", "a", "b")
		e.SetVIP(VIP{Address: c, Service: service(2), Scopes: []string{"all"}})
		e.Decide(at)
		e.Rest("c")
		e.Decide(at)
		if got := e.ownerOf(c); got == "c" || got == "" {
			t.Errorf("owner %q", got)
		}
	})
	t.Run("a lost node whose kernel is back first has what nobody took over", func(t *testing.T) {
		e := resting(theirs)
		e.Part("c", true, at)
		e.Decide(at)
		if got := e.ownerOf(theirs); got != "b" {
			t.Fatalf("owner %q", got)
		}
		e.Rest("c")
		e.Decide(at)
		if got := e.ownerOf(theirs); got != "c" {
			t.Errorf("owner %q although b has not claimed", got)
		}
		e.Hear(lb.Claim{Address: theirs, Node: "b", Epoch: 5, Standing: lb.Pending})
		e.Decide(at)
		if got := e.ownerOf(theirs); got != "b" {
			t.Errorf("owner %q", got)
		}
	})
	t.Run("a speaker that has never seen the resting node believes its claim", func(t *testing.T) {
		e := NewElector("a")
		e.SetScope(everywhere("a", "c"))
		e.Join("a", segmentOf("na"))
		e.Rest("c")
		e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
		e.SetVIP(VIP{Address: mine, Service: service(1), Scopes: []string{"all"}})
		step(t, e, nil, nil)
		if got := e.ownerOf(mine); got != "c" {
			t.Errorf("owner %q", got)
		}
	})
	t.Run("a resting node makes no majority and no minority", func(t *testing.T) {
		e := resting(mine)
		e.Rest("c")
		e.Rest("b")
		e.Decide(at)
		if e.outvoted {
			t.Error("outvoted by nodes that rest")
		}
		e.Part("b", true, at)
		if e.Decide(at); !e.outvoted {
			t.Error("one of two is no majority")
		}
	})
	t.Run("this node itself does not rest", func(t *testing.T) {
		e := resting(mine)
		e.Rest("a")
		if !e.nodes["a"].alive {
			t.Error("it does")
		}
	})
	t.Run("a Service's end ends standing in", func(t *testing.T) {
		e := resting(mine)
		e.Rest("c")
		e.Decide(at)
		e.RemoveVIP(mine)
		step(t, e, []Change{{Address: mine, Service: service(1)}}, nil)
	})
	t.Run("the owner that returns goes on", func(t *testing.T) {
		e := one()
		e.Hear(lb.Claim{Address: theirs, Node: "a", Epoch: 4})
		e.SetVIP(VIP{Address: theirs, Service: service(1), Scopes: []string{"all"}, Probe: true})
		step(t, e, []Change{{Address: theirs, Service: service(1), Owned: true, Interfaces: []string{"eth0"}, Cause: Resumed}}, nil)
	})
	t.Run("an event on other nodes does not touch the addresses of who is there", func(t *testing.T) {
		e := resting(mine)
		e.Part("b", true, at)
		e.Join("b", segmentOf("nb"))
		if len(e.queue) > 0 {
			t.Errorf("decides %v again", e.queue)
		}
	})
}

// Who stands in tells on each segment the hardware address that the owner has there, or nothing.
func TestStandInOnSeveralSegments(t *testing.T) {
	on := func(name string, mac byte, subnets ...string) lb.Interface {
		i := lb.Interface{Name: name}
		if mac > 0 {
			i.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, 0, mac}
		}
		for _, s := range subnets {
			i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(s))
		}
		return i
	}
	mine := []lb.Interface{on("eth0", 10, "192.0.2.11/24"), on("eth1", 11, "198.51.100.11/24")}
	unnumbered := []lb.Interface{on("eth0", 10), on("eth1", 11)}
	const first, second, elsewhere = "192.0.2.200", "198.51.100.200", "203.0.113.200"
	for name, tt := range map[string]struct {
		vip         string
		mine, owner []lb.Interface
		want        []string
		as          byte
	}{
		"not on a segment where the owner has another one": {
			first, mine, []lb.Interface{on("eth0", 30, "192.0.2.13/24"), on("eth1", 31, "198.51.100.13/24")}, []string{"eth0"}, 30},
		"first of all on the segment of the address's subnet": {
			second, mine, []lb.Interface{on("eth0", 30, "192.0.2.13/24"), on("eth1", 31, "198.51.100.13/24")}, []string{"eth1"}, 31},
		"on all where it is the same, as of VLANs on one card": {
			first, mine, []lb.Interface{on("eth0", 30, "192.0.2.13/24"), on("eth1", 30, "198.51.100.13/24")}, []string{"eth0", "eth1"}, 30},
		"by subnet, whatever the names": {
			first, mine, []lb.Interface{on("eth1", 30, "192.0.2.13/24"), on("eth0", 31, "198.51.100.13/24")}, []string{"eth0"}, 30},
		"by subnet, though one of the two takes it to be larger": {
			first, mine, []lb.Interface{on("lan", 30, "192.0.2.13/23")}, []string{"eth0"}, 30},
		"not on a segment where the owner is not": {
			first, mine, []lb.Interface{on("eth0", 30, "192.0.2.13/24")}, []string{"eth0"}, 30},
		"not on one where the owner's is not known": {
			first, mine, []lb.Interface{on("eth0", 0, "192.0.2.13/24"), on("eth1", 31, "198.51.100.13/24")}, []string{"eth1"}, 31},
		"by name where there are no subnets": {
			elsewhere, unnumbered, []lb.Interface{on("eth1", 31), on("eth0", 30)}, []string{"eth0"}, 30},
		"not by the name of one that is on another segment": {
			first, mine, []lb.Interface{on("eth1", 30, "192.0.2.13/24")}, []string{"eth0"}, 30},
		"whatever its name where each has one": {
			elsewhere, unnumbered[:1], []lb.Interface{on("ens3", 30)}, []string{"eth0"}, 30},
		"nowhere if it is not known where that is": {
			elsewhere, unnumbered, []lb.Interface{on("ens3", 30), on("ens4", 31)}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewElector("a")
			s := everywhere("a", "c")
			s.Interfaces = []string{"*"}
			e.SetScope(s)
			e.Join("a", tt.mine)
			e.Join("c", tt.owner)
			vip := netip.MustParseAddr(tt.vip)
			e.Hear(lb.Claim{Address: vip, Node: "c", Epoch: 4})
			e.SetVIP(VIP{Address: vip, Service: service(1), Scopes: []string{"all"}})
			e.Decide(time.Unix(0, 0))
			e.Rest("c")
			var want []Change
			if tt.want != nil {
				want = []Change{{Address: vip, Service: service(1), Owned: true, Interfaces: tt.want, For: "c", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, tt.as}}}
			}
			if diff := cmp.Diff(want, e.Decide(time.Unix(0, 0)).Changes, comparers); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsolated(t *testing.T) {
	at := time.Unix(1000, 0)
	mine := ranked("a", "b", "c")
	for name, test := range map[string]struct {
		standing lb.Standing
		heard    time.Duration // after the isolation
		yields   bool
	}{
		"yields to a provisional claim":           {lb.Provisional, 0, true},
		"yields to a pending claim":               {lb.Pending, time.Second, true},
		"contests again when it has been a while": {lb.Provisional, steadyAfter, false},
		"yields to a confirmed claim at any time": {lb.Confirmed, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := one()
			e.SetVIP(VIP{Address: mine, Service: service(1), Scopes: []string{"all"}})
			e.Decide(at.Add(-time.Minute))
			e.Isolated(at)
			e.Isolated(at.Add(-time.Second)) // late news
			e.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 2, Standing: test.standing})
			d := e.Decide(at.Add(test.heard))
			if yields := len(d.Changes) == 1 && !d.Changes[0].Owned && d.Changes[0].Cause == Settled; yields != test.yields {
				t.Errorf("%+v", d)
			}
		})
	}
}

// A planned move: the owner answers until it hears the claim of its successor.
func TestMakeBeforeBreak(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	for name, move := range map[string]func(*Elector){
		"drain":                            func(e *Elector) { e.Bar("a", "drained") },
		"the advertisement selects others": func(e *Elector) { e.SetScope(everywhere("b", "c")) },
		"the advertisement's interfaces":   func(e *Elector) { s := everywhere("a", "b", "c"); s.Interfaces = []string{"lan*"}; e.SetScope(s) },
		"the endpoints move": func(e *Elector) {
			e.SetVIP(VIP{mine, service(1), []string{"all"}, map[string]bool{"b": true}, false, false})
		},
		"the address gets another subnet":     func(e *Elector) { e.Join("a", []lb.Interface{{Name: "eth0"}}) },
		"the node is deleted from the API":    func(e *Elector) { e.RemoveNode("a") },
		"another advertisement takes over it": func(e *Elector) { e.SetVIP(VIP{mine, service(1), []string{"other"}, nil, false, false}) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := map[string]*Elector{}
			lan := []lb.Interface{segment[0], {Name: "lan0", Prefixes: segment[0].Prefixes}}
			other := everywhere("b")
			other.Name = "other"
			for _, name := range []string{"a", "b", "c"} {
				e := NewElector(name)
				e.SetScope(everywhere("a", "b", "c"))
				e.SetScope(other)
				e.Join("a", segment)
				e.Join("b", lan)
				e.Join("c", lan)
				e.Hear(lb.Claim{Address: mine, Node: "a", Epoch: 1})
				e.SetVIP(VIP{Address: mine, Service: service(1), Scopes: []string{"all"}})
				e.Decide(at)
				nodes[name] = e
			}
			later := at.Add(time.Minute)
			for name, e := range nodes {
				move(e)
				if name == "a" {
					if d := e.Decide(later); len(d.Changes)+len(d.Claims) > 0 || !e.vips[mine].owns() {
						t.Fatalf("the owner breaks before the successor is made: %+v", d)
					}
				}
			}
			successor := nodes["a"].ownerOf(mine)
			d := nodes[successor].Decide(later)
			if len(d.Claims) != 1 || len(d.Changes) != 1 || d.Changes[0].Cause != Moved || d.Changes[0].From != "a" {
				t.Fatalf("the successor %s: %+v", successor, d)
			}
			nodes["a"].Hear(d.Claims[0])
			d = nodes["a"].Decide(later)
			if len(d.Changes) != 1 || d.Changes[0].Owned || d.Changes[0].Cause != Moved {
				t.Errorf("the owner: %+v", d)
			}
		})
	}
	t.Run("weights move nothing", func(t *testing.T) {
		e := one()
		e.SetVIP(VIP{Address: mine, Service: service(1), Scopes: []string{"all"}})
		e.Decide(at)
		s := everywhere("a", "b", "c")
		s.Weights = map[string]int32{"b": 100}
		e.SetScope(s)
		if len(e.queue) > 0 || e.ownerOf(mine) != "a" {
			t.Errorf("owner %s, decides %v again", e.ownerOf(mine), e.queue)
		}
	})
}

func TestBindAndProbe(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	vip := VIP{Address: mine, Service: service(1), Scopes: []string{"all"}, Probe: true}
	e := one()
	e.SetVIP(vip)
	d := e.Decide(at)
	if len(d.Changes) != 1 || !d.Changes[0].Probe || d.Changes[0].Bind {
		t.Fatalf("%+v", d.Changes)
	}
	s := everywhere("a", "b", "c")
	s.Bind = true
	e.SetScope(s)
	d = e.Decide(at)
	if len(d.Changes) != 1 || !d.Changes[0].Bind || d.Changes[0].Claimed || d.Changes[0].Probe || d.Changes[0].Cause != Resumed {
		t.Errorf("%+v", d.Changes)
	}
	// never at takeover
	e = one()
	e.Hear(lb.Claim{Address: mine, Node: "c", Epoch: 4})
	e.SetVIP(vip)
	e.Decide(at)
	e.Part("c", true, at)
	if d := e.Decide(at); len(d.Changes) != 1 || d.Changes[0].Probe || d.Changes[0].Cause != Lost {
		t.Errorf("%+v", d.Changes)
	}
}

func TestForeign(t *testing.T) {
	at := time.Unix(0, 0)
	mine := ranked("a", "b", "c")
	vip := VIP{Address: mine, Service: service(1), Scopes: []string{"all"}, Probe: true}
	e, other := one(), NewElector("b")
	other.SetScope(everywhere("a", "b", "c"))
	for _, n := range []string{"a", "b", "c"} {
		other.Join(n, segment)
	}
	for _, e := range []*Elector{e, other} {
		e.SetVIP(vip)
		for _, c := range e.Decide(at).Claims {
			other.Hear(c)
		}
	}
	e.Foreign(mine, true)
	d := e.Decide(at)
	if len(d.Changes) != 1 || d.Changes[0].Owned || d.Changes[0].Cause != Settled {
		t.Fatalf("changes %+v", d.Changes)
	}
	if want := []lb.Claim{{Address: mine, Epoch: 2, Of: service(1)}}; !slices.Equal(want, d.Claims) {
		t.Fatalf("claims %+v", d.Claims)
	}
	other.Hear(d.Claims[0])
	if d := other.Decide(at); len(d.Claims)+len(d.Changes) > 0 || other.ownerOf(mine) != "" {
		t.Errorf("b does not stay silent: %+v", d)
	}
	for now := at; now.Before(at.Add(time.Minute)); now = now.Add(time.Second) {
		if d := e.Decide(now); len(d.Claims)+len(d.Changes) > 0 {
			t.Fatalf("took it again: %+v", d)
		}
	}
	e.Foreign(mine, false)
	now := at.Add(2 * time.Minute)
	d = e.Decide(now)
	for len(d.Claims) == 0 && now.Before(at.Add(time.Hour)) {
		now = d.Wake
		d = e.Decide(now)
	}
	if len(d.Claims) != 1 || !d.Changes[0].Probe {
		t.Errorf("did not take it when the host was gone: %+v", d)
	}
	// The next Service's address is another matter.
	e.Foreign(mine, true)
	e.RemoveVIP(mine)
	e.Decide(now)
	e.SetVIP(VIP{Address: mine, Service: service(2), Scopes: []string{"all"}})
	if d := e.Decide(now); len(d.Claims) != 1 {
		t.Errorf("claims %+v", d.Claims)
	}
	e.Foreign(address(250), true) // unknown
}

// A drained node keeps what nobody else may own until somebody may; a barred one does not.
func TestDrainedKeepsWhatNobodyElseMayOwn(t *testing.T) {
	a, at := address(1), time.Unix(1e9, 0)
	for _, strict := range []bool{false, true} {
		e := NewElector("a")
		e.SetScope(everywhere("a", "b"))
		e.Join("a", segment)
		e.SetVIP(VIP{Address: a, Service: service(1), Scopes: []string{"all"}})
		e.Decide(at)
		if e.Drain("a", "drained"); strict {
			e.Bar("a", "excluded")
		}
		e.Decide(at.Add(time.Second))
		if got := e.ownerOf(a); (got == "") != strict {
			t.Errorf("strictly %v: the owner is %q while nobody else may be", strict, got)
		}
		e.Join("b", segment)
		e.Decide(at.Add(2 * time.Second))
		if got := e.ownerOf(a); got != "b" {
			t.Errorf("strictly %v: the owner is %q, want b", strict, got)
		}
		// Until b has claimed it, a drained owner answers.
		if x := e.vips[a]; x.owns() == strict {
			t.Errorf("strictly %v: a answers: %v", strict, x.owns())
		}
		e.Hear(lb.Claim{Address: a, Node: "b", Epoch: 9})
		if e.Decide(at.Add(3 * time.Second)); e.vips[a].owns() {
			t.Errorf("strictly %v: a answers although b has claimed the address", strict)
		}
	}
}
