package garbage

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Where things are in an Ethernet frame (IEEE 802.3), and in an IPv6 packet in it (RFC 8200, section 3).
const (
	ethernetOctets = 14
	ipv6Octets     = 40
	icmpAt         = ethernetOctets + ipv6Octets
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func frame(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	f := append(append(make([]byte, 0, ethernetOctets+len(payload)), to...), from...)
	return append(binary.BigEndian.AppendUint16(f, kind), payload...)
}

// ARP is a frame with a request (1) or a reply (2), RFC 826. The hardware address from is the frame's source, sender
// that of the packet: an attacker may well have them differ.
func ARP(to, from net.HardwareAddr, operation uint16, sender net.HardwareAddr, senderIP, targetIP netip.Addr) Packet {
	p := []byte{0, 1, 8, 0, 6, 4, byte(operation >> 8), byte(operation)}
	p = append(append(p, sender...), senderIP.AsSlice()...)
	p = append(append(p, 0, 0, 0, 0, 0, 0), targetIP.AsSlice()...)
	return Packet{
		Octets: frame(to, from, 0x0806, p), Keep: ethernetOctets,
		// Hardware type, protocol type, their lengths, operation, the addresses.
		Fields: []Field{{14, 2}, {16, 2}, {18, 1}, {19, 1}, {20, 2}, {22, 6}, {28, 4}, {32, 6}, {38, 4}},
	}
}

// Spoofed says that an address is at a hardware address, in the form of an ARP announcement or of an unsolicited
// Neighbor Advertisement with Override. The frame comes from another one, if from is another.
func Spoofed(from, at net.HardwareAddr, address netip.Addr) []byte {
	if address.Is4() {
		return ARP(broadcast, from, 1, at, address, address).Octets
	}
	return Advertisement(from, at, address).Octets
}

// Solicitation is a Neighbor Solicitation, RFC 4861 section 4.3, to the solicited-node group of its target.
func Solicitation(from net.HardwareAddr, source, target netip.Addr) Packet {
	t := target.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]})
	return neighbor(from, source, group, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...), 1, from)
}

// Advertisement is an unsolicited Neighbor Advertisement, RFC 4861 section 4.4, with Override, to all nodes.
func Advertisement(from, at net.HardwareAddr, target netip.Addr) Packet {
	all := netip.MustParseAddr("ff02::1")
	return neighbor(from, target, all, append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...), 2, at)
}

// neighbor puts an ICMPv6 message and an option with a hardware address into a packet and a frame to a group.
func neighbor(from net.HardwareAddr, source, group netip.Addr, message []byte, option byte, at net.HardwareAddr) Packet {
	message = append(append(message, option, 1), at...)
	header := make([]byte, ipv6Octets)
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	header[6], header[7] = 58, 255
	copy(header[8:], source.AsSlice())
	copy(header[24:], group.AsSlice())
	g := group.As16()
	f := frame(net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]}, from, 0x86dd, append(header, message...))
	sum(f)
	return Packet{
		Octets: f, Keep: ethernetOctets, Refit: refit,
		// Payload length, next header, hop limit, source; type, code, checksum, flags, target, and the option's type and length.
		Fields: []Field{
			{18, 2}, {20, 1}, {21, 1}, {22, 8}, {icmpAt, 1}, {icmpAt + 1, 1}, {icmpAt + 2, 2}, {icmpAt + 4, 4}, {icmpAt + 8, 8},
			{icmpAt + 24, 1}, {icmpAt + 25, 1}, {icmpAt + 26, 6},
		},
	}
}

// refit makes the length and the checksum of an IPv6 frame fit what is in it.
func refit(f []byte) {
	if len(f) < icmpAt+4 {
		return
	}
	binary.BigEndian.PutUint16(f[ethernetOctets+4:], uint16(len(f)-icmpAt))
	sum(f)
}

// sum is the checksum of ICMPv6 (RFC 4443, section 2.3) over what the frame has behind its IPv6 header.
func sum(f []byte) {
	message := f[icmpAt:]
	message[2], message[3] = 0, 0
	total := uint32(len(message)) + 58
	for _, part := range [][]byte{f[ethernetOctets+8 : icmpAt], message} {
		for i, octet := range part {
			total += uint32(octet) << (8 * (1 - i%2))
		}
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(total))
}

// Claims is a frame of the speakers' own EtherType with a payload, sealed or not: a length and the payload.
func Claims(from net.HardwareAddr, payload []byte) Packet {
	return Packet{
		Octets: frame(broadcast, from, 0x88b5, append(binary.BigEndian.AppendUint16(nil, uint16(len(payload))), payload...)),
		Keep:   ethernetOctets, Fields: []Field{{14, 2}},
	}
}
