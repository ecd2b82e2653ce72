package bgp

import (
	"encoding/binary"
	"net/netip"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// path is a route with the next hop that a peer is told.
type path struct {
	Route
	nextHop  netip.Addr
	internal bool // the peer is
}

func (p path) equal(q path) bool {
	return p.nextHop == q.nextHop && p.internal == q.internal && p.Route.Equal(q.Route)
}

// communitiesRoom is how many octets of communities go with one prefix: a message of maxLength holds them beside its
// header, the other attributes, two AS paths (RFC 6793) and the prefix, which are well under 200 octets. GoBGP panics
// where the attributes leave no room for a prefix.
const communitiesRoom = maxLength - 200

// fits tells whether one message holds the path. Else it is not to be advertised: RFC 4271 section 9.2.
func (p path) fits() bool { return 4*len(p.Communities)+12*len(p.LargeCommunities) <= communitiesRoom }

// Types of path attributes and their flags (RFC 4271 section 4.3).
const (
	attributeOrigin           = 1
	attributeNextHop          = 3
	attributeLocalPref        = 5
	attributeCommunities      = 8  // RFC 1997
	attributeReach            = 14 // MP_REACH_NLRI, RFC 4760
	attributeLargeCommunities = 32 // RFC 8092

	optional, transitive, extendedLength = 0x80, 0x40, 0x10
)

// nlri is a prefix as UPDATEs have it: how many bits, and the octets that these take.
func nlri(p netip.Prefix) []byte {
	return append([]byte{byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
}

// attributes are a path's, as UPDATEs have them, except AS_PATH, which GoBGP adds. They are in the order of their
// types.
func (p path) attributes() [][]byte {
	list := [][]byte{attribute(transitive, attributeOrigin, []byte{0})} // IGP
	if p.nextHop.Is4() {
		list = append(list, attribute(transitive, attributeNextHop, p.nextHop.AsSlice()))
	}
	if p.internal {
		list = append(list, attribute(transitive, attributeLocalPref, binary.BigEndian.AppendUint32(nil, p.LocalPref)))
	}
	if len(p.Communities) > 0 {
		var b []byte
		for _, c := range p.Communities {
			b = binary.BigEndian.AppendUint32(b, uint32(c))
		}
		list = append(list, attribute(optional|transitive, attributeCommunities, b))
	}
	if p.nextHop.Is6() {
		b := binary.BigEndian.AppendUint16(nil, afiOf(lb.FamilyOf(p.Prefix.Addr())))
		b = append(append(b, safiUnicast, 16), p.nextHop.AsSlice()...)
		list = append(list, attribute(optional, attributeReach, append(append(b, 0), nlri(p.Prefix)...)))
	}
	if len(p.LargeCommunities) > 0 {
		var b []byte
		for _, c := range p.LargeCommunities {
			for _, n := range c {
				b = binary.BigEndian.AppendUint32(b, n)
			}
		}
		list = append(list, attribute(optional|transitive, attributeLargeCommunities, b))
	}
	return list
}

func attribute(flags, kind byte, value []byte) []byte {
	if len(value) > 255 {
		b := binary.BigEndian.AppendUint16([]byte{flags | extendedLength, kind}, uint16(len(value)))
		return append(b, value...)
	}
	return append([]byte{flags, kind, byte(len(value))}, value...)
}
