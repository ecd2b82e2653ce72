package layer2

import (
	"encoding/binary"
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

// ndpPacket is a Neighbor Solicitation or Advertisement.
type ndpPacket struct {
	source, destination netip.Addr
	advertisement       bool
	target              netip.Addr
	// hardwareAddr is what the message's Source or Target Link-Layer Address option says. A message without it
	// is taken to mean its frame's source: an answer to a unicast solicitation may omit it (section 7.2.4).
	hardwareAddr net.HardwareAddr
}

// ndpTarget returns the target of a frame's message, without a look at what costs more to check.
func ndpTarget(frame []byte) (target netip.Addr, ok bool) {
	if len(frame) < ndpFrameLength || ethernet.EtherType(binary.BigEndian.Uint16(frame[12:])) != ethernet.EtherTypeIPv6 ||
		frame[ipv6NextOffset] != protocolICMPv6 || frame[ipv6HopOffset] != neighborHopLimit || frame[icmpCodeOffset] != 0 {
		return target, false
	}
	return netip.AddrFrom16([16]byte(frame[ndpTargetOffset:])), true
}

// readNDP returns the message in a frame if it keeps the rules of RFC 4861 sections 7.1.1 and 7.1.2.
func readNDP(frame []byte) (p ndpPacket, ok bool) {
	if p.target, ok = ndpTarget(frame); !ok || p.target.IsMulticast() {
		return p, false
	}
	length := int(binary.BigEndian.Uint16(frame[ipv6PayloadOffset:]))
	if len(frame) < icmpOffset+length || length < ndpFrameLength-icmpOffset {
		return p, false
	}
	p.source = netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:]))
	p.destination = netip.AddrFrom16([16]byte(frame[ipv6DestOffset:]))
	payload := frame[icmpOffset : icmpOffset+length]
	if checksum(p.source, p.destination, payload) != 0 {
		return p, false
	}
	message, err := ndp.ParseMessage(payload)
	if err != nil {
		return p, false
	}
	var options []ndp.Option
	direction := ndp.Source
	switch m := message.(type) {
	case *ndp.NeighborSolicitation:
		options = m.Options
	case *ndp.NeighborAdvertisement:
		p.advertisement, options, direction = true, m.Options, ndp.Target
	default:
		return p, false
	}
	p.hardwareAddr = net.HardwareAddr(frame[6:12])
	for _, o := range options {
		if a, ok := o.(*ndp.LinkLayerAddress); ok && a.Direction == direction {
			p.hardwareAddr = a.Addr
			if p.source.IsUnspecified() && !p.advertisement {
				return p, false
			}
		}
	}
	if !isHost(p.hardwareAddr) || p.source.IsMulticast() {
		return p, false // a reply would go to everybody
	}
	if p.source.IsUnspecified() {
		// Duplicate address detection (RFC 4862) asks the solicited-node group only.
		group, err := ndp.SolicitedNodeMulticast(p.target)
		return p, err == nil && !p.advertisement && p.destination == group
	}
	return p, true
}

// answerNDP decides what to do with a received frame, and makes the Neighbor Advertisement if one is due.
// Frames about other addresses are told by their target, before anything is parsed or summed up.
func answerNDP(frame []byte, l link, ours holder) outcome {
	target, ok := ndpTarget(frame)
	if !ok {
		return outcome{verdict: Malformed}
	}
	as, ok := ours(target)
	if !ok {
		return outcome{verdict: NotOurs}
	}
	p, ok := readNDP(frame)
	if !ok {
		return outcome{verdict: Malformed}
	}
	usedAs, used := ours(p.source)
	switch {
	case !l.forUs(net.HardwareAddr(frame[:6])):
		return outcome{verdict: Ignored}
	case l.own(net.HardwareAddr(frame[6:12])), l.own(p.hardwareAddr):
		return outcome{verdict: Ignored} // our own, come back, or a stand-in's for us
	case same(p.hardwareAddr, as), used && same(p.hardwareAddr, usedAs):
		return outcome{verdict: Ignored} // the node that we stand in for: it has the address
	case p.advertisement:
		return outcome{verdict: Contested, address: target, rival: p.hardwareAddr}
	case used:
		return outcome{verdict: Contested, address: p.source, rival: p.hardwareAddr}
	}
	if as == nil {
		as = l.hardwareAddr
	}
	if !p.source.IsUnspecified() {
		return outcome{verdict: Answered, reply: advertisement(target, l, as, p.source, p.hardwareAddr)}
	}
	// All nodes are told that the address has an owner (section 7.2.4).
	o := outcome{verdict: Answered, reply: advertisement(target, l, as, allNodes, multicastMAC(allNodes))}
	if isGroup(net.HardwareAddr(frame[:6])) { // by unicast it is another speaker's question whether we are there
		o.verdict, o.address, o.rival = Defended, target, p.hardwareAddr
	}
	return o
}

// announceNDP returns an unsolicited Neighbor Advertisement to all nodes (RFC 4861 section 7.2.6).
func announceNDP(address netip.Addr, l link, as net.HardwareAddr) [][]byte {
	return [][]byte{advertisement(address, l, as, allNodes, multicastMAC(allNodes))}
}

// advertisement builds a Neighbor Advertisement which says that the target is at a hardware address: ours or,
// where we stand in for another node, that node's. Override is set: whoever has another hardware address for
// the target in its cache is to take this one. The address itself is the source: it is ours to speak for, and
// it is there also on an interface without a link-local address.
func advertisement(target netip.Addr, l link, as net.HardwareAddr, to netip.Addr, toHW net.HardwareAddr) []byte {
	message := make([]byte, 32) // section 4.4, with one option of section 4.6.1
	message[0] = typeAdvertisement
	message[4] = 1 << 5 // Override
	if !to.IsMulticast() {
		message[4] |= 1 << 6 // Solicited
	}
	copy(message[8:], target.AsSlice())
	message[24], message[25] = 2, 1 // Target Link-Layer Address, of 8 octets
	copy(message[26:], as)
	return icmpFrame(message, target, to, toHW, l.hardwareAddr)
}

// icmpFrame puts an ICMPv6 message into a packet and a frame, and sums it up.
func icmpFrame(message []byte, from, to netip.Addr, toHW, fromHW net.HardwareAddr) []byte {
	frame, packet := ethernetFrame(toHW, fromHW, uint16(ethernet.EtherTypeIPv6), ipv6Length+len(message))
	packet[0] = 6 << 4 // version; traffic class and flow label are zero
	binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
	packet[6], packet[7] = protocolICMPv6, neighborHopLimit
	copy(packet[8:], from.AsSlice())
	copy(packet[24:], to.AsSlice())
	copy(packet[ipv6Length:], message)
	binary.BigEndian.PutUint16(frame[icmpChecksumOffset:], checksum(from, to, message))
	return frame
}

// multicastMAC maps an IPv6 multicast address to Ethernet (RFC 2464 section 7).
func multicastMAC(group netip.Addr) net.HardwareAddr {
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// checksum returns the ICMPv6 checksum (RFC 4443 section 2.3) over a message: zero if it holds the right one
// already. A packet socket gets frames before the kernel has looked at them.
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
	from, to := source.As16(), destination.As16()
	add(from[:])
	add(to[:])
	add(message)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
