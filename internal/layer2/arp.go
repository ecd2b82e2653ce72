package layer2

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Offsets in an Ethernet frame that carries ARP for IPv4 over Ethernet (RFC 826): 14 octets of header,
// then hardware type, protocol type, two lengths, operation, and the two pairs of addresses.
const (
	arpTypesOffset     = 14
	arpOperationOffset = 20
	arpSenderHWOffset  = 22
	arpSenderIPOffset  = 28
	arpTargetHWOffset  = 32
	arpTargetIPOffset  = 38
	arpFrameLength     = 42
	arpTypes           = 0x0001_0800_0604_0000 // Ethernet, IPv4, their lengths 6 and 4; operation masked
	arpTypesMask       = 0xffff_ffff_ffff_0000
)

// arpPacket is ARP for IPv4 over Ethernet in RFC 826's terms.
type arpPacket struct {
	operation arp.Operation
	senderHW  net.HardwareAddr
	sender    netip.Addr
	targetHW  net.HardwareAddr // nil is all zeros
	target    netip.Addr
}

// readARP returns the packet in a frame, with slices of the frame in it.
func readARP(frame []byte) (p arpPacket, ok bool) {
	if len(frame) < arpFrameLength || ethernet.EtherType(binary.BigEndian.Uint16(frame[12:])) != ethernet.EtherTypeARP {
		return p, false
	}
	types := binary.BigEndian.Uint64(frame[arpTypesOffset:])
	return arpPacket{
		operation: arp.Operation(types &^ arpTypesMask),
		senderHW:  net.HardwareAddr(frame[arpSenderHWOffset:arpSenderIPOffset]),
		sender:    netip.AddrFrom4([4]byte(frame[arpSenderIPOffset:])),
		targetHW:  net.HardwareAddr(frame[arpTargetHWOffset:arpTargetIPOffset]),
		target:    netip.AddrFrom4([4]byte(frame[arpTargetIPOffset:])),
	}, types&arpTypesMask == arpTypes
}

// frame puts the packet in a frame. The frame's source is always the interface's own hardware address, also
// where the packet speaks of another node's: a switch must not learn that node on our port.
func (p arpPacket) frame(destination, source net.HardwareAddr) []byte {
	frame, payload := ethernetFrame(destination, source, uint16(ethernet.EtherTypeARP), arpFrameLength-ethernetLength)
	binary.BigEndian.PutUint64(payload, arpTypes|uint64(p.operation))
	copy(frame[arpSenderHWOffset:], p.senderHW)
	copy(frame[arpSenderIPOffset:], p.sender.AsSlice())
	copy(frame[arpTargetHWOffset:], p.targetHW)
	copy(frame[arpTargetIPOffset:], p.target.AsSlice())
	return frame
}

// answerARP decides what to do with a received frame, and makes the reply if one is due.
func answerARP(frame []byte, l link, ours holder) outcome {
	p, ok := readARP(frame)
	if !ok {
		return outcome{verdict: Malformed}
	}
	as, asked := ours(p.target)
	usedAs, used := ours(p.sender)
	destination := net.HardwareAddr(frame[:6])
	switch {
	case !asked && !used:
		return outcome{verdict: NotOurs}
	case !l.forUs(destination):
		return outcome{verdict: Ignored}
	case !isHost(p.senderHW):
		// RFC 826 has no such sender; a reply would go to everybody.
		return outcome{verdict: Malformed}
	case l.own(p.senderHW), p.operation != arp.OperationRequest && p.operation != arp.OperationReply:
		return outcome{verdict: Ignored} // our own announcement, come back, or a stand-in's for us
	case used && same(p.senderHW, usedAs), asked && same(p.senderHW, as):
		return outcome{verdict: Ignored} // the node that we stand in for: it has the address
	case used:
		// RFC 5227 section 2.4: whatever the packet is about, its sender uses the address.
		return outcome{verdict: Contested, address: p.sender, rival: p.senderHW}
	case p.operation != arp.OperationRequest:
		return outcome{verdict: Ignored}
	}
	if as == nil {
		as = l.hardwareAddr
	}
	reply := arpPacket{arp.OperationReply, as, p.target, p.senderHW, p.sender}.frame(p.senderHW, l.hardwareAddr)
	if p.sender.IsUnspecified() && isGroup(destination) {
		// A probe, RFC 5227 section 2.1.1. By unicast it is another speaker's question whether we are there.
		return outcome{verdict: Defended, reply: reply, address: p.target, rival: p.senderHW}
	}
	return outcome{verdict: Answered, reply: reply}
}

// announceARP returns an ARP announcement in its two forms: as request (RFC 5227 section 2.3) and as reply,
// since there are hosts that listen to only one of them.
func announceARP(address netip.Addr, l link, as net.HardwareAddr) [][]byte {
	request := arpPacket{operation: arp.OperationRequest, senderHW: as, sender: address, target: address}
	reply := arpPacket{arp.OperationReply, as, address, as, address}
	return [][]byte{
		request.frame(ethernet.Broadcast, l.hardwareAddr),
		reply.frame(ethernet.Broadcast, l.hardwareAddr),
	}
}
