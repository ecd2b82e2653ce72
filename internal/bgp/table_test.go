package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustAddr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// origin returns an origin for peers, for all if none is named.
func origin(p string, a Attributes, peers ...string) Origin {
	return Origin{Prefix: mustPrefix(p), Attributes: a, Peers: peers}
}

// told is what a peer is told, a line per route: prefix, local preference, communities.
func told(t *Table, peer string) string {
	var b strings.Builder
	for _, r := range t.Routes(peer) {
		fmt.Fprintf(&b, "%v %d", r.Prefix, r.LocalPref)
		for _, c := range r.Communities {
			fmt.Fprintf(&b, " %v", c)
		}
		for _, c := range r.LargeCommunities {
			fmt.Fprintf(&b, " %v", c)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestTable(t *testing.T) {
	type set struct {
		address string
		origins []Origin
		changed string // the prefixes that Set returns
	}
	plain := attributes(DefaultLocalPref)
	tests := []struct {
		name  string
		sets  []set
		phase Phase
		want  map[string]string // by peer
	}{
		{
			name: "an address goes to all peers",
			sets: []set{{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain)}, "[192.0.2.1/32]"}},
			want: map[string]string{"a": "192.0.2.1/32 100\n", "b": "192.0.2.1/32 100\n"},
		},
		{
			name: "an address goes to the peers named",
			sets: []set{{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain, "a", "c")}, "[192.0.2.1/32]"}},
			want: map[string]string{"a": "192.0.2.1/32 100\n", "b": "", "c": "192.0.2.1/32 100\n"},
		},
		{
			name: "peers that are given in disorder and twice",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain, "c", "a", "c")}, "[192.0.2.1/32]"},
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain, "a", "c")}, "[]"},
			},
			want: map[string]string{"a": "192.0.2.1/32 100\n", "b": "", "c": "192.0.2.1/32 100\n"},
		},
		{
			name: "an empty list of peers, other than none, is nobody",
			sets: []set{{"192.0.2.1", []Origin{{Prefix: mustPrefix("192.0.2.1/32"), Attributes: plain, Peers: []string{}}}, "[]"}},
			want: map[string]string{"a": ""},
		},
		{
			name: "two advertisements: each peer gets what concerns it",
			sets: []set{{"192.0.2.1", []Origin{
				origin("192.0.2.1/32", attributes(200, "65000:1"), "a", "b"),
				origin("192.0.2.1/32", attributes(150, "65000:2", "large:1:2:3"), "b", "c"),
			}, "[192.0.2.1/32]"}},
			want: map[string]string{
				"a": "192.0.2.1/32 200 65000:1\n",
				"b": "192.0.2.1/32 200 65000:1 65000:2 large:1:2:3\n",
				"c": "192.0.2.1/32 150 65000:2 large:1:2:3\n",
			},
		},
		{
			name: "two advertisements with other lengths are two routes",
			sets: []set{{"192.0.2.1", []Origin{
				origin("192.0.2.1/32", plain, "a"), origin("192.0.2.0/24", attributes(100, "no-export")),
			}, "[192.0.2.0/24 192.0.2.1/32]"}},
			want: map[string]string{"a": "192.0.2.0/24 100 no-export\n192.0.2.1/32 100\n", "b": "192.0.2.0/24 100 no-export\n"},
		},
		{
			name: "the same again changes nothing, in whatever order",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", attributes(1)), origin("192.0.2.1/32", attributes(2))}, "[192.0.2.1/32]"},
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", attributes(2)), origin("192.0.2.1/32", attributes(1)),
					origin("192.0.2.1/32", attributes(2))}, "[]"},
			},
			want: map[string]string{"a": "192.0.2.1/32 2\n"},
		},
		{
			name: "what is said twice is withdrawn once",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", plain)}, "[192.0.2.0/24]"},
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", plain), origin("192.0.2.0/24", plain)}, "[]"},
				{"192.0.2.2", []Origin{origin("192.0.2.0/24", plain)}, "[]"},
				{"192.0.2.1", nil, "[]"},
				{"192.0.2.2", nil, "[192.0.2.0/24]"},
			},
			want: map[string]string{"a": ""},
		},
		{
			name: "names of peers are not run together",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", plain, "ab")}, "[192.0.2.0/24]"},
				{"192.0.2.2", []Origin{origin("192.0.2.0/24", plain, "a", "b")}, "[192.0.2.0/24]"},
			},
			want: map[string]string{"a": "192.0.2.0/24 100\n", "ab": "192.0.2.0/24 100\n", "b": "192.0.2.0/24 100\n", "abb": ""},
		},
		{
			name: "nothing withdraws",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain)}, "[192.0.2.1/32]"},
				{"192.0.2.2", []Origin{origin("192.0.2.2/32", plain)}, "[192.0.2.2/32]"},
				{"192.0.2.1", nil, "[192.0.2.1/32]"},
				{"192.0.2.1", nil, "[]"},
			},
			want: map[string]string{"a": "192.0.2.2/32 100\n"},
		},
		{
			name: "an aggregate comes with its first address and goes with its last",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", plain)}, "[192.0.2.0/24]"},
				{"192.0.2.2", []Origin{origin("192.0.2.0/24", plain)}, "[]"},
				{"192.0.2.1", nil, "[]"},
				{"192.0.2.2", nil, "[192.0.2.0/24]"},
			},
			want: map[string]string{"a": ""},
		},
		{
			name: "addresses of one aggregate with other communities",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", attributes(100, "65000:1"))}, "[192.0.2.0/24]"},
				{"192.0.2.2", []Origin{origin("192.0.2.0/24", attributes(100, "65000:2"))}, "[192.0.2.0/24]"},
				{"192.0.2.3", []Origin{origin("192.0.2.0/24", attributes(100, "65000:2"))}, "[]"},
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", attributes(300, "65000:2"))}, "[192.0.2.0/24]"},
			},
			want: map[string]string{"a": "192.0.2.0/24 300 65000:2\n"},
		},
		{
			name: "from an aggregate to the address itself",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.0/24", plain)}, "[192.0.2.0/24]"},
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain)}, "[192.0.2.0/24 192.0.2.1/32]"},
			},
			want: map[string]string{"a": "192.0.2.1/32 100\n"},
		},
		{
			name: "host bits mean nothing",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.1/24", plain)}, "[192.0.2.0/24]"},
				{"192.0.2.1", []Origin{origin("192.0.2.7/24", plain)}, "[]"},
			},
			want: map[string]string{"a": "192.0.2.0/24 100\n"},
		},
		{
			name: "an origin without a prefix is left out",
			sets: []set{{"192.0.2.1", []Origin{{Attributes: plain}}, "[]"}},
			want: map[string]string{"a": ""},
		},
		{
			name: "both families, IPv4 first",
			sets: []set{
				{"2001:db8::1", []Origin{origin("2001:db8::1/128", plain)}, "[2001:db8::1/128]"},
				{"203.0.113.1", []Origin{origin("203.0.113.1/32", plain)}, "[203.0.113.1/32]"},
			},
			want: map[string]string{"a": "203.0.113.1/32 100\n2001:db8::1/128 100\n"},
		},
		{
			name: "a node that leaves asks to be avoided, also where advertisements are merged",
			sets: []set{
				{"192.0.2.1", []Origin{origin("192.0.2.1/32", attributes(200, "65000:1"))}, "[192.0.2.1/32]"},
				{"192.0.2.2", []Origin{
					origin("192.0.2.2/32", attributes(200, "65000:1")), origin("192.0.2.2/32", attributes(300, "no-export")),
				}, "[192.0.2.2/32]"},
			},
			phase: Leaving,
			want:  map[string]string{"a": "192.0.2.1/32 0 65000:1 graceful-shutdown\n192.0.2.2/32 0 65000:1 graceful-shutdown no-export\n"},
		},
		{
			name:  "a node that is gone advertises nothing",
			sets:  []set{{"192.0.2.1", []Origin{origin("192.0.2.1/32", plain)}, "[192.0.2.1/32]"}},
			phase: Gone,
			want:  map[string]string{"a": ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable()
			for i, s := range tt.sets {
				if got := fmt.Sprint(table.Set(mustAddr(s.address), s.origins)); got != s.changed {
					t.Errorf("change %d: %s, want %s", i, got, s.changed)
				}
			}
			table.SetPhase(tt.phase)
			for peer, want := range tt.want {
				if diff := cmp.Diff(want, told(table, peer)); diff != "" {
					t.Errorf("peer %s (-want +got):\n%s", peer, diff)
				}
			}
		})
	}
}

