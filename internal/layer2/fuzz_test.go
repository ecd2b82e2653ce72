package layer2

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// FuzzFilter: the program in the kernel and the parser behind it know the same frames. What the parser has any use for
// passes the filter; what passes is about one of our addresses, or too short to tell. So a frame that somebody contrives
// neither slips away from an owner nor wakes one for nothing.
func FuzzFilter(f *testing.F) {
	four, six := vip4.As4(), vip6.As16()
	ours := append(four[:], six[12:]...)
	f.Add(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast), ours)
	f.Add(arpFrame(arp.OperationReply, theirMAC, vip4, zeroMAC, their4, ethernet.Broadcast), ours)
	f.Add(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, address4(0), ethernet.Broadcast), []byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Add(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast)[:arpFrameLength-1], ours)
	f.Add(solicitation(their6, group6, vip6, nil), ours)
	f.Add(solicitation(unset6, group6, vip6, &ndp.NeighborSolicitation{TargetAddress: vip6}), ours)
	f.Add(edit(solicitation(their6, group6, vip6, nil), ipv6NextOffset, 0), ours)            // behind an extension header
	f.Add(edit(solicitation(their6, group6, vip6, nil), ipv6HopOffset, 254), ours)           // from afar
	f.Add(edit(solicitation(their6, group6, vip6, nil), ipv6PayloadOffset, 0xff, 255), ours) // longer than it is
	f.Fuzz(func(t *testing.T, frame, owned []byte) {
		values := map[uint32]bool{}
		for b := owned; len(b) >= 4 && len(values) < maxBlocks; b = b[4:] { // so few that none has to be covered by another
			values[binary.BigEndian.Uint32(b)] = true
		}
		var list []uint32
		for v := range values {
			list = append(list, v)
		}
		ours := holder(func(a netip.Addr) (net.HardwareAddr, bool) { return nil, values[suffix(a)] })
		covered := cover(list, maxBlocks)
		useful := func(o outcome) bool { return o.verdict != NotOurs && o.verdict != Malformed }

		passes := run(t, arpFilter(covered))(frame)
		if o := answerARP(frame, ourLink, ours); useful(o) && !passes {
			t.Errorf("%s, and the filter drops it: %x", o.verdict, frame)
		}
		if passes && len(frame) >= arpFrameLength && !values[binary.BigEndian.Uint32(frame[arpTargetIPOffset:])] && !values[binary.BigEndian.Uint32(frame[arpSenderIPOffset:])] {
			t.Errorf("the filter passes ARP about others: %x", frame)
		}
		passes = run(t, ndpFilter(covered))(frame)
		if o := answerNDP(mendChecksum(frame), ourLink, ours); useful(o) && !passes {
			t.Errorf("%s, and the filter drops it: %x", o.verdict, frame)
		}
		if passes && len(frame) >= ndpFrameLength && (!values[binary.BigEndian.Uint32(frame[ndpTargetOffset+12:])] ||
			frame[icmpOffset] != typeSolicitation && frame[icmpOffset] != typeAdvertisement) {
			t.Errorf("the filter passes what is not about ours: %x", frame)
		}
		// What tells who has an address, or who wants to know whether it is free, reaches a prober whatever chance says.
		o, ok := observeARP(frame, ourLink)
		answer := ok && binary.BigEndian.Uint16(frame[arpOperationOffset:]) == uint16(arp.OperationReply)
		if (answer || ok && o.wanted.IsValid()) && !run(t, withoutChance(1))(frame) {
			t.Errorf("a prober does not hear of %s: %x", o.address, frame)
		}
		if o, ok := observeNDP(mendChecksum(frame), ourLink); ok && !run(t, neighborFilter(accept))(frame) {
			t.Errorf("a prober does not hear of %s: %x", o.address, frame)
		}
	})
}

