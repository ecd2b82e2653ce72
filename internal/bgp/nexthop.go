package bgp

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// NextHop returns the address of this node that a peer is told to send a prefix's packets to, false if the node has
// none that will do. Local is the node's address of the session.
//
// It is local where that is of the right family (RFC 4271 section 5.1.3, RFC 2545 section 3): the router has just
// reached it. Else it is the node's other address. Whether the session exchanges the prefix's family is another
// question.
func NextHop(prefix netip.Prefix, local netip.Addr, p Peer) (netip.Addr, bool) {
	if !prefix.IsValid() || !local.IsValid() {
		return netip.Addr{}, false
	}
	wanted := lb.FamilyOf(prefix.Addr())
	if wanted == lb.IPv4 && (p.ExtendedNextHop || p.Interface != "") {
		wanted = lb.IPv6 // RFC 8950; a link of an unnumbered session need not have IPv4 addresses at all
	}
	hop := local
	if lb.FamilyOf(local) != wanted {
		hop = p.NextHops[wanted]
	}
	// A zone means something on this node only.
	return hop.Unmap().WithZone(""), hop.IsValid()
}
