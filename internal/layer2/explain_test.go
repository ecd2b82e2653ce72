package layer2

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
)

// Built by an onlooker from what the API server knows, as kubectl does.
func TestExplain(t *testing.T) {
	at := time.Unix(0, 0)
	a := address(5)
	e := NewElector("")
	s := everywhere("best", "owner", "full", "plain", "flaps", "drained", "gone", "rests", "lost", "elsewhere", "no-endpoint")
	s.Weights = map[string]int32{"best": 50, "owner": 50, "full": 50}
	e.SetScope(s)
	named := everywhere("wired")
	named.Name, named.Interfaces = "named", []string{"eth1", "bond*"}
	e.SetScope(named)
	endpoints := map[string]bool{"wired": true, "unselected": true}
	for n := range s.Nodes {
		endpoints[n] = n != "no-endpoint"
		e.Join(n, segment)
	}
	e.Join("elsewhere", []lb.Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}}})
	e.Join("wired", segment)
	e.Join("unselected", segment)
	for i := range 4 {
		other := address(100 + i)
		e.Hear(lb.Claim{Address: other, Node: "full", Epoch: 1})
		e.SetVIP(VIP{Address: other, Service: service(i), Scopes: []string{"all"}})
	}
	e.Hear(lb.Claim{Address: a, Node: "owner", Epoch: 1})
	e.SetVIP(VIP{Address: a, Service: service(9), Scopes: []string{"all", "named"}, Endpoints: endpoints})
	e.Decide(at)
	for range 3 {
		e.Part("flaps", true, at)
		e.Join("flaps", segment)
	}
	e.Bar("drained", "the Node is being drained")
	e.Bar("gone", "")
	e.Part("gone", false, at)
	e.Part("lost", true, at)
	e.Rest("rests")
	e.Decide(at)
	got, ok := e.Explain(a, at)
	if !ok {
		t.Fatal("unknown address")
	}
	// by rank where nothing else decides
	want := []Candidate{
		{Node: "owner", Owner: true, Weight: 50, Owned: 1, May: true},
		{Node: "best", Weight: 50, May: true},
		{Node: "full", Weight: 50, Owned: 4, May: true, Reason: "owns 4 addresses of at most 3, a quarter above the mean"},
		{Node: "plain", May: true, Reason: "other nodes are preferred: its weight is 0, theirs 50"},
		{Node: "flaps", May: true, Reason: "suppressed for flapping until 1970-01-01T00:04:00Z: chosen only if no other node can be"},
		{Node: "drained", Reason: "the Node is being drained"},
		{Node: "elsewhere", Reason: "no interface in the subnet of 192.0.2.5"},
		{Node: "gone", Reason: "its speaker takes no part"},
		{Node: "lost", Reason: "the node is lost: its speaker fell silent without a good-bye"},
		{Node: "no-endpoint", Reason: "no ready endpoint of the Service on the node (externalTrafficPolicy: Local)"},
		{Node: "rests", Reason: "only its speaker is gone: it keeps what it has for the restart grace, and takes nothing"},
		{Node: "unselected", Reason: "no advertisement of the address selects the node"},
		{Node: "wired", Reason: "no interface matches those of the advertisement: bond*, eth1"},
	}
	if lb.Outranks(a, "best", "owner") {
		want[0], want[1] = want[1], want[0]
	}
	if diff := cmp.Diff(Explanation{service(9), "owner", want}, got); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
	if _, ok := e.Explain(address(250), at); ok {
		t.Error("explains an address that it does not know")
	}
	// Nobody left to compare with.
	empty := NewElector("")
	empty.SetVIP(VIP{Address: a, Service: service(1)})
	empty.Decide(at)
	if got, ok := empty.Explain(a, at); !ok || got.Owner != "" || len(got.Candidates) > 0 {
		t.Errorf("%+v", got)
	}
}
