package lb

import (
	"net"
	"net/netip"
	"slices"
	"time"
)

// Interface is what speakers tell each other of a node's network interface.
type Interface struct {
	Name string
	// HardwareAddr is its Ethernet address, six octets.
	HardwareAddr net.HardwareAddr
	// Prefixes are the interface's addresses with the length of their subnet.
	Prefixes []netip.Prefix
	// Slaves are the Ethernet addresses of a bond's slaves where its frames and ARP messages may have them in place of
	// its own (balance-tlb, balance-alb).
	Slaves []net.HardwareAddr
}

// HardwareAddrs returns all Ethernet addresses by which others may know the interface.
func (i Interface) HardwareAddrs() []net.HardwareAddr {
	return append(slices.Clone(i.Slaves), i.HardwareAddr)
}

// NodeState is what a node's speaker tells the others of its node.
type NodeState struct {
	Node string
	// Version grows with each change, and when the speaker contradicts a Suspicion; the highest counts.
	Version    uint64
	Interfaces []Interface
	// Starting is true until the speaker answers for what it owns.
	Starting bool
	Penalty  Penalty
}

// Penalty is what a node has got for being lost again and again (RFC 2439's figure of merit). The node itself
// says it, so that all others choose alike.
type Penalty struct {
	Value float64
	// At is when the value was right; it decays.
	At time.Time
	// Reuse is until when the node is suppressed; zero if it never was.
	Reuse time.Time
}

// Suspicion says that a node's speaker is not heard any more. It holds until the speaker contradicts it by a
// state of a higher version.
type Suspicion struct {
	Node string
	// Version of the node's state when it was heard last.
	Version uint64
	// Silent is true if its kernel does not answer on the segment any more either.
	Silent bool
	// Unheard is for how long the node had not been heard by who suspects it; zero if that is not known.
	Unheard time.Duration
}

// Replaces tells whether s says more than another suspicion of the same node.
func (s Suspicion) Replaces(other Suspicion) bool {
	return s.Version > other.Version || (s.Version == other.Version && s.Silent && !other.Silent)
}

// Offer is an owner's wish that another node take an address over. It is of use while the owner's claim of
// that epoch counts.
type Offer struct {
	Address netip.Addr
	To      string
	Epoch   uint64
	// Held is true if the segment shows that the other node has the address already, by another system, and the owner
	// by its claim alone: it never answered.
	Held bool
}

// GossipUpdate is what a speaker has learnt from the others since it last looked.
type GossipUpdate struct {
	// Joined are the states of nodes that take part, new or changed.
	Joined []NodeState
	// Left and Lost are nodes that take part no longer: with a good-bye, and without.
	Left, Lost []string
	Suspicions []Suspicion
	// Losses is how often others found this node itself to be lost.
	Losses int
	// Resting are nodes that were not heard here, but by others, who take only their speakers for gone.
	Resting []NodeState
	Claims  []Claim
	Offers  []Offer
}
