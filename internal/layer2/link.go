package layer2

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Link is an interface of this node that addresses can be answered on.
type Link struct {
	lb.Interface
	Index int
	// LinkLocal is an IPv6 link-local address of the interface, which it has Neighbor Solicitations sent with.
	// It is no news to others.
	LinkLocal netip.Addr
	// LooseARP is true where the kernel speaks ARP on it for the addresses that kube-proxy in IPVS mode has put on
	// another interface.
	LooseARP bool
}

// sameDevice tells whether sockets opened for a are right for b too.
func (a Link) sameDevice(b Link) bool {
	return a.Index == b.Index && same(a.HardwareAddr, b.HardwareAddr)
}

// isSubnet tells whether a prefix has room for other hosts.
func isSubnet(p netip.Prefix) bool { return p.Bits() < p.Addr().BitLen() }
