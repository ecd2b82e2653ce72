// Package layer2 makes addresses reachable on a segment: it decides which node owns each address, answers
// ARP (RFC 826) and Neighbor Discovery (RFC 4861) for those that this node owns, and announces them.
//
// The decision is the Elector: a value that is told of addresses, nodes and claims and that says who owns
// what. It knows no clock (time is an argument), no network and no Kubernetes. What is on the wire is
// decided by pure functions from a frame to its answer (arp.go, ndp.go). Around them is a thin shell: the
// Responder's sockets, the Announcer's schedule, and the Engine that joins them to gossip.
//
// Ownership is non-revertive: who owns an address keeps it for as long as it is a candidate, since every
// move breaks the connections through it. An owner's claim is known to all by gossip; without one the
// owner is chosen by rendezvous hashing with bounded loads.
package layer2
