package lb

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// Claim says that a node owns an address. Of all claims to an address the one that beats the others
// counts, for everybody and for good, in whatever order they are heard: so speakers that heard the same
// claims agree, and those that did not agree as soon as they have.
type Claim struct {
	Address netip.Addr
	// Node that owns the address; empty once its owner has let go of an address that is no longer needed.
	Node string
	// Epoch grows with each change of owner.
	Epoch    uint64
	Standing Standing
	// Of is the Service that the address was of, where Node is empty: who has not heard yet that the Service is
	// gone must not take the address again.
	Of Key
	// Asking is true while Node does not answer yet, as another system may: it asks the segment who has the address.
	Asking bool
}

// Standing says how sure a claimant is that the owner before it is gone, and is not itself cut off.
type Standing uint8

const (
	// Confirmed: there was no other owner, it said good-bye, or a majority of the speakers has been seen for
	// a while since the takeover. Nobody contests it.
	Confirmed Standing = iota
	// Pending: a majority was seen at the takeover. A node that is being cut off sees the others go one by
	// one, and so has a majority a moment longer: an owner that was in the majority all the time contests it.
	Pending
	// Provisional: no majority was seen. An owner that is still there contests it.
	Provisional
)

// Beats tells whether c counts rather than other: the higher epoch does, then the surer standing, then the
// higher rank, then that its node answers. Of two that differ one beats the other; a claim never beats itself.
func (c Claim) Beats(other Claim) bool {
	switch {
	case c.Epoch != other.Epoch:
		return c.Epoch > other.Epoch
	case c.Standing != other.Standing:
		return c.Standing < other.Standing
	case c.Node == other.Node && c.Asking != other.Asking:
		return other.Asking
	case c.Node == other.Node:
		return c.Of.Less(other.Of) // two have let go of it at once, for Services of their own
	case c.Node == "":
		return false
	case other.Node == "":
		return true
	}
	return Outranks(c.Address, c.Node, other.Node)
}

// Rank is a node's weight for an address in rendezvous hashing: a number that all speakers compute alike,
// and that is as good as random between addresses, so that they spread over the nodes and those of a node
// that is lost spread over the rest.
func Rank(address netip.Addr, node string) uint64 {
	a := address.As16()
	var room [128]byte // for most names, so that nothing is allocated
	sum := sha256.Sum256(append(append(room[:0], a[:]...), node...))
	return binary.BigEndian.Uint64(sum[:])
}

// Outranks tells whether node comes before other in an address's order. Names break a tie of ranks.
func Outranks(address netip.Addr, node, other string) bool {
	a, b := Rank(address, node), Rank(address, other)
	if a != b {
		return a > b
	}
	return node < other
}
