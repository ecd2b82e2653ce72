package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// model is a table as one would write it without a thought of cost: it goes through all there is.
type model struct {
	phase   Phase
	origins map[netip.Addr][]Origin
}

func (m *model) route(peer string, p netip.Prefix) (Route, bool) {
	r, found := Route{Prefix: p}, false
	for _, origins := range m.origins {
		for _, o := range origins {
			if o.Prefix.Masked() != p || (o.Peers != nil && !slices.Contains(o.Peers, peer)) {
				continue
			}
			found = true
			r.LocalPref = max(r.LocalPref, o.LocalPref)
			r.Communities = append(r.Communities, o.Communities...)
			r.LargeCommunities = append(r.LargeCommunities, o.LargeCommunities...)
		}
	}
	switch m.phase {
	case Leaving:
		r.LocalPref, r.Communities = 0, append(r.Communities, 0xFFFF0000)
	case Gone:
		return Route{}, false
	}
	if !found {
		return Route{}, false
	}
	slices.Sort(r.Communities)
	slices.SortFunc(r.LargeCommunities, func(a, b LargeCommunity) int { return slices.Compare(a[:], b[:]) })
	r.Communities, r.LargeCommunities = slices.Compact(r.Communities), slices.Compact(r.LargeCommunities)
	return r, true
}

var (
	modelPeers    = []string{"a", "b", "c"}
	modelPrefixes = []netip.Prefix{
		mustPrefix("192.0.2.0/24"), mustPrefix("192.0.2.0/25"), mustPrefix("192.0.2.0/32"), mustPrefix("192.0.2.1/32"), mustPrefix("2001:db8::/64"),
	}
)

// routes are all that a model says, as text.
func routesOf(route func(peer string, p netip.Prefix) (Route, bool)) map[netip.Prefix]string {
	all := map[netip.Prefix]string{}
	for _, p := range modelPrefixes {
		for _, peer := range modelPeers {
			r, ok := route(peer, p)
			all[p] += fmt.Sprintf("%s: %v %v %d %v %v\n", peer, ok, r.Prefix, r.LocalPref, r.Communities, r.LargeCommunities)
		}
	}
	return all
}

// TestTableAgainstModel drives table and model by random changes, and holds one to the other.
func TestTableAgainstModel(t *testing.T) {
	sequences := uint64(300)
	if testing.Short() {
		sequences = 40
	}
	for seed := range sequences {
		driveTable(t, rand.New(rand.NewPCG(seed, 5)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func driveTable(t *testing.T, random *rand.Rand) {
	table, m := NewTable(), &model{origins: map[netip.Addr][]Origin{}}
	for step := range 60 {
		before := routesOf(m.route)
		var changed []netip.Prefix
		var what string
		if random.IntN(12) == 0 {
			m.phase = Phase(random.IntN(3))
			changed = table.SetPhase(m.phase)
			what = fmt.Sprintf("phase %d", m.phase)
		} else {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(6))})
			origins := randomOrigins(random)
			what = fmt.Sprintf("%v: %+v", a, origins)
			given := slices.Clone(origins)
			random.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
			changed = table.Set(a, given)
			m.origins[a] = origins
			if again := table.Set(a, origins); len(again) > 0 {
				t.Errorf("step %d, %s: the same again changes %v", step, what, again)
			}
		}
		want, got := routesOf(m.route), routesOf(table.Route)
		for _, p := range modelPrefixes {
			if want[p] != got[p] {
				t.Errorf("step %d, %s: %v is\n%swant\n%s", step, what, p, got[p], want[p])
			}
			if before[p] != want[p] && !slices.Contains(changed, p) {
				t.Errorf("step %d, %s: %v is not among the changed, %v", step, what, p, changed)
			}
		}
		if !slices.IsSortedFunc(changed, netip.Prefix.Compare) || len(slices.Compact(slices.Clone(changed))) != len(changed) {
			t.Errorf("step %d, %s: changed are %v", step, what, changed)
		}
		checkRoutes(t, table, m)
	}
	// Nothing is left of what is gone.
	for a := range m.origins {
		table.Set(a, nil)
	}
	if n := len(table.addresses) + len(table.entries) + len(table.offers); n > 0 {
		t.Errorf("%d addresses, %d entries and %d offers are left", len(table.addresses), len(table.entries), len(table.offers))
	}
}

// checkRoutes holds Routes to Route, and what is kept to what is needed.
func checkRoutes(t *testing.T, table *Table, m *model) {
	for _, peer := range modelPeers {
		var want []Route
		for _, p := range modelPrefixes {
			if r, ok := m.route(peer, p); ok {
				want = append(want, r)
			}
		}
		slices.SortFunc(want, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
		if got := table.Routes(peer); !slices.EqualFunc(got, want, Route.Equal) {
			t.Errorf("peer %s has %v, want %v", peer, got, want)
		}
	}
	count := map[*offer]int{}
	for _, e := range table.entries {
		if len(e.shares) == 0 {
			t.Errorf("%v has no share", e.prefix)
		}
		for _, s := range e.shares {
			count[s.offer]++
		}
	}
	for _, o := range table.offers {
		if o.count != count[o] || o.count == 0 {
			t.Errorf("an offer is counted %d times, and is there %d times", o.count, count[o])
		}
	}
}

func randomOrigins(random *rand.Rand) []Origin {
	var origins []Origin
	for range random.IntN(4) {
		o := Origin{Prefix: modelPrefixes[random.IntN(len(modelPrefixes))]}
		o.LocalPref = uint32(random.IntN(3))
		for range random.IntN(3) {
			o.Communities = append(o.Communities, Community(random.IntN(4)))
		}
		for range random.IntN(2) {
			o.LargeCommunities = append(o.LargeCommunities, LargeCommunity{1, 2, uint32(random.IntN(2))})
		}
		if random.IntN(2) == 0 {
			o.Peers = []string{}
			for _, p := range modelPeers {
				if random.IntN(2) == 0 {
					o.Peers = append(o.Peers, p)
				}
			}
			random.Shuffle(len(o.Peers), func(i, j int) { o.Peers[i], o.Peers[j] = o.Peers[j], o.Peers[i] })
		}
		origins = append(origins, o)
	}
	return origins
}
