package bgp

import "net/netip"

// Community is a standard community (RFC 1997).
type Community uint32

// LargeCommunity is a large community (RFC 8092).
type LargeCommunity [3]uint32

// Attributes are what a route carries besides what follows from the session.
type Attributes struct {
	// LocalPref goes to internal peers alone (RFC 4271 section 5.1.5).
	LocalPref uint32
	// Sorted, each once.
	Communities      []Community
	LargeCommunities []LargeCommunity
}

// DefaultLocalPref is what an advertisement that says nothing means.
const DefaultLocalPref = 100

// Origin is why a prefix is to be advertised: an address, by an advertisement that covers it on this node.
type Origin struct {
	// Prefix is the address itself or the aggregate that contains it.
	Prefix netip.Prefix
	Attributes
	// Peers to advertise to, by name, sorted; nil for all.
	Peers []string
}

// Route is what a peer is told.
type Route struct {
	Prefix netip.Prefix
	Attributes
}
