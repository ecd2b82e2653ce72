//go:build kind

package kind

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"go4.org/netipx"
)

// segment is the Docker network that the nodes and the client are on.
type segment struct {
	// V4 and V6 are ranges for the pool: a few of the network's addresses that no container has.
	V4, V6 netipx.IPRange
}

// dockerNetwork is what is read of `docker network inspect`.
type dockerNetwork struct {
	IPAM struct {
		Config []struct{ Subnet netip.Prefix }
	}
	Containers map[string]struct{ Name, IPv4Address, IPv6Address string }
}

// findSegment takes from each subnet addresses far from those that Docker hands out, which it does in
// order from the first.
func findSegment(t *testing.T, network string) (s segment) {
	t.Helper()
	var networks []dockerNetwork
	if err := json.Unmarshal([]byte(docker(t, "network", "inspect", network)), &networks); err != nil {
		t.Fatalf("docker network inspect: %v", err)
	}
	n := networks[0]
	for _, c := range n.IPAM.Config {
		switch {
		case c.Subnet.Addr().Is4() && c.Subnet.Bits() <= 26:
			last := netipx.PrefixLastIP(c.Subnet) // the broadcast address
			s.V4 = netipx.IPRangeFrom(plus(last, -15), plus(last, -5))
		case c.Subnet.Addr().Is6() && c.Subnet.Bits() <= 112:
			s.V6 = netipx.IPRangeFrom(plus(c.Subnet.Addr(), 0xf0), plus(c.Subnet.Addr(), 0xff))
		}
	}
	if !s.V4.IsValid() || !s.V6.IsValid() {
		t.Fatalf("network %s has no subnet of each family with room for a pool: %+v", network, n.IPAM.Config)
	}
	for _, c := range n.Containers {
		for _, text := range []string{c.IPv4Address, c.IPv6Address} {
			if p, err := netip.ParsePrefix(text); err == nil && s.contains(p.Addr()) {
				t.Fatalf("container %s has %s, which is of the pool", c.Name, p.Addr())
			}
		}
	}
	return s
}

func (s segment) contains(a netip.Addr) bool { return s.V4.Contains(a) || s.V6.Contains(a) }

// plus adds to the last two octets of an address.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	sum := int(b[len(b)-2])<<8 + int(b[len(b)-1]) + n
	b[len(b)-2], b[len(b)-1] = byte(sum>>8), byte(sum)
	result, _ := netip.AddrFromSlice(b)
	return result
}

// macOf returns the hardware address of a container, by what Docker knows of it.
func macOf(t *testing.T, container string) string {
	t.Helper()
	return strings.ToLower(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}", container))
}
