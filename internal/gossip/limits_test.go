package gossip

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// extremes are the numbers that somebody with the key may try for an epoch or a version.
func extremes() []uint64 {
	now := uint64(time.Now().UnixMilli())
	return []uint64{1 << 62, 1<<62 - 1, firstCeiling + now + 1000, firstCeiling + now, firstCeiling, now}
}

func tell(t *testing.T, g *Group, c content) {
	t.Helper()
	b, err := encode(c)
	if err != nil {
		t.Fatal(err)
	}
	delegate{g}.NotifyMsg(b)
}

// Whatever epoch a liar with the key has claimed an address with, the next owner's claim counts.
func TestNoClaimIsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vip := netip.MustParseAddr("192.0.2.120")
		for _, way := range []string{"gossip", "on the wire"} {
			for _, epoch := range extremes() {
				g := newcomer(t)
				say := func(c lb.Claim) {
					if way == "gossip" {
						tell(t, g, content{claims: []lb.Claim{c}})
						return
					}
					b, _ := encode(content{claims: []lb.Claim{c}})
					if _, err := g.Open(g.seal.close(b)); err != nil {
						t.Errorf("epoch %d: %v", c.Epoch, err)
					}
				}
				say(lb.Claim{Address: vip, Node: "liar", Epoch: epoch})
				time.Sleep(2 * time.Millisecond)
				next := lb.Claim{Address: vip, Node: "n2", Epoch: g.table.claim(vip).Epoch + 1}
				say(next)
				if got := g.table.claim(vip); got != next {
					t.Errorf("%s: after a claim with epoch %d counts %+v", way, epoch, got)
				}
			}
		}
	})
}

// Whatever version of a node's state a liar has said, be it as the node itself or as one who suspects it, the node is
// heard again as soon as it has contradicted.
func TestNoNodeIsLostForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, version := range extremes() {
			for what, lie := range map[string]content{
				"suspected":     {suspicions: []lb.Suspicion{{Node: "n0", Version: version, Silent: true}}},
				"spoken for":    {states: []lb.NodeState{{Node: "n0", Version: version, Starting: true}}},
				"both, at once": {states: []lb.NodeState{{Node: "n0", Version: version}}, suspicions: []lb.Suspicion{{Node: "n0", Version: version}}},
			} {
				victim, other := newcomer(t), newcomer(t)
				other.table = newTable("n1", 1)
				state := victim.table.setSelf(lb.NodeState{Interfaces: []lb.Interface{{Name: "eth0"}}})
				other.table.join("n0")
				tell(t, other, content{states: []lb.NodeState{state}})
				tell(t, other, lie)
				time.Sleep(2 * time.Millisecond)
				delegate{victim}.MergeRemoteState(delegate{other}.LocalState(false), false)
				tell(t, victim, lie)
				time.Sleep(2 * time.Millisecond)
				delegate{other}.MergeRemoteState(delegate{victim}.LocalState(false), false)
				if _, suspected := other.table.suspicions["n0"]; suspected || len(other.table.states["n0"].Interfaces) != 1 || other.table.states["n0"].Starting {
					t.Errorf("%s with version %d: the other knows %+v, suspected %v", what, version, other.table.states["n0"], suspected)
				}
			}
		}
	})
}

// One lie takes nothing away from what else a message says.
func TestLiesAreLeftOut(t *testing.T) {
	g := newcomer(t)
	top := ceiling(time.Now()) + 1e6
	claim := lb.Claim{Address: netip.MustParseAddr("192.0.2.120"), Node: "n1", Epoch: 7}
	tell(t, g, content{
		states:     []lb.NodeState{{Node: "n1", Version: 5}, {Node: "n2", Version: top}},
		claims:     []lb.Claim{{Address: claim.Address, Node: "n2", Epoch: top}, claim},
		suspicions: []lb.Suspicion{{Node: "n3", Version: top}},
		offers:     []lb.Offer{{Address: claim.Address, To: "n0", Epoch: top}},
	})
	u := g.Take()
	if g.table.claim(claim.Address) != claim || g.table.states["n1"].Version != 5 || len(g.table.states) != 1 || len(u.Suspicions)+len(u.Offers) > 0 {
		t.Errorf("took in %+v, knows %+v", u, g.table.states)
	}
	if n := testutil.ToFloat64(g.dropped); n != 4 {
		t.Errorf("counted %v of 4 lies", n)
	}
}

// Who has the key cannot fill the memory of the others with what there is not, and what they know stays.
func TestMemoryIsBounded(t *testing.T) {
	tab := newTable("n0", 1)
	tab.join("n1")
	vip := netip.MustParseAddr("192.0.2.120")
	tab.merge(content{states: []lb.NodeState{{Node: "n1", Version: 1}}, claims: []lb.Claim{{Address: vip, Node: "n1", Epoch: 1}}})
	address := netip.MustParseAddr("2001:db8::")
	for i := range maxClaims + 1000 {
		address = address.Next()
		c := content{claims: []lb.Claim{{Address: address, Node: "n9", Epoch: 1}}}
		if i < maxNodes+1000 {
			name := fmt.Sprint("fake", i)
			c.states = []lb.NodeState{{Node: name, Version: 1}}
			c.suspicions = []lb.Suspicion{{Node: name, Version: 2}}
			if tab.admits(name) {
				tab.join(name)
			}
		}
		tab.merge(c)
		tab.take()
	}
	if len(tab.states) > maxNodes || len(tab.suspicions) > maxNodes || len(tab.alive) > maxNodes || len(tab.claims) > maxClaims {
		t.Errorf("keeps %d states, %d suspicions, %d members, %d claims", len(tab.states), len(tab.suspicions), len(tab.alive), len(tab.claims))
	}
	claim := lb.Claim{Address: vip, Node: "n2", Epoch: 2}
	tab.merge(content{states: []lb.NodeState{{Node: "n1", Version: 2}}, claims: []lb.Claim{claim}, suspicions: []lb.Suspicion{{Node: "n1", Version: 2}}})
	if tab.claim(vip) != claim || tab.states["n1"].Version != 2 || !tab.admits("n1") {
		t.Error("what is known is not kept up to date")
	}
}

// A member's name is shown by logs, statuses and terminals.
func TestNamesOfMembers(t *testing.T) {
	g := newcomer(t)
	for name, ok := range map[string]bool{
		"node-1.rack2.example": true, "": false, "Node": false, "n\x1b[2J": false, "n 1": false, "n\n1": false, "nöde": false,
	} {
		if err := (delegate{g}).NotifyAlive(&memberlist.Node{Name: name}); (err == nil) != ok || isNodeName(name) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
