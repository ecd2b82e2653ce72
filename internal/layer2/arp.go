package layer2

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Offsets in an Ethernet frame that carries ARP for IPv4 over Ethernet (RFC 826): 14 octets of header,
// then hardware type, protocol type, two lengths, operation, and the two pairs of addresses.
const (
	arpTypesOffset    = 14
	arpTargetIPOffset = 38
	arpFrameLength    = 42
	arpTypes          = 0x0001_0800_0604_0000 // Ethernet, IPv4, their lengths 6 and 4; operation masked
	arpTypesMask      = 0xffff_ffff_ffff_0000
)

// answerARP decides what to do with a received frame, and makes the reply if one is due. Most frames on a
// segment ask for other addresses: they are told by four octets, before anything is parsed.
func answerARP(frame []byte, l link, ours func(netip.Addr) bool) ([]byte, Verdict) {
	if len(frame) < arpFrameLength || binary.BigEndian.Uint64(frame[arpTypesOffset:])&arpTypesMask != arpTypes {
		return nil, Malformed
	}
	target := netip.AddrFrom4([4]byte(frame[arpTargetIPOffset:]))
	if !ours(target) {
		return nil, NotOurs
	}
	var f ethernet.Frame
	var p arp.Packet
	if err := f.UnmarshalBinary(frame); err != nil || f.EtherType != ethernet.EtherTypeARP {
		return nil, Malformed
	}
	if err := p.UnmarshalBinary(f.Payload); err != nil || p.TargetIP != target {
		return nil, Malformed
	}
	switch {
	case !l.forUs(f.Destination):
		return nil, Ignored
	case isGroup(p.SenderHardwareAddr), isZero(p.SenderHardwareAddr):
		// RFC 826 has no such sender; a reply would go to everybody.
		return nil, Malformed
	case string(p.SenderHardwareAddr) == string(l.hardwareAddr):
		return nil, Ignored // our own announcement, come back
	case p.SenderIP == target:
		return nil, Conflict // RFC 5227 section 2.4: another host announces or uses the address
	case p.Operation != arp.OperationRequest:
		return nil, Ignored
	}
	reply, err := arpFrame(arp.OperationReply, l.hardwareAddr, target, p.SenderHardwareAddr, p.SenderIP, p.SenderHardwareAddr)
	if err != nil {
		return nil, Malformed
	}
	return reply, Answered
}

// announceARP returns an ARP announcement in its two forms: as request (RFC 5227 section 2.3) and as reply,
// since there are hosts that listen to only one of them.
func announceARP(address netip.Addr, l link) ([][]byte, error) {
	request, err := arpFrame(arp.OperationRequest, l.hardwareAddr, address, make(net.HardwareAddr, 6), address, ethernet.Broadcast)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(arp.OperationReply, l.hardwareAddr, address, l.hardwareAddr, address, ethernet.Broadcast)
	if err != nil {
		return nil, err
	}
	return [][]byte{request, reply}, nil
}

func arpFrame(op arp.Operation, senderHW net.HardwareAddr, sender netip.Addr, targetHW net.HardwareAddr, target netip.Addr, destination net.HardwareAddr) ([]byte, error) {
	// Not arp.NewPacket: it refuses 0.0.0.0, the sender of an RFC 5227 probe and so the target of its reply.
	p := arp.Packet{
		HardwareType: 1, ProtocolType: uint16(ethernet.EtherTypeIPv4), HardwareAddrLength: 6, IPLength: 4,
		Operation:          op,
		SenderHardwareAddr: senderHW, SenderIP: sender,
		TargetHardwareAddr: targetHW, TargetIP: target,
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("building an ARP packet for %s: %w", sender, err)
	}
	f := ethernet.Frame{Destination: destination, Source: senderHW, EtherType: ethernet.EtherTypeARP, Payload: payload}
	frame, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("building an ARP frame for %s: %w", sender, err)
	}
	return frame, nil
}
