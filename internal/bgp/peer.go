package bgp

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Peer is a router that this node is to have a session with, and how. It is a value: two that are equal by
// Equal make the same session.
type Peer struct {
	// Name of the BGPPeer.
	Name string
	// ASN is this node's AS number as the router sees it.
	ASN uint32
	// PeerASN is the router's AS number; 0 for any but ASN, which makes the session external.
	PeerASN uint32
	// Address of the router; invalid where Interface is set.
	Address netip.Addr
	// Interface whose one IPv6 link-local neighbour that is a router is the peer (unnumbered); else empty.
	Interface string
	// Port is the router's TCP port, and where this node waits for the router if Passive is set.
	Port uint16
	// Source is this node's address of the session; invalid for the kernel's choice.
	Source netip.Addr
	// VRF is the device to bind to; empty for none.
	VRF string
	// RouterID is the BGP Identifier, an IPv4 address by its form (RFC 6286).
	RouterID netip.Addr
	// HoldTime to offer, 0 or at least 3 s; KeepaliveTime 0 for a third of the negotiated hold time; both in
	// whole seconds. ConnectTime is the longest pause between two attempts to connect.
	HoldTime, KeepaliveTime, ConnectTime time.Duration
	// Password is the key of TCP MD5 (RFC 2385); empty for none.
	Password Password
	// GracefulRestart keeps the router forwarding while the speaker restarts (RFC 4724).
	GracefulRestart bool
	// MultiHop allows an external peer that is several hops away.
	MultiHop bool
	// Hops is how far away the router may be under GTSM (RFC 5082), 0 where that is not asked for.
	Hops uint8
	// Passive waits for the router to connect.
	Passive bool
	// Families to exchange, IPv4 before IPv6.
	Families []lb.Family
	// ExtendedNextHop advertises IPv4 prefixes with an IPv6 next hop (RFC 8950).
	ExtendedNextHop bool
	// NextHops are this node's addresses, by family, for prefixes of the family that the session itself is not
	// of; invalid where the node has none.
	NextHops [2]netip.Addr
	// BFD is the timing of the BFD session beside it; nil for none.
	BFD *BFD
}

// BFD is how a router is watched (RFC 5880).
type BFD struct {
	// Profile is the name of the BFDProfile.
	Profile           string
	Receive, Transmit time.Duration
	Multiplier        uint8
	Passive           bool
	// MinimumTTL is the lowest TTL that packets of a multi-hop session may have (RFC 5883 section 5).
	MinimumTTL uint8
}

// Password is a secret. It shows itself to nobody who prints or logs it.
type Password string

// String returns no more than whether there is one.
func (p Password) String() string {
	if p == "" {
		return ""
	}
	return "(set)"
}

// GoString is String.
func (p Password) GoString() string { return p.String() }

// MarshalText is String.
func (p Password) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// LogValue is String.
func (p Password) LogValue() slog.Value { return slog.StringValue(p.String()) }
