package layer2

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

func TestWhereANodeIsAsked(t *testing.T) {
	on := func(name, prefix string) lb.Interface {
		p := netip.MustParsePrefix(prefix)
		return lb.Interface{Name: name, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, p.Addr().AsSlice()[p.Addr().BitLen()/8-1]}, Prefixes: []netip.Prefix{p}}
	}
	tests := []struct {
		name      string
		own, peer []lb.Interface
		gossip    string
		carry     []string // interfaces that addresses are announced on
		want      []string
	}{
		{"on the one segment", []lb.Interface{on("eth0", "192.0.2.1/24")}, []lb.Interface{on("eth0", "192.0.2.2/24")}, "192.0.2.2", []string{"eth0"}, []string{"eth0"}},
		{"where addresses are, not where storage is",
			[]lb.Interface{on("data0", "10.0.0.1/24"), on("eth0", "192.0.2.1/24")}, []lb.Interface{on("data0", "10.0.0.2/24"), on("eth0", "192.0.2.2/24")},
			"192.0.2.2", []string{"eth0"}, []string{"eth0"}},
		{"where addresses are, though it gossips elsewhere",
			[]lb.Interface{on("eth0", "192.0.2.1/24"), on("mgmt0", "10.0.0.1/24")}, []lb.Interface{on("eth0", "192.0.2.2/24"), on("mgmt0", "10.0.0.2/24")},
			"10.0.0.2", []string{"eth0"}, []string{"eth0"}},
		{"of several segments with addresses on the one where it gossips",
			[]lb.Interface{on("eth0", "192.0.2.1/24"), on("eth1", "10.0.0.1/24")}, []lb.Interface{on("eth0", "192.0.2.2/24"), on("eth1", "10.0.0.2/24")},
			"10.0.0.2", []string{"eth0", "eth1"}, []string{"eth1"}},
		{"on all segments with addresses, where it gossips on none of them",
			[]lb.Interface{on("eth0", "192.0.2.1/24"), on("eth1", "10.0.0.1/24"), on("mgmt0", "10.9.0.1/24")},
			[]lb.Interface{on("eth0", "192.0.2.2/24"), on("eth1", "10.0.0.2/24"), on("mgmt0", "10.9.0.2/24")},
			"10.9.0.2", []string{"eth0", "eth1"}, []string{"eth0", "eth1"}},
		{"where it gossips, if this node is on no segment with addresses",
			[]lb.Interface{on("data0", "10.0.0.1/24"), on("mgmt0", "10.9.0.1/24")},
			[]lb.Interface{on("data0", "10.0.0.2/24"), on("eth0", "192.0.2.2/24"), on("mgmt0", "10.9.0.2/24")},
			"10.9.0.2", []string{"eth0"}, []string{"mgmt0"}},
		{"nowhere, if only storage is left", []lb.Interface{on("data0", "10.0.0.1/24")}, []lb.Interface{on("data0", "10.0.0.2/24"), on("eth0", "192.0.2.2/24")},
			"192.0.2.2", []string{"eth0"}, nil},
		{"anywhere, while there are no addresses", []lb.Interface{on("data0", "10.0.0.1/24"), on("eth0", "192.0.2.1/24")}, []lb.Interface{on("data0", "10.0.0.2/24"), on("eth0", "192.0.2.2/24")},
			"192.0.2.2", nil, []string{"data0", "eth0"}},
		{"anywhere, where the interfaces with addresses have none of their own",
			[]lb.Interface{{Name: "eth0"}, on("mgmt0", "10.9.0.1/24")}, []lb.Interface{{Name: "eth0"}, on("mgmt0", "10.9.0.2/24")}, "10.9.0.2", []string{"eth0"}, []string{"mgmt0"}},
		{"not on bridges that have one address on all nodes",
			[]lb.Interface{on("br-1", "172.18.0.1/16"), on("br-2", "172.19.0.1/16"), on("br-3", "172.20.0.1/16"), on("docker0", "172.17.0.1/16"), on("eth0", "192.0.2.1/24")},
			[]lb.Interface{on("br-1", "172.18.0.1/16"), on("br-2", "172.19.0.1/16"), on("br-3", "172.20.0.1/16"), on("docker0", "172.17.0.1/16"), on("eth0", "192.0.2.2/24")},
			"192.0.2.2", nil, []string{"eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var links []Link
			for _, i := range tt.own {
				links = append(links, Link{Interface: i})
			}
			p := &neighborhood{interfaces: tt.peer, gossip: netip.MustParseAddr(tt.gossip)}
			var got []string
			for _, target := range targets(links, p, func(i *lb.Interface) bool { return slices.Contains(tt.carry, i.Name) }) {
				got = append(got, target.Interface)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asked on %q, want %q", got, tt.want)
			}
		})
	}
}

