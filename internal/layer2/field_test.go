package layer2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// The field is kept from one choice to the next. Whatever has changed meanwhile, it chooses whom all candidates, looked
// at one by one, would have it choose.
func TestFieldChoosesAsAllCandidatesDo(t *testing.T) {
	subnets := []string{"198.18.0.0/24", "198.18.0.0/15", "198.19.0.0/16", "10.0.0.0/8"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		e, now, fast := NewElector("node-0000"), time.Unix(1e6, 0), 0
		some := func() map[string]bool {
			m := map[string]bool{}
			for i := range 12 {
				if r.IntN(4) > 0 {
					m[nodeName(i)] = true
				}
			}
			return m
		}
		for step := range 600 {
			name := nodeName(r.IntN(12))
			now = now.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
			switch r.IntN(12) {
			case 0, 1, 2:
				p := netip.MustParsePrefix(subnets[r.IntN(len(subnets))])
				e.Join(name, []lb.Interface{{Name: "eth0", HardwareAddr: macOf(name), Prefixes: []netip.Prefix{netip.PrefixFrom(p.Addr().Next(), p.Bits())}}})
			case 3:
				e.Part(name, r.IntN(2) == 0, now)
			case 4:
				e.Rest(name)
			case 5:
				e.Bar(name, []string{"", "", "drained"}[r.IntN(3)])
			case 6:
				e.SetScope(Scope{Name: fmt.Sprint("s", r.IntN(2)), Nodes: some(), Weights: map[string]int32{nodeName(r.IntN(12)): int32(r.IntN(3))}})
			case 7:
				e.Penalize(name, now)
			case 8:
				e.SetPenalty(name, lb.Penalty{Value: 3000, At: now, Reuse: now.Add(time.Minute)}, now)
			case 9:
				e.RemoveNode(name)
			default:
				v := VIP{Address: swarmAddress(r.IntN(600) * 200 % 131072), Service: service(step), Scopes: [][]string{{"s0"}, {"s1"}, {"s0", "s1"}}[r.IntN(3)]}
				e.SetVIP(v)
			}
			e.Decide(now)
			for _, x := range e.vips {
				if got, ok := e.fromField(x, now); ok {
					want := ""
					if tier := e.best(x, now); len(tier) > 0 {
						want = pick(x, tier)
					}
					if fast++; got != want {
						t.Fatalf("seed %d, step %d: %s goes to %q, of all candidates to %q", seed, step, x.Address, got, want)
					}
				}
			}
		}
		if fast < 1000 {
			t.Errorf("seed %d: %d choices only", seed, fast)
		}
	}
}
