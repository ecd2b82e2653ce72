package bgp

import (
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func TestNextHop(t *testing.T) {
	const (
		v4, v6       = "198.51.100.7/32", "2001:db8:1::7/128"
		own4, own6   = "192.0.2.11", "2001:db8::11"
		node4, node6 = "192.0.2.111", "2001:db8::111"
	)
	both := [2]netip.Addr{lb.IPv4: netip.MustParseAddr(node4), lb.IPv6: netip.MustParseAddr(node6)}
	only4 := [2]netip.Addr{lb.IPv4: netip.MustParseAddr(node4)}
	only6 := [2]netip.Addr{lb.IPv6: netip.MustParseAddr(node6)}
	tests := []struct {
		name          string
		prefix, local string
		peer          Peer
		want          string // empty for none
	}{
		{"IPv4 over IPv4: the session's address, not the node's other one", v4, own4, Peer{NextHops: both}, own4},
		{"IPv6 over IPv6: likewise", v6, own6, Peer{NextHops: both}, own6},
		{"IPv6 over IPv4: the node's IPv6 address", v6, own4, Peer{NextHops: both}, node6},
		{"IPv4 over IPv6: the node's IPv4 address", v4, own6, Peer{NextHops: both}, node4},
		{"an aggregate as an address", "198.51.100.0/24", own6, Peer{NextHops: both}, node4},
		{"IPv6 over IPv4 on a node without IPv6", v6, own4, Peer{NextHops: only4}, ""},
		{"IPv4 over IPv6 on a node without IPv4", v4, own6, Peer{NextHops: only6}, ""},

		{"extended next hop, IPv4 over IPv6: the session's address", v4, own6, Peer{ExtendedNextHop: true, NextHops: both}, own6},
		{"extended next hop, IPv4 over IPv4: the node's IPv6 address", v4, own4, Peer{ExtendedNextHop: true, NextHops: both}, node6},
		{"extended next hop on a node without IPv6", v4, own4, Peer{ExtendedNextHop: true, NextHops: only4}, ""},
		{"extended next hop changes nothing for IPv6", v6, own4, Peer{ExtendedNextHop: true, NextHops: both}, node6},
		{"extended next hop over IPv6 on a node without IPv4", v4, own6, Peer{ExtendedNextHop: true}, own6},

		{"unnumbered, IPv4: the link-local address, without a zone", v4, "fe80::11%eth1", Peer{Interface: "eth1", NextHops: both}, "fe80::11"},
		{"unnumbered, IPv6: likewise", v6, "fe80::11%eth1", Peer{Interface: "eth1", NextHops: both}, "fe80::11"},
		{"link-local, but not unnumbered, IPv4: the node's address", v4, "fe80::11%eth1", Peer{NextHops: both}, node4},
		{"link-local, but not unnumbered, IPv6: the session's address", v6, "fe80::11%eth1", Peer{NextHops: both}, "fe80::11"},

		{"an IPv4 address as an IPv6 socket gives it", v4, "::ffff:192.0.2.11", Peer{}, own4},
		{"no address of the session yet", v4, "", Peer{NextHops: both}, ""},
		{"no prefix", "", own4, Peer{NextHops: both}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prefix, _ := netip.ParsePrefix(tt.prefix)
			local, _ := netip.ParseAddr(tt.local)
			want, _ := netip.ParseAddr(tt.want)
			if got, ok := NextHop(prefix, local, tt.peer); got != want || ok != want.IsValid() {
				t.Errorf("got %v %v, want %v", got, ok, want)
			}
		})
	}
}