// FuzzFrames: what is sent is read as it was meant, by us and by the libraries that others wrote.
func FuzzFrames(f *testing.F) {
	six := vip6.As16()
	f.Add([]byte(theirMAC), []byte(ourMAC), six[:], []byte("claims"))
	f.Add([]byte{0, 0, 0, 0, 0, 1}, []byte{0xfe, 255, 255, 255, 255, 255}, bytes.Repeat([]byte{0xfd}, 16), bytes.Repeat([]byte{0}, MaxBroadcast))
	f.Add([]byte{2, 0, 0, 0, 0, 1}, []byte{2, 0, 0, 0, 0, 1}, make([]byte, 16), []byte{1})
	f.Fuzz(func(t *testing.T, mac, to, octets, payload []byte) {
		if len(mac) != 6 || len(to) != 6 || len(octets) != 16 {
			return
		}
		source, dest := net.HardwareAddr(mac), net.HardwareAddr(to)
		v4, v6 := netip.AddrFrom4([4]byte(octets[12:])), netip.AddrFrom16([16]byte(octets))
		sender := link{source, stations{}}
		for _, frame := range announceARP(v4, sender, source) {
			_, p := packetOf(t, frame)
			got, ok := readARP(frame)
			if !ok || got.sender != v4 || got.target != v4 || !same(got.senderHW, source) || p.SenderIP != v4 || p.TargetIP != v4 || !same(p.SenderHardwareAddr, source) {
				t.Errorf("%s at %s was announced as %+v, for others %+v", v4, source, got, p)
			}
		}
		reply, ok := readARP(arpPacket{arp.OperationReply, source, v4, dest, v4}.frame(dest, source))
		if !ok || reply.operation != arp.OperationReply || !same(reply.targetHW, dest) {
			t.Errorf("a reply to %s was read as %+v", dest, reply)
		}
		if v6.IsMulticast() || v6.IsUnspecified() || v6.Is4In6() { // no address to announce
			v6 = vip6
		}
		for _, frame := range announceNDP(v6, sender, source) {
			got, ok := readNDP(frame)
			if want := isHost(source); ok != want || ok && (got.target != v6 || !got.advertisement || !same(got.hardwareAddr, source)) {
				t.Errorf("%s at %s was announced as %+v, %v", v6, source, got, ok)
			}
			m, err := ndp.ParseMessage(frame[icmpOffset : ipv6PayloadOffset+36+int(binary.BigEndian.Uint16(frame[ipv6PayloadOffset:]))])
			if na, is := m.(*ndp.NeighborAdvertisement); err != nil || !is || na.TargetAddress != v6 || !na.Override || na.Solicited || na.Router {
				t.Errorf("%s at %s is for others %+v, %v", v6, source, m, err)
			}
		}
		got, verdict := readClaim(claimFrame(source, payload), ourLink)
		switch fits := len(payload) > 0 && len(payload) <= MaxBroadcast; {
		case len(payload) > MaxBroadcast: // Broadcast refuses to send it
		case !isHost(source):
			if verdict != Malformed {
				t.Errorf("%s of %s", verdict, source)
			}
		case ourLink.own(source):
			if verdict != Ignored {
				t.Errorf("%s of our own", verdict)
			}
		case fits != (verdict == Heard) || !bytes.Equal(got, payload):
			t.Errorf("%d octets were read as %d, %s", len(payload), len(got), verdict)
		}
	})
}

// mendChecksum returns a frame with the right ICMPv6 checksum, so that a fuzzer gets past it.
func mendChecksum(frame []byte) []byte {
	if len(frame) <= icmpOffset+4 {
		return frame
	}
	frame = bytes.Clone(frame)
	length := int(binary.BigEndian.Uint16(frame[ipv6PayloadOffset:]))
	if payload := frame[icmpOffset:]; length >= 4 && length <= len(payload) {
		payload[2], payload[3] = 0, 0
		sum := checksum(netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:])), netip.AddrFrom16([16]byte(frame[ipv6DestOffset:])), payload[:length])
		binary.BigEndian.PutUint16(payload[2:], sum)
	}
	return frame
}