func TestTablePhases(t *testing.T) {
	table := NewTable()
	for i := range 3 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(3 - i)})
		table.Set(a, []Origin{{Prefix: netip.PrefixFrom(a, 32), Attributes: attributes(100, "65000:1")}})
	}
	serving := told(table, "a")
	all := "[192.0.2.1/32 192.0.2.2/32 192.0.2.3/32]"
	for _, s := range []struct {
		phase   Phase
		changed string
	}{{Serving, "[]"}, {Leaving, all}, {Leaving, "[]"}, {Gone, all}, {Gone, "[]"}, {Serving, all}} {
		if got := fmt.Sprint(table.SetPhase(s.phase)); got != s.changed {
			t.Errorf("phase %d: %s, want %s", s.phase, got, s.changed)
		}
	}
	if got := told(table, "a"); got != serving {
		t.Errorf("after all phases:\n%s\nbefore:\n%s", got, serving)
	}
	table.SetPhase(Gone)
	if got := fmt.Sprint(table.Set(mustAddr("192.0.2.9"), []Origin{origin("192.0.2.9/32", attributes(1))})); got != "[192.0.2.9/32]" {
		t.Errorf("while gone: %s", got)
	}
	if _, ok := table.Route("a", mustPrefix("192.0.2.9/32")); ok {
		t.Error("advertised while gone")
	}
	if got := len(table.Prefixes()); got != 4 {
		t.Errorf("%d prefixes", got)
	}
}

