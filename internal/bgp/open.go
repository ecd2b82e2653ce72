package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// open is what an OPEN says (RFC 4271 section 4.2), as far as it matters here.
type open struct {
	version uint8
	// asn is that of the 4-octet capability (RFC 6793), else of the header.
	asn uint32
	// holdTime is in seconds.
	holdTime uint16
	id       netip.Addr
	// fourOctets is true if AS numbers have four octets in UPDATEs (RFC 6793).
	fourOctets bool
	// families that are exchanged, IPv4 if the message does not say (RFC 4760 section 8).
	families []lb.Family
	// extendedNextHop is true if IPv4 prefixes may have IPv6 next hops (RFC 8950).
	extendedNextHop bool
	// restart is true if graceful restart is known (RFC 4724), and restartFamilies are those whose routes its
	// sender keeps over a restart of its own.
	restart         bool
	restartFamilies []lb.Family
	// capabilities are those that this node has a use for, as they came.
	capabilities []byte
}

// Capabilities of IANA's registry.
const (
	capabilityMultiprotocol   = 1  // RFC 4760
	capabilityRefresh         = 2  // RFC 2918
	capabilityExtendedNextHop = 5  // RFC 8950
	capabilityRestart         = 64 // RFC 4724
	capabilityFourOctetAS     = 65 // RFC 6793
)

// asTrans stands for an AS number that does not fit in two octets.
const asTrans = 23456

// errMalformedOpen is RFC 4271's answer to an OPEN that cannot be made out: section 6.2 has no subcode for it.
var errMalformedOpen = notification{code: openError}

// parseOpen takes the body of an OPEN apart. The error is the notification to answer with.
func parseOpen(body []byte) (o open, err error) {
	if len(body) < 10 {
		return open{}, errMalformedOpen
	}
	if o.version = body[0]; o.version != 4 {
		return open{}, notification{openError, badVersion, []byte{0, 4}}
	}
	o.asn = uint32(binary.BigEndian.Uint16(body[1:]))
	o.holdTime = binary.BigEndian.Uint16(body[3:])
	o.id = identifier(body[5:9])
	parameters, wide := body[10:], false
	length := int(body[9])
	if length == 255 && len(parameters) >= 3 && parameters[0] == 255 { // RFC 9072
		wide, length, parameters = true, int(binary.BigEndian.Uint16(parameters[1:])), parameters[3:]
	}
	if length != len(parameters) {
		return open{}, errMalformedOpen
	}
	said := false // which families there are
	for len(parameters) > 0 {
		kind, value, rest, ok := cutParameter(parameters, wide)
		if !ok {
			return open{}, errMalformedOpen
		}
		if parameters = rest; kind != 2 { // RFC 5492
			return open{}, notification{code: openError, subcode: 4}
		}
		for len(value) > 0 {
			if len(value) < 2 || len(value) < 2+int(value[1]) {
				return open{}, errMalformedOpen
			}
			if value[0] == capabilityMultiprotocol {
				said = true
			}
			o.take(value[0], value[2:2+int(value[1])])
			value = value[2+int(value[1]):]
		}
	}
	if o.families = sortedFamilies(o.families); !said {
		o.families = []lb.Family{lb.IPv4}
	}
	o.restartFamilies = sortedFamilies(o.restartFamilies)
	return o, nil
}

func cutParameter(b []byte, wide bool) (kind byte, value, rest []byte, ok bool) {
	header, length := 2, 0
	if wide {
		header = 3
	}
	if len(b) < header {
		return 0, nil, nil, false
	}
	if length = int(b[1]); wide {
		length = int(binary.BigEndian.Uint16(b[1:]))
	}
	if len(b) < header+length {
		return 0, nil, nil, false
	}
	return b[0], b[header : header+length], b[header+length:], true
}

// take takes a capability in. One that is not known, or not of the form that it should have, is as good as not
// there (RFC 5492 section 3).
func (o *open) take(code byte, value []byte) {
	switch {
	case code == capabilityMultiprotocol && len(value) == 4:
		f, ok := familyOf(binary.BigEndian.Uint16(value), value[3])
		if !ok || slices.Contains(o.families, f) {
			return
		}
		o.families = append(o.families, f)
	case code == capabilityRefresh && len(value) == 0:
	case code == capabilityExtendedNextHop && len(value)%6 == 0:
		for b := value; len(b) > 0; b = b[6:] {
			if [6]byte(b) == [6]byte{0, afiIPv4, 0, safiUnicast, 0, afiIPv6} {
				o.extendedNextHop = true
			}
		}
		return // nothing that comes in is made use of
	case code == capabilityRestart && len(value) >= 2 && len(value)%4 == 2:
		o.restart, o.restartFamilies = true, nil // of several, the last counts
		kept := slices.Clone(value[:2])
		for b := value[2:]; len(b) > 0; b = b[4:] {
			if f, ok := familyOf(binary.BigEndian.Uint16(b), b[2]); ok {
				o.restartFamilies = append(o.restartFamilies, f)
				kept = append(kept, b[:4]...)
			}
		}
		value = kept
	case code == capabilityFourOctetAS && len(value) == 4:
		o.asn, o.fourOctets = binary.BigEndian.Uint32(value), true
	default:
		return
	}
	if 2+len(o.capabilities)+2+len(value) <= 255 { // else it is there many times over
		o.capabilities = append(append(o.capabilities, code, byte(len(value))), value...)
	}
}

// message returns an OPEN that says the same with a hold time of its own, of the capabilities that are known: so
// GoBGP gets nothing to parse that it was not asked to understand.
func (o open) message(holdTime uint16) message {
	as := uint16(asTrans)
	if o.asn <= 0xFFFF {
		as = uint16(o.asn)
	}
	body := []byte{o.version}
	body = binary.BigEndian.AppendUint16(body, as)
	body = binary.BigEndian.AppendUint16(body, holdTime)
	body = append(body, o.id.AsSlice()...)
	if len(o.capabilities) == 0 {
		return newMessage(kindOpen, append(body, 0))
	}
	body = append(body, byte(2+len(o.capabilities)), 2, byte(len(o.capabilities)))
	return newMessage(kindOpen, append(body, o.capabilities...))
}

// common returns the families that both sides have, IPv4 before IPv6.
func common(a, b []lb.Family) (both []lb.Family) {
	for _, f := range lb.Families {
		if slices.Contains(a, f) && slices.Contains(b, f) {
			both = append(both, f)
		}
	}
	return both
}

func familyNames(families []lb.Family) (names []string) {
	for _, f := range families {
		names = append(names, f.String())
	}
	return names
}
