package layer2

import (
	"net"
	"net/netip"
)

// Verdict is what became of a received frame. The names are the values of a metric's label.
type Verdict string

const (
	Answered Verdict = "answered"
	// Defended is a frame in which another host asks whether an address is free that we answer for (RFC 5227
	// section 2.1.1, RFC 4862 section 5.4). It is answered: the address is taken.
	Defended  Verdict = "defended"
	NotOurs   Verdict = "not_ours"  // asks for an address that this node does not answer for
	Ignored   Verdict = "ignored"   // needs no answer: a reply, what we sent ourselves
	Stale     Verdict = "stale"     // came when the lease was over: what this node knew is too old to answer
	Malformed Verdict = "malformed" // is not what its type says, or breaks a rule that its RFC sets
	Heard     Verdict = "heard"     // claims of another speaker, handed on
	// Contested is a frame in which another host says that it has an address that we answer for.
	Contested Verdict = "conflict"
)

// outcome is what a received frame leads to.
type outcome struct {
	verdict Verdict
	reply   []byte // what to send: nil if nothing
	// address and rival are, for Contested and Defended, what another host has or wants, and its hardware
	// address.
	address netip.Addr
	rival   net.HardwareAddr
}

// holder tells whether an address is answered for, and with the hardware address of which other node: nil
// for the interface's own.
type holder func(netip.Addr) (as net.HardwareAddr, ok bool)

// stations are the hardware addresses of this node's interfaces. Two of them may be on one segment, and what
// one announces is no conflict at the other.
type stations map[[6]byte]bool

// link is what answering on an interface takes to know of it.
type link struct {
	hardwareAddr net.HardwareAddr
	node         stations
}

// forUs tells whether a frame's destination makes it one that this interface should look at. A packet
// socket also sees what other hosts are sent when the interface is in promiscuous mode.
func (l link) forUs(destination net.HardwareAddr) bool {
	return isGroup(destination) || same(destination, l.hardwareAddr)
}

// own tells whether a hardware address is one of this node.
func (l link) own(a net.HardwareAddr) bool {
	return same(a, l.hardwareAddr) || (len(a) == 6 && l.node[[6]byte(a)])
}

func same(a, b net.HardwareAddr) bool { return string(a) == string(b) }

// isGroup tells whether a hardware address is multicast or broadcast.
func isGroup(a net.HardwareAddr) bool { return len(a) > 0 && a[0]&1 == 1 }

// isHost tells whether a hardware address can be that of an interface: no group, and not all zeros.
func isHost(a net.HardwareAddr) bool {
	return len(a) == 6 && !isGroup(a) && [6]byte(a) != [6]byte{}
}

// minFrame is the length to which a frame is padded, without the check sequence (IEEE 802.3).
const minFrame = 60

// ethernetFrame returns a frame with room for a payload of length octets, and the payload.
func ethernetFrame(destination, source net.HardwareAddr, etherType uint16, length int) (frame, payload []byte) {
	frame = make([]byte, max(minFrame, ethernetLength+length))
	copy(frame, destination)
	copy(frame[6:], source)
	frame[12], frame[13] = byte(etherType>>8), byte(etherType)
	return frame, frame[ethernetLength : ethernetLength+length]
}