// A caller may use its slices again.
func TestTableKeepsNothingOfTheCallers(t *testing.T) {
	table := NewTable()
	o := []Origin{origin("192.0.2.1/32", attributes(100, "65000:1", "large:1:2:3"), "a", "b")}
	table.Set(mustAddr("192.0.2.1"), o)
	before := told(table, "a")
	o[0].Communities[0], o[0].LargeCommunities[0], o[0].Peers[0], o[0].Prefix = 7, LargeCommunity{7}, "z", mustPrefix("203.0.113.0/24")
	o[0] = Origin{}
	if after := told(table, "a"); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// What is disordered is put in order, but not in the caller's slices.
func TestTableChangesNothingOfTheCallers(t *testing.T) {
	o := Origin{
		Prefix: mustPrefix("192.0.2.1/24"),
		Attributes: Attributes{
			LocalPref: 100, Communities: []Community{9, 1, 9}, LargeCommunities: []LargeCommunity{{2}, {1}},
		},
		Peers: []string{"b", "a"},
	}
	copied := Origin{o.Prefix, o.clone(), slices.Clone(o.Peers)}
	table := NewTable()
	table.Set(mustAddr("192.0.2.1"), []Origin{o})
	if o.Prefix != copied.Prefix || !o.Attributes.Equal(copied.Attributes) || !slices.Equal(o.Peers, copied.Peers) {
		t.Errorf("changed: %+v", o)
	}
	if got := told(table, "a"); got != "192.0.2.0/24 100 0:1 0:9 large:1:0:0 large:2:0:0\n" {
		t.Error(got)
	}
}
