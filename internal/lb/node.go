package lb

import (
	"net"
	"net/netip"
)

// Interface is what speakers tell each other of a node's network interface.
type Interface struct {
	Name string
	// HardwareAddr is its Ethernet address, six octets.
	HardwareAddr net.HardwareAddr
	// Prefixes are the interface's addresses with the length of their subnet.
	Prefixes []netip.Prefix
}

// NodeState is what a node's speaker tells the others of its node.
type NodeState struct {
	Node string
	// Version grows with each change; the highest counts.
	Version    uint64
	Interfaces []Interface
}

// GossipUpdate is what a speaker has learnt from the others since it last looked.
type GossipUpdate struct {
	// Joined are the states of nodes that take part, new or changed.
	Joined []NodeState
	// Left and Lost are nodes that take part no longer: with a good-bye, and without.
	Left, Lost []string
	Claims     []Claim
}
