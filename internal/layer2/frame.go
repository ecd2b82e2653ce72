package layer2

import "net"

// Verdict is what became of a received frame. The names are the values of a metric's label.
type Verdict string

const (
	Answered  Verdict = "answered"
	NotOurs   Verdict = "not_ours"  // asks for an address that this node does not answer for
	Ignored   Verdict = "ignored"   // needs no answer: a reply, an announcement of another address
	Malformed Verdict = "malformed" // is not what its type says, or breaks a rule that its RFC sets
	// Conflict is a frame in which another host says that it has an address that we answer for.
	Conflict Verdict = "conflict"
)

// link is what answering on an interface takes to know of it.
type link struct {
	hardwareAddr net.HardwareAddr
}

// forUs tells whether a frame's destination makes it one that this interface should look at. A packet
// socket also sees what other hosts are sent when the interface is in promiscuous mode.
func (l link) forUs(destination net.HardwareAddr) bool {
	return isGroup(destination) || string(destination) == string(l.hardwareAddr)
}

// isGroup tells whether a hardware address is multicast or broadcast.
func isGroup(a net.HardwareAddr) bool { return len(a) > 0 && a[0]&1 == 1 }

// isZero tells whether a hardware address is all zeros, which no interface has.
func isZero(a net.HardwareAddr) bool {
	for _, b := range a {
		if b != 0 {
			return false
		}
	}
	return true
}
