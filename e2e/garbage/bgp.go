package garbage

import (
	"encoding/binary"
	"net/netip"
)

// Types of BGP messages (RFC 4271, section 4.1; RFC 2918).
const (
	Open         = 1
	Update       = 2
	Notification = 3
	Keepalive    = 4
	RouteRefresh = 5
)

const bgpHeader = 19

// Message is a BGP message with its header.
func Message(kind byte, body []byte) []byte {
	m := make([]byte, bgpHeader, bgpHeader+len(body))
	for i := range 16 {
		m[i] = 0xff
	}
	binary.BigEndian.PutUint16(m[16:], uint16(bgpHeader+len(body)))
	m[18] = kind
	return append(m, body...)
}

// bgpPacket is a message whose header says how long it is, or lies.
func bgpPacket(kind byte, body []byte, fields ...Field) Packet {
	return Packet{
		Octets: Message(kind, body),
		Fields: append([]Field{{0, 4}, {16, 2}, {18, 1}}, fields...),
		Refit: func(b []byte) {
			if len(b) >= bgpHeader {
				copy(b, Message(b[18], nil)[:16])
				binary.BigEndian.PutUint16(b[16:], uint16(len(b)))
			}
		},
	}
}

// OpenMessage is an OPEN of BGP version 4 with the capabilities of IPv4 unicast (RFC 4760), four-octet AS numbers
// (RFC 6793) and graceful restart (RFC 4724).
func OpenMessage(asn, hold uint16, id netip.Addr) Packet {
	body := []byte{4}
	body = binary.BigEndian.AppendUint16(body, asn)
	body = binary.BigEndian.AppendUint16(body, hold)
	body = append(body, id.AsSlice()...)
	capabilities := []byte{1, 4, 0, 1, 0, 1, 65, 4, 0, 0, byte(asn >> 8), byte(asn), 64, 6, 0x80, 120, 0, 1, 1, 0x80}
	body = append(body, byte(2+len(capabilities)), 2, byte(len(capabilities)))
	// Version, AS, hold time, identifier; lengths of the parameters, of one, and of its capabilities.
	return bgpPacket(Open, append(body, capabilities...), Field{19, 1}, Field{20, 2}, Field{22, 2}, Field{24, 4}, Field{28, 1}, Field{29, 1},
		Field{30, 1}, Field{32, 1}, Field{38, 1}, Field{44, 1})
}

// UpdateMessage is an UPDATE that tells a prefix, with the attributes ORIGIN, AS_PATH, NEXT_HOP, COMMUNITIES and
// MP_REACH_NLRI of IPv6.
func UpdateMessage(asn uint16, next netip.Addr, prefix netip.Prefix) Packet {
	attributes := []byte{
		0x40, 1, 1, 0,
		0x40, 2, 6, 2, 1, 0, 0, byte(asn >> 8), byte(asn),
		0x40, 3, 4,
	}
	attributes = append(attributes, next.AsSlice()...)
	attributes = append(attributes, 0xc0, 8, 4, 0xff, 0xff, 0xff, 1)
	reach := append([]byte{0, 2, 1, 16}, netip.MustParseAddr("2001:db8::3").AsSlice()...)
	reach = append(reach, 0, 64, 0x20, 1, 0xd, 0xb8, 0, 0x77, 0, 0)
	attributes = append(append(attributes, 0x80, 14, byte(len(reach))), reach...)
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attributes)))
	body = append(append(body, attributes...), byte(prefix.Bits()))
	body = append(body, prefix.Addr().AsSlice()[:(prefix.Bits()+7)/8]...)
	// Lengths of the withdrawn routes, of the attributes, flags, type and length of each, and of the prefix.
	fields := []Field{{19, 2}, {21, 2}}
	at := 23
	for rest := attributes; len(rest) > 2; {
		fields = append(fields, Field{at, 1}, Field{at + 1, 1}, Field{at + 2, 1}, Field{at + 3, 1})
		whole := 3 + int(rest[2])
		at, rest = at+whole, rest[whole:]
	}
	return bgpPacket(Update, body, append(fields, Field{at, 1})...)
}

// NotificationMessage closes a session, RFC 4271 section 4.5.
func NotificationMessage(code, subcode byte, data ...byte) Packet {
	return bgpPacket(Notification, append([]byte{code, subcode}, data...), Field{19, 1}, Field{20, 1})
}

// KeepaliveMessage is nothing but a header.
func KeepaliveMessage() Packet { return bgpPacket(Keepalive, nil) }

// RouteRefreshMessage asks for all routes of IPv4 unicast again, RFC 2918.
func RouteRefreshMessage() Packet {
	return bgpPacket(RouteRefresh, []byte{0, 1, 0, 1}, Field{19, 2}, Field{21, 1}, Field{22, 1})
}
