package bfd

import (
	"encoding/binary"
	"fmt"
	"time"
)

// State of a session, RFC 5880 section 4.1.
type State uint8

const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String returns the RFC's name.
func (s State) String() string { return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3] }

// Diagnostic says why a session went down, RFC 5880 section 4.1.
type Diagnostic uint8

const (
	NoDiagnostic                Diagnostic = 0
	ControlDetectionExpired     Diagnostic = 1
	EchoFailed                  Diagnostic = 2
	NeighborSignaledDown        Diagnostic = 3
	ForwardingPlaneReset        Diagnostic = 4
	PathDown                    Diagnostic = 5
	ConcatenatedPathDown        Diagnostic = 6
	AdministrativelyDown        Diagnostic = 7
	ReverseConcatenatedPathDown Diagnostic = 8
)

// String returns the RFC's name.
func (d Diagnostic) String() string {
	if names := [...]string{
		"No Diagnostic", "Control Detection Time Expired", "Echo Function Failed", "Neighbor Signaled Session Down",
		"Forwarding Plane Reset", "Path Down", "Concatenated Path Down", "Administratively Down",
		"Reverse Concatenated Path Down",
	}; int(d) < len(names) {
		return names[d]
	}
	return fmt.Sprintf("Diagnostic %d", uint8(d))
}

// packet is a BFD Control packet, RFC 5880 section 4.1.
type packet struct {
	diagnostic              Diagnostic // 5 bits
	state                   State
	poll, final             bool
	controlPlaneIndependent bool
	demand                  bool
	multiplier              uint8
	my, your                uint32 // discriminators
	// Whole microseconds on the wire.
	desiredMinTx, requiredMinRx, requiredMinEchoRx time.Duration
	auth                                           authentication
}

// authentication is the section of that name for Meticulous Keyed SHA1, RFC 5880 section 4.4. Its type is 0
// where the packet has none.
type authentication struct {
	kind, keyID uint8
	sequence    uint32
	digest      [digestOctets]byte
}

const (
	version      = 1
	headerOctets = 24
	// Offset and length of the authentication section of type 5, and of the digest within the packet.
	meticulousSHA1 = 5
	authOctets     = 28
	digestOffset   = headerOctets + 8
	digestOctets   = 20
	packetOctets   = headerOctets + authOctets

	flagPoll, flagFinal, flagIndependent, flagAuth, flagDemand, flagMultipoint = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
)

// appendTo appends the packet as it goes over the wire.
func (p *packet) appendTo(b []byte) []byte {
	flags, length := byte(p.state)<<6, byte(headerOctets)
	for _, f := range [...]struct {
		set bool
		bit byte
	}{
		{p.poll, flagPoll}, {p.final, flagFinal}, {p.controlPlaneIndependent, flagIndependent}, {p.demand, flagDemand},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	if p.auth.kind != 0 {
		flags, length = flags|flagAuth, packetOctets
	}
	b = append(b, version<<5|byte(p.diagnostic)&0x1f, flags, p.multiplier, length)
	for _, v := range [...]uint32{p.my, p.your, micros(p.desiredMinTx), micros(p.requiredMinRx), micros(p.requiredMinEchoRx)} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	if p.auth.kind != 0 {
		b = append(b, p.auth.kind, authOctets, p.auth.keyID, 0)
		b = binary.BigEndian.AppendUint32(b, p.auth.sequence)
		b = append(b, p.auth.digest[:]...)
	}
	return b
}

// micros rounds to what the field holds: at most an hour and a bit.
func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}

// decode reads a packet and checks all that RFC 5880 sections 6.8.6 and 6.7.4 ask of it alone. Octets after its
// length are ignored.
func decode(b []byte) (p packet, err error) {
	if len(b) < headerOctets {
		return p, fmt.Errorf("%d octets are less than a header of %d", len(b), headerOctets)
	}
	flags, length := b[1], int(b[3])
	want := headerOctets
	if flags&flagAuth != 0 {
		want += 2 // type and length of the authentication section
	}
	switch {
	case b[0]>>5 != version:
		return p, fmt.Errorf("version %d is not %d", b[0]>>5, version)
	case length < want:
		return p, fmt.Errorf("length %d is less than %d", length, want)
	case length > len(b):
		return p, fmt.Errorf("length %d is more than the %d octets received", length, len(b))
	case flags&flagMultipoint != 0:
		return p, fmt.Errorf("the Multipoint bit is set")
	case flags&flagPoll != 0 && flags&flagFinal != 0:
		return p, fmt.Errorf("the Poll and Final bits are both set") // section 6.5
	}
	p = packet{
		diagnostic: Diagnostic(b[0] & 0x1f), state: State(flags >> 6),
		poll: flags&flagPoll != 0, final: flags&flagFinal != 0,
		controlPlaneIndependent: flags&flagIndependent != 0, demand: flags&flagDemand != 0,
		multiplier: b[2],
		my:         binary.BigEndian.Uint32(b[4:]), your: binary.BigEndian.Uint32(b[8:]),
		desiredMinTx: duration(b[12:]), requiredMinRx: duration(b[16:]), requiredMinEchoRx: duration(b[20:]),
	}
	switch {
	case p.multiplier == 0:
		return p, fmt.Errorf("Detect Mult is 0")
	case p.my == 0:
		return p, fmt.Errorf("My Discriminator is 0")
	case p.your == 0 && p.state != Down && p.state != AdminDown:
		return p, fmt.Errorf("Your Discriminator is 0 in state %s", p.state)
	case flags&flagAuth == 0 && length != headerOctets:
		return p, fmt.Errorf("length %d of a packet without authentication is not %d", length, headerOctets)
	case flags&flagAuth == 0:
		return p, nil
	}
	switch a := b[headerOctets:length]; {
	case a[0] != meticulousSHA1:
		return p, fmt.Errorf("authentication type %d is not %d, Meticulous Keyed SHA1", a[0], meticulousSHA1)
	case a[1] != authOctets || len(a) != authOctets:
		return p, fmt.Errorf("authentication of %d octets in a section of %d is not of %d", a[1], len(a), authOctets)
	default:
		p.auth = authentication{kind: a[0], keyID: a[2], sequence: binary.BigEndian.Uint32(a[4:]), digest: [digestOctets]byte(a[8:])}
	}
	return p, nil
}

func duration(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
