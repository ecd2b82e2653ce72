package layer2

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// Offsets in an Ethernet frame that carries a Neighbor Solicitation or Advertisement (RFC 4861 sections
// 4.3 and 4.4) right behind the IPv6 header, as RFC 6980 has it.
const (
	ethernetLength     = 14
	ipv6Length         = 40
	icmpOffset         = ethernetLength + ipv6Length
	ndpTargetOffset    = icmpOffset + 8
	ndpFrameLength     = ndpTargetOffset + 16
	ipv6PayloadOffset  = ethernetLength + 4
	ipv6NextOffset     = ethernetLength + 6
	ipv6HopOffset      = ethernetLength + 7
	ipv6SourceOffset   = ethernetLength + 8
	ipv6DestOffset     = ethernetLength + 24
	protocolICMPv6     = 58
	typeSolicitation   = 135
	typeAdvertisement  = 136
	neighborHopLimit   = 255 // RFC 4861 section 7.1.1: whoever is further away cannot forge it
	icmpCodeOffset     = icmpOffset + 1
	icmpChecksumOffset = icmpOffset + 2
)

var allNodes = netip.MustParseAddr("ff02::1")

// answerNDP decides what to do with a received frame, and makes the Neighbor Advertisement if one is due.
// Frames about other addresses are told by their target, before anything is parsed or summed up.
func answerNDP(frame []byte, l link, ours func(netip.Addr) bool) ([]byte, Verdict) {
	if len(frame) < ndpFrameLength ||
		frame[ipv6NextOffset] != protocolICMPv6 || frame[ipv6HopOffset] != neighborHopLimit || frame[icmpCodeOffset] != 0 {
		return nil, Malformed
	}
	target := netip.AddrFrom16([16]byte(frame[ndpTargetOffset:]))
	if !ours(target) {
		return nil, NotOurs
	}
	length := int(binary.BigEndian.Uint16(frame[ipv6PayloadOffset:]))
	if len(frame) < icmpOffset+length || length < ndpFrameLength-icmpOffset {
		return nil, Malformed
	}
	source := netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:]))
	destination := netip.AddrFrom16([16]byte(frame[ipv6DestOffset:]))
	payload := frame[icmpOffset : icmpOffset+length]
	if checksum(source, destination, payload) != 0 {
		return nil, Malformed
	}
	message, err := ndp.ParseMessage(payload)
	if err != nil {
		return nil, Malformed
	}
	sender := net.HardwareAddr(frame[6:12])
	switch {
	case !l.forUs(net.HardwareAddr(frame[0:6])):
		return nil, Ignored
	case string(sender) == string(l.hardwareAddr):
		return nil, Ignored // our own, come back
	}
	solicitation, ok := message.(*ndp.NeighborSolicitation)
	if !ok {
		if _, ok := message.(*ndp.NeighborAdvertisement); ok {
			return nil, Conflict // another host says that it has the address
		}
		return nil, Ignored
	}
	for _, o := range solicitation.Options {
		if a, ok := o.(*ndp.LinkLayerAddress); ok && a.Direction == ndp.Source {
			sender = a.Addr
		}
	}
	to, solicited := source, true
	if source.IsUnspecified() {
		// Duplicate address detection by another host (RFC 4862): all nodes are told that the address has an
		// owner. RFC 4861 section 7.1.1 allows it to the solicited-node group only.
		if group, err := ndp.SolicitedNodeMulticast(target); err != nil || destination != group {
			return nil, Malformed
		}
		to, solicited, sender = allNodes, false, multicastMAC(allNodes)
	} else if source.IsMulticast() || isGroup(sender) || isZero(sender) {
		return nil, Malformed
	}
	reply, err := advertisement(target, l, to, sender, solicited)
	if err != nil {
		return nil, Malformed
	}
	return reply, Answered
}

// announceNDP returns an unsolicited Neighbor Advertisement to all nodes (RFC 4861 section 7.2.6).
func announceNDP(address netip.Addr, l link) ([][]byte, error) {
	frame, err := advertisement(address, l, allNodes, multicastMAC(allNodes), false)
	return [][]byte{frame}, err
}

// advertisement builds a Neighbor Advertisement. Override is set: whoever has another hardware address for
// the target in its cache is to take ours. The address itself is the source: it is ours to speak for, and
// it is there also on an interface without a link-local address.
func advertisement(target netip.Addr, l link, to netip.Addr, toHW net.HardwareAddr, solicited bool) ([]byte, error) {
	message := &ndp.NeighborAdvertisement{
		Solicited: solicited, Override: true, TargetAddress: target,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: l.hardwareAddr}},
	}
	payload, err := ndp.MarshalMessageChecksum(message, target, to)
	if err != nil {
		return nil, fmt.Errorf("building a Neighbor Advertisement for %s: %w", target, err)
	}
	packet := make([]byte, ipv6Length, ipv6Length+len(payload))
	packet[0] = 6 << 4 // version; traffic class and flow label are zero
	binary.BigEndian.PutUint16(packet[4:], uint16(len(payload)))
	packet[6], packet[7] = protocolICMPv6, neighborHopLimit
	copy(packet[8:], target.AsSlice())
	copy(packet[24:], to.AsSlice())
	f := ethernet.Frame{
		Destination: toHW, Source: l.hardwareAddr,
		EtherType: ethernet.EtherTypeIPv6, Payload: append(packet, payload...),
	}
	frame, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("building a frame for %s: %w", target, err)
	}
	return frame, nil
}

// multicastMAC maps an IPv6 multicast address to Ethernet (RFC 2464 section 7).
func multicastMAC(group netip.Addr) net.HardwareAddr {
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// checksum returns the ICMPv6 checksum (RFC 4443 section 2.3) over a message that holds its own: zero if it
// is right. A packet socket gets frames before the kernel has looked at them.
func checksum(source, destination netip.Addr, message []byte) uint16 {
	sum := uint32(len(message)) + protocolICMPv6
	add := func(b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(source.AsSlice())
	add(destination.AsSlice())
	add(message)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
