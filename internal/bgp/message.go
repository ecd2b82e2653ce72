package bgp

import (
	"bufio"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// message is a whole message, header included (RFC 4271 section 4.1).
type message []byte

type kind uint8

// Types of messages.
const (
	kindOpen kind = iota + 1
	kindUpdate
	kindNotification
	kindKeepalive
	kindRefresh // RFC 2918
)

var kindNames = [...]string{kindOpen: "open", kindUpdate: "update", kindNotification: "notification", kindKeepalive: "keepalive", kindRefresh: "route_refresh"}

const (
	markerLength = 16
	headerLength = 19
	// maxLength: nobody is told that longer ones are understood (RFC 8654).
	maxLength = 4096
)

// minLengths by type, section 4.
var minLengths = [...]int{kindOpen: 29, kindUpdate: 23, kindNotification: 21, kindKeepalive: 19, kindRefresh: 23}

var keepaliveMessage = newMessage(kindKeepalive, nil)

func newMessage(k kind, body []byte) message {
	m := make(message, headerLength, headerLength+len(body))
	for i := range m[:markerLength] {
		m[i] = 0xFF
	}
	binary.BigEndian.PutUint16(m[markerLength:], uint16(headerLength+len(body)))
	m[18] = byte(k)
	return append(m, body...)
}

func (m message) kind() kind   { return kind(m[18]) }
func (m message) body() []byte { return m[headerLength:] }

// measure returns the length of a message by its header, or the notification that section 6.1 asks for.
func measure(header []byte) (int, error) {
	for _, b := range header[:markerLength] {
		if b != 0xFF {
			return 0, notification{code: headerError, subcode: notSynchronized}
		}
	}
	length, k := int(binary.BigEndian.Uint16(header[markerLength:])), kind(header[18])
	switch {
	case k < kindOpen || k > kindRefresh:
		return 0, notification{headerError, badType, []byte{byte(k)}}
	case length < minLengths[k] || length > maxLength || k == kindKeepalive && length != headerLength:
		return 0, notification{headerError, badLength, slices.Clone(header[markerLength : markerLength+2])}
	}
	return length, nil
}

// readMessage returns the next message, which is valid until the reader is used again. A header that is none is a
// notification as an error.
func readMessage(r *bufio.Reader) (message, error) {
	header, err := r.Peek(headerLength)
	if err != nil {
		return nil, err
	}
	length, err := measure(header)
	if err != nil {
		return nil, err
	}
	m, err := r.Peek(length)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(length)
	return m, err
}

// hasMessage tells whether the next message can be read without waiting.
func hasMessage(r *bufio.Reader) bool {
	if r.Buffered() < headerLength {
		return false
	}
	header, _ := r.Peek(headerLength)
	length, err := measure(header)
	return err != nil || r.Buffered() >= length
}

const (
	afiIPv4, afiIPv6 = 1, 2
	safiUnicast      = 1
)

// familyOf returns the family of an AFI and a SAFI, false if it is none of ours.
func familyOf(afi uint16, safi uint8) (lb.Family, bool) {
	switch {
	case safi != safiUnicast:
	case afi == afiIPv4:
		return lb.IPv4, true
	case afi == afiIPv6:
		return lb.IPv6, true
	}
	return 0, false
}

func afiOf(f lb.Family) uint16 {
	if f == lb.IPv4 {
		return afiIPv4
	}
	return afiIPv6
}

// endOfRIB says that all routes of a family were sent (RFC 4724 section 2).
func endOfRIB(f lb.Family) message {
	if f == lb.IPv4 {
		return newMessage(kindUpdate, make([]byte, 4))
	}
	// No withdrawn routes, six octets of attributes: MP_UNREACH_NLRI, optional, of three octets.
	return newMessage(kindUpdate, []byte{0, 0, 0, 6, 0x80, 15, 3, 0, afiIPv6, safiUnicast})
}

// isEndOfRIB tells whether an UPDATE is an End-of-RIB marker, and of which family; false for those of others'.
func isEndOfRIB(m message) (lb.Family, bool) {
	b := m.body()
	if len(b) == 4 && b[0]|b[1]|b[2]|b[3] == 0 {
		return lb.IPv4, true
	}
	if len(b) < 4 || b[0]|b[1] != 0 {
		return 0, false
	}
	a := b[4:]
	switch {
	case int(binary.BigEndian.Uint16(b[2:])) != len(a):
	case len(a) == 6 && a[0]&0x10 == 0 && a[1] == 15 && a[2] == 3:
		return familyOf(binary.BigEndian.Uint16(a[3:]), a[5])
	case len(a) == 7 && a[0]&0x10 != 0 && a[1] == 15 && a[2] == 0 && a[3] == 3: // extended length
		return familyOf(binary.BigEndian.Uint16(a[4:]), a[6])
	}
	return 0, false
}

// refreshFamily returns the family that a ROUTE-REFRESH asks for, false if it asks for nothing of ours. The octet
// between AFI and SAFI makes it something else (RFC 7313), and longer ones have filters (RFC 5291): neither was
// agreed on.
func refreshFamily(m message) (lb.Family, bool) {
	b := m.body()
	if len(b) != 4 || b[2] != 0 {
		return 0, false
	}
	return familyOf(binary.BigEndian.Uint16(b), b[3])
}

// sortedFamilies returns families, each once, IPv4 before IPv6.
func sortedFamilies(families []lb.Family) []lb.Family {
	slices.Sort(families)
	return slices.Compact(families)
}

// identifier is a BGP Identifier in the form of an IPv4 address.
func identifier(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
