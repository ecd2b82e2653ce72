package lb

import (
	"net/netip"
	"testing"
)

// All speakers of a group have to compute the same, also if they are of two releases (docs/upgrade.md).
func TestRankOfTheFirstRelease(t *testing.T) {
	for address, want := range map[string]uint64{"192.0.2.120": 0x3c423cdbeeeb1ebb, "2001:db8::1:0": 0x3fb6ea2da7d368b4} {
		if got := Rank(netip.MustParseAddr(address), "node1"); got != want {
			t.Errorf("the rank of node1 for %s is %#x, want %#x", address, got, want)
		}
	}
}
