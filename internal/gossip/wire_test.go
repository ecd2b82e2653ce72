package gossip

import (
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fxamacker/cbor/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// said is what speakers of the first release say, in its octets. Those of today read it as it was meant, and say the
// same in the same octets, so that the first release understands them too. A row is never edited: what is said in
// another way from some release on is a new row, and the old one stays for as long as docs/upgrade.md promises.
var said = []struct {
	name, octets string
	meaning      content
}{
	{"a word, so as to be heard", "a0", content{}},
	{"a good-bye", "a103656e6f646531", content{leaving: "node1"}},
	{"the interfaces of a node", "a10181a301656e6f646531021b0000018bcfe5687b0381a30164657468300346020000000001028245c000020b185120010db800000000000000000000001140",
		content{states: []lb.NodeState{{Node: "node1", Version: 1700000000123, Interfaces: []lb.Interface{{
			Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
			Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24"), netip.MustParsePrefix("2001:db8::11/64")},
		}}}}}},
	{"the slaves of a bond", "a10181a301656e6f64653102020381a30165626f6e64300346020000000001048146020000000002",
		content{states: []lb.NodeState{{Node: "node1", Version: 2, Interfaces: []lb.Interface{{
			Name: "bond0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Slaves: []net.HardwareAddr{{2, 0, 0, 0, 0, 2}},
		}}}}}},
	{"a node that was lost too often, and starts", "a10181a601656e6f646531020204f505fb4097700000000000061b000000e8d4a51000071b000000e8d4a51005",
		content{states: []lb.NodeState{{Node: "node1", Version: 2, Starting: true, Penalty: lb.Penalty{
			Value: 1500, At: time.UnixMilli(1e12), Reuse: time.UnixMilli(1e12 + 5),
		}}}}},
	{"claims of each standing", "a10283a30144c000027802656e6f6465310307a4015020010db800000000000000000001000002656e6f64653203080401a40144c000027902656e6f64653203090402",
		content{claims: []lb.Claim{
			{Address: netip.MustParseAddr("192.0.2.120"), Node: "node1", Epoch: 7},
			{Address: netip.MustParseAddr("2001:db8::1:0"), Node: "node2", Epoch: 8, Standing: lb.Pending},
			{Address: netip.MustParseAddr("192.0.2.121"), Node: "node2", Epoch: 9, Standing: lb.Provisional},
		}}},
	{"a claim to what another system may have", "a10281a40144c000027802656e6f646531030106f5",
		content{claims: []lb.Claim{{Address: netip.MustParseAddr("192.0.2.120"), Node: "node1", Epoch: 1, Asking: true}}}},
	{"an address that its owner let go of", "a10281a30144c0000278030805a2694e616d6573706163656764656661756c74644e616d6563776562",
		content{claims: []lb.Claim{{Address: netip.MustParseAddr("192.0.2.120"), Epoch: 8, Of: lb.Key{Namespace: "default", Name: "web"}}}}},
	{"suspicions", "a10482a301656e6f646531020303f5a201656e6f6465320204",
		content{suspicions: []lb.Suspicion{{Node: "node1", Version: 3, Silent: true}, {Node: "node2", Version: 4}}}},
	{"an offer", "a10581a30144c000027802656e6f6465330307",
		content{offers: []lb.Offer{{Address: netip.MustParseAddr("192.0.2.120"), To: "node3", Epoch: 7}}}},
	{"an offer of what the other has already", "a10581a40144c000027802656e6f646533030704f5",
		content{offers: []lb.Offer{{Address: netip.MustParseAddr("192.0.2.120"), To: "node3", Epoch: 7, Held: true}}}},
}

func TestWhatTheFirstReleaseSaid(t *testing.T) {
	for _, tt := range said {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := decode(octets(t, tt.octets)); err != nil || !reflect.DeepEqual(c, tt.meaning) {
				t.Errorf("understood as %+v, %v, want %+v", c, err, tt.meaning)
			}
			if b, err := encode(tt.meaning); err != nil || hex.EncodeToString(b) != tt.octets {
				t.Errorf("said as %x, %v, want %s", b, err, tt.octets)
			}
		})
	}
}

// A claim on the segment, under the key "secret".
func TestSealOfTheFirstRelease(t *testing.T) {
	const sealed = "ff199d6b103b6c65f5d0ba771a1f9346a10281a30144c000027802656e6f6465310307"
	claim := lb.Claim{Address: netip.MustParseAddr("192.0.2.120"), Node: "node1", Epoch: 7}
	g := newcomer(t)
	g.table.publish([]lb.Claim{claim})
	if got := g.Seal([]netip.Addr{claim.Address}, 1400); len(got) != 1 || hex.EncodeToString(got[0]) != sealed {
		t.Errorf("sealed as %x, want %s", got, sealed)
	}
	g = newcomer(t)
	if _, err := g.Open(octets(t, sealed)); err != nil || g.table.claim(claim.Address) != claim {
		t.Errorf("opened as %+v, %v, want %+v", g.table.claim(claim.Address), err, claim)
	}
}

// later is a message of some release to come: each thing in it says something more, and there is a new kind of things.
func later(t *testing.T, standing int) []byte {
	t.Helper()
	type object = map[int]any
	b, err := cbor.Marshal(object{
		1:  []object{{1: "node1", 2: 4, 99: "new"}},
		2:  []object{{1: []byte{192, 0, 2, 120}, 2: "node1", 3: 7, 4: standing, 99: object{1: 2}}},
		77: []string{"whatever"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatALaterReleaseSays(t *testing.T) {
	claim := lb.Claim{Address: netip.MustParseAddr("192.0.2.120"), Node: "node1", Epoch: 7}
	g := newcomer(t)
	delegate{g}.NotifyMsg(later(t, 0))
	if u := g.table.take(); len(u.Claims) != 1 || u.Claims[0] != claim || g.table.states["node1"].Version != 4 {
		t.Errorf("of a message of a later release it understood %+v", u)
	}
	if _, err := g.Open(g.seal.close(later(t, 0))); err != nil {
		t.Error("a sealed message of a later release:", err)
	}
	if newer, dropped := testutil.ToFloat64(g.newer), testutil.ToFloat64(g.dropped); newer != 2 || dropped != 0 {
		t.Errorf("counted %v of 2 messages of a later release, and %v as dropped", newer, dropped)
	}
	// What is no claim as this release knows them is not half believed.
	delegate{g}.NotifyMsg(later(t, 200))
	if dropped := testutil.ToFloat64(g.dropped); dropped != 1 {
		t.Errorf("counted %v of 1 message with an unknown standing as dropped", dropped)
	}
}

// newcomer is a group in which nobody has said anything yet.
func newcomer(t testing.TB) *Group {
	t.Helper()
	g, err := New(Config{Node: "n0", Address: loopback(1), Key: []byte("secret\n"), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Kick: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
