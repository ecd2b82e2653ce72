package bgp

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// State is a state of RFC 4271 section 8.2.2.
type State string

// The states of a session.
const (
	Idle        State = "Idle"
	Connect     State = "Connect"
	Active      State = "Active"
	OpenSent    State = "OpenSent"
	OpenConfirm State = "OpenConfirm"
	Established State = "Established"
)

// SessionStatus is what there is to see of a session.
type SessionStatus struct {
	// Peer is the name of the BGPPeer.
	Peer string
	// Address of the router, with a zone where it is link-local; invalid while it is not known. Local is this
	// node's, invalid without a connection.
	Address, Local netip.Addr
	State          State
	// Since is when the session came into being Established or stopped being it.
	Since time.Time
	// PeerASN and RouterID are what the router said of itself, zero before.
	PeerASN  uint32
	RouterID netip.Addr
	// HoldTime is the negotiated one, 0 while not Established or if there is none. Families both sides offered.
	HoldTime time.Duration
	Families []lb.Family
	// GracefulRestart is true if the router keeps routes while this speaker restarts.
	GracefulRestart bool
	// Messages of all types, and UPDATEs among them, in both directions since the session was established.
	Received, Sent, UpdatesReceived, UpdatesSent uint64
	// Advertised is how many prefixes the router has from this node.
	Advertised int
	// WithoutNextHop is how many prefixes are not advertised since this node has no address of their family to give
	// as next hop.
	WithoutNextHop int
	// LastError is why the session last went down or did not come up, in words; empty if it never did.
	LastError     string
	LastErrorTime time.Time
	// Established counts how often the session was.
	Established uint64
	// BFD is the BFD session beside it, nil without one.
	BFD *BFDStatus
}

// BFDStatus is what there is to see of the BFD session beside a session.
type BFDStatus struct {
	// State as RFC 5880 names it: AdminDown, Down, Init, Up.
	State string
	// Diagnostic is why it last went down, in words; empty if it never did.
	Diagnostic string
	// Interval is what this node sends in, RemoteInterval what the router does; Detection is how long the router may be
	// silent, zero while it is not heard.
	Interval, RemoteInterval, Detection time.Duration
}
