package layer2

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// Target is a host to ask for: one of its addresses, and its hardware address on an interface's segment.
type Target struct {
	Interface    string
	HardwareAddr net.HardwareAddr
	Address      netip.Addr
}

// probe builds the frame that asks a host, and nobody else, for its address. Whoever runs answers, as the
// kernel does it by itself.
func probe(l Link, t Target) ([]byte, error) {
	if !isHost(t.HardwareAddr) || !t.Address.IsValid() || t.Address.IsUnspecified() || t.Address.IsMulticast() {
		return nil, fmt.Errorf("probing %s at %s: not a host's address", t.Address, t.HardwareAddr)
	}
	source := l.source(t.Address)
	if t.Address.Is4() {
		// Without an address in the subnet: as an RFC 5227 probe, which every host answers that has the target.
		p := arpPacket{operation: arp.OperationRequest, senderHW: l.HardwareAddr, sender: source, target: t.Address}
		return p.frame(t.HardwareAddr, l.HardwareAddr), nil
	}
	if source.IsUnspecified() {
		return addressProbe(l, t.Address, t.HardwareAddr)
	}
	return neighborSolicitation(l, source, t.Address, t.Address, t.HardwareAddr), nil
}

// source returns the address of the interface to ask for target with: unspecified if there is none that the
// target's host is sure to answer to.
func (l Link) source(target netip.Addr) netip.Addr {
	for _, p := range l.Prefixes {
		if p.Contains(target) {
			return p.Addr()
		}
	}
	switch {
	case target.Is4():
		return netip.IPv4Unspecified()
	case l.LinkLocal.IsValid():
		return l.LinkLocal // every IPv6 host has the link-local prefix on link
	}
	return netip.IPv6Unspecified()
}

// addressProbe builds the frame that asks, without an address to ask with, whether anybody has an address: an
// RFC 5227 probe (section 2.1.1), or the solicitation of duplicate address detection (RFC 4862 section 5.4.2).
// To everybody if to is nil. A single host is asked by its hardware address only, as RFC 6085 has it: the
// packet's destination remains the group.
func addressProbe(l Link, address netip.Addr, to net.HardwareAddr) ([]byte, error) {
	if address.Is4() {
		p := arpPacket{operation: arp.OperationRequest, senderHW: l.HardwareAddr, sender: netip.IPv4Unspecified(), target: address}
		if to == nil {
			to = ethernet.Broadcast
		}
		return p.frame(to, l.HardwareAddr), nil
	}
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", address, err)
	}
	if to == nil {
		to = multicastMAC(group)
	}
	return neighborSolicitation(l, netip.IPv6Unspecified(), group, address, to), nil
}

func neighborSolicitation(l Link, from, to, target netip.Addr, toHW net.HardwareAddr) []byte {
	message := make([]byte, 24, 32) // RFC 4861 section 4.3
	message[0] = typeSolicitation
	copy(message[8:], target.AsSlice())
	if !from.IsUnspecified() {
		message = append(append(message, 1, 1), l.HardwareAddr...) // Source Link-Layer Address, of 8 octets
	}
	return icmpFrame(message, from, to, toHW, l.HardwareAddr)
}

// observation is what a frame of another host says.
type observation struct {
	hardwareAddr net.HardwareAddr
	source       net.HardwareAddr // of the frame
	address      netip.Addr       // what it has: unspecified if it asks for wanted without one
	wanted       netip.Addr       // what it asks whether anybody has it: not valid if it does not
	answer       bool             // it says so to this node alone, which nobody does unasked
	toAll        bool             // a Neighbor Advertisement to all nodes: an answer to who asks without an address
}

// observeARP returns what an ARP frame of another host says. Any proves that the segment works.
func observeARP(frame []byte, l link) (o observation, ok bool) {
	p, ok := readARP(frame)
	if !ok || !isHost(p.senderHW) || l.own(p.senderHW) || (p.operation != arp.OperationRequest && p.operation != arp.OperationReply) {
		return o, false
	}
	o = observation{hardwareAddr: p.senderHW, source: frame[6:12], address: p.sender}
	o.answer = p.operation == arp.OperationReply && l.own(net.HardwareAddr(frame[:6]))
	if p.sender.IsUnspecified() {
		// By unicast it is another speaker's question whether we are there.
		if p.operation != arp.OperationRequest || !isGroup(frame[:6]) {
			return o, p.operation == arp.OperationRequest
		}
		o.wanted = p.target
	}
	return o, true
}

// observeNDP returns the same of a Neighbor Solicitation or Advertisement.
func observeNDP(frame []byte, l link) (o observation, ok bool) {
	p, ok := readNDP(frame)
	if !ok || l.own(p.hardwareAddr) || l.own(net.HardwareAddr(frame[6:12])) {
		return o, false
	}
	o = observation{hardwareAddr: p.hardwareAddr, source: frame[6:12], address: p.source}
	if p.advertisement {
		o.address, o.answer, o.toAll = p.target, l.own(net.HardwareAddr(frame[:6])), p.destination == allNodes
	} else if p.source.IsUnspecified() && isGroup(frame[:6]) {
		o.wanted = p.target
	}
	return o, true
}
