//go:build kind

package kind

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"go4.org/netipx"
)

// segment is the network that the nodes and the client are on.
type segment struct {
	// V4 and V6 are ranges for the pool: a few addresses that nobody has. V6 may be missing.
	V4, V6 netipx.IPRange
	// Routed4 and Routed6 are for addresses that are told to the router.
	Routed4, Routed6 netipx.IPRange
}

// dockerNetwork is what is read of `docker network inspect`.
type dockerNetwork struct {
	IPAM struct {
		Config []struct{ Subnet netip.Prefix }
	}
	Containers map[string]struct{ Name, IPv4Address, IPv6Address string }
}

func inspect(t testing.TB, network string) dockerNetwork {
	t.Helper()
	var networks []dockerNetwork
	if err := json.Unmarshal([]byte(docker(t, "network", "inspect", network)), &networks); err != nil {
		t.Fatalf("docker network inspect: %v", err)
	}
	return networks[0]
}

// findSegment takes from each subnet addresses far from those that Docker hands out, which it does in
// order from the first.
func findSegment(t testing.TB, network string) (s segment) {
	t.Helper()
	n := inspect(t, network)
	for _, c := range n.IPAM.Config {
		switch {
		case c.Subnet.Addr().Is4() && c.Subnet.Bits() <= 26:
			last := netipx.PrefixLastIP(c.Subnet) // the broadcast address
			s.V4 = netipx.IPRangeFrom(plus(last, -16), plus(last, -5))
			s.Routed4 = netipx.IPRangeFrom(plus(last, -30), plus(last, -20))
		case c.Subnet.Addr().Is6() && c.Subnet.Bits() <= 112:
			s.V6 = netipx.IPRangeFrom(plus(c.Subnet.Addr(), 0xf0), plus(c.Subnet.Addr(), 0xff))
			s.Routed6 = netipx.IPRangeFrom(plus(c.Subnet.Addr(), 0xe0), plus(c.Subnet.Addr(), 0xef))
		}
	}
	if !s.V4.IsValid() || !s.V6.IsValid() {
		t.Fatalf("network %s has no subnet of each family with room for a pool: %+v", network, n.IPAM.Config)
	}
	for _, c := range n.Containers {
		for _, text := range []string{c.IPv4Address, c.IPv6Address} {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				continue
			}
			if a := p.Addr(); s.contains(a) || s.Routed4.Contains(a) || s.Routed6.Contains(a) {
				t.Fatalf("container %s has %s, which is of the pool", c.Name, a)
			}
		}
	}
	return s
}

// parseSegment reads the ranges of a pool, first-last and a comma between them.
func parseSegment(t testing.TB, text string) (s segment) {
	t.Helper()
	for part := range strings.SplitSeq(text, ",") {
		r, err := netipx.ParseIPRange(part)
		if err != nil {
			t.Fatalf("E2E_POOL %q: %v", text, err)
		}
		if r.From().Is4() {
			s.V4 = r
		} else {
			s.V6 = r
		}
	}
	if !s.V4.IsValid() {
		t.Fatalf("E2E_POOL %q has no range of IPv4", text)
	}
	return s
}

func (s segment) contains(a netip.Addr) bool { return s.V4.Contains(a) || s.V6.Contains(a) }

// Dual tells whether there are addresses of both families.
func (s segment) Dual() bool { return s.V6.IsValid() }

// families is how many addresses a Service gets.
func (s segment) families() int {
	if s.Dual() {
		return 2
	}
	return 1
}

// plus adds to the last two octets of an address.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	sum := int(b[len(b)-2])<<8 + int(b[len(b)-1]) + n
	b[len(b)-2], b[len(b)-1] = byte(sum>>8), byte(sum)
	result, _ := netip.AddrFromSlice(b)
	return result
}