// What carries is found out once for each subnet, and again where it may have changed.
func TestCarries(t *testing.T) {
	e := NewElector("a")
	subnet := lb.Interface{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}
	other := lb.Interface{Name: "eth1", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.11/24")}}
	want := func(eth0, eth1 bool) {
		t.Helper()
		if a, b := e.carries(&subnet), e.carries(&other); a != eth0 || b != eth1 {
			t.Errorf("eth0 %t, eth1 %t, want %t and %t", a, b, eth0, eth1)
		}
	}
	want(false, false)
	e.SetScope(everywhere("a"))
	e.SetVIP(VIP{Address: address(1), Service: service(1)})
	want(false, false) // no advertisement
	e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}})
	want(true, false)
	generation := e.generation
	e.SetVIP(VIP{Address: address(2), Service: service(2), Scopes: []string{"all"}})
	if want(true, false); e.generation != generation {
		t.Error("one more address in the subnet is no news")
	}
	e.RemoveVIP(address(1))
	want(true, false)
	e.RemoveVIP(address(2))
	want(false, false)
	e.SetVIP(VIP{Address: address(2), Service: service(2), Scopes: []string{"all"}})
	e.SetScope(Scope{Name: "all", Nodes: map[string]bool{"a": true}, Interfaces: []string{"eth1"}})
	want(false, true)
	e.RemoveScope("all")
	want(false, false)
}

// In the ARP answers of a bond in balance-alb the kernel writes any of its slaves' hardware addresses.
func TestAnswersOfABond(t *testing.T) {
	bond, slave := net.HardwareAddr{2, 0, 0, 0, 1, 1}, net.HardwareAddr{2, 0, 0, 0, 1, 2}
	a := netip.MustParseAddr("192.0.2.12")
	e := newEngine(Config{Node: "a", RestartGrace: 15 * time.Second, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	now := time.Unix(1e9, 0)
	e.status.Links = []Link{{Interface: segment[0]}}
	e.place("b", []lb.Interface{{Name: "bond0", HardwareAddr: bond, Slaves: []net.HardwareAddr{slave}, Prefixes: []netip.Prefix{netip.PrefixFrom(a, 24)}}})
	e.health.Serves("b", 1)
	e.targets("b")
	e.health.Miss("b", now)
	e.asking["eth0"] = true
	e.answered(Sighting{At: now.Add(time.Millisecond), Interface: "eth0", HardwareAddr: slave, Source: slave, Address: a, Kind: Answer})
	if f := e.health.Decide(now.Add(2*time.Millisecond), 0); !slices.Equal(f.Resting, []string{"b"}) {
		t.Errorf("%+v, want b at rest", f)
	}
}

// Whatever other networks nodes have, with hosts that answer and other nodes among them, what counts is the segment where
// addresses are announced.
func TestSegmentBesideOthers(t *testing.T) {
	const second = time.Second
	// as a virtual machine that moves to another host
	still := func(s *ether) { s.freeze("n1"); s.cut("n1") }
	goesOn := func(s *ether) { s.mend("n1"); s.wake("n1") }
	tests := []struct {
		name  string
		nodes int
		do    func(s *ether)
	}{
		{"a cable is cut and mended", 3, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }},
		{"a cable is cut for a moment", 3, func(s *ether) { s.cut("n1"); s.run(second / 2); s.mend("n1"); s.run(20 * second) }},
		{"one of two is cut and mended", 2, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }},
		{"one of two is cut for a moment", 2, func(s *ether) { s.cut("n1"); s.run(second / 2); s.mend("n1"); s.run(20 * second) }},
		{"a whole machine stands still for a second", 3, func(s *ether) { still(s); s.run(second); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for a moment", 2, func(s *ether) { still(s); s.run(400 * time.Millisecond); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for a second", 2, func(s *ether) { still(s); s.run(second); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for long", 2, func(s *ether) { still(s); s.run(20 * second); goesOn(s); s.run(20 * second) }},
		{"one of two is without its cable for longer than a speaker may be away", 2, func(s *ether) { s.cut("n1"); s.run(40 * second); s.mend("n1"); s.run(20 * second) }},
		{"a node loses its carrier and has it again", 3, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}},
		{"one of two loses its carrier and has it again", 2, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}},
	}
	for i, tt := range tests {
		for seed := range uint64(12) {
			beside := networks[1+(i+int(seed))%3]
			t.Run(fmt.Sprintf("%s/%s, seed %d", tt.name, beside, seed), func(t *testing.T) {
				// With one address all but one node have none.
				s := newEther(t, seed, tt.nodes, []int{12, 1}[seed/3%2], func(s *ether) { s.beside = beside })
				before := s.owners()
				tt.do(s)
				want := 0
				for _, o := range before {
					if o == "n1" {
						want++
					}
				}
				longest, doubled, moves, movesOf := s.result()
				if moves != want {
					t.Errorf("%d moves, want %d: %s", moves, want, s.describe(movesOf))
				}
				if longest > 250*time.Millisecond || doubled > 150*time.Millisecond {
					t.Errorf("without service for %s, two answered for %s", longest, doubled)
				}
				s.owners()
			})
		}
	}
}
