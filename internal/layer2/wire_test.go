package layer2

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

var (
	ourMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	vip4      = netip.MustParseAddr("192.0.2.200")
	vip6      = netip.MustParseAddr("2001:db8::200")
	their4    = netip.MustParseAddr("192.0.2.101")
	their6    = netip.MustParseAddr("2001:db8::101")
	ourLink   = link{ourMAC}
	owned     = func(a netip.Addr) bool { return a == vip4 || a == vip6 }
	unset4    = netip.IPv4Unspecified()
	unset6    = netip.IPv6Unspecified()
	zeroMAC   = make(net.HardwareAddr, 6)
	group6, _ = ndp.SolicitedNodeMulticast(vip6)
)

// must unwraps what a test builds.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// edit changes single octets of a frame.
func edit(frame []byte, offset int, octets ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[offset:], octets)
	return frame
}

func TestAnswerARP(t *testing.T) {
	request := must(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast))
	tests := []struct {
		name    string
		frame   []byte
		want    Verdict
		sent    string // sender and target of the reply
		unicast net.HardwareAddr
	}{
		{name: "a request is answered to who asked", frame: request, want: Answered,
			sent: "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a padded request too", frame: append(slices.Clone(request), make([]byte, 18)...), want: Answered,
			sent: "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a unicast request too, as caches send to be sure", want: Answered,
			frame: must(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ourMAC)),
			sent:  "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a probe is defended against (RFC 5227)", want: Answered,
			frame: must(arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ethernet.Broadcast)),
			sent:  "192.0.2.200 02:00:00:00:00:01 0.0.0.0 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a request for another address is not", want: NotOurs,
			frame: must(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, their4, ethernet.Broadcast))},
		{name: "a reply is not", want: Ignored,
			frame: must(arpFrame(arp.OperationReply, theirMAC, their4, ourMAC, vip4, ourMAC))},
		{name: "another host's announcement is a conflict", want: Conflict,
			frame: must(arpFrame(arp.OperationRequest, theirMAC, vip4, zeroMAC, vip4, ethernet.Broadcast))},
		{name: "our own announcement is not", want: Ignored,
			frame: must(arpFrame(arp.OperationRequest, ourMAC, vip4, zeroMAC, vip4, ethernet.Broadcast))},
		{name: "a frame to another host is not for us", want: Ignored,
			frame: must(arpFrame(arp.OperationRequest, net.HardwareAddr{2, 0, 0, 0, 0, 3}, their4, zeroMAC, vip4, theirMAC))},
		{name: "a broadcast sender would make us flood", want: Malformed,
			frame: edit(request, 22, ethernet.Broadcast...)},
		{name: "a sender of zeros is nobody", want: Malformed, frame: edit(request, 22, zeroMAC...)},
		{name: "a truncated frame", want: Malformed, frame: request[:41]},
		{name: "an empty frame", want: Malformed},
		{name: "another hardware type", want: Malformed, frame: edit(request, 14, 0, 6)},
		{name: "another protocol", want: Malformed, frame: edit(request, 16, 0x86, 0xdd)},
		{name: "lengths that lie", want: Malformed, frame: edit(request, 18, 255, 255)},
		{name: "a VLAN tag that the kernel should have taken", want: Malformed, frame: edit(request, 12, 0x81, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, got := answerARP(tt.frame, ourLink, owned)
			if got != tt.want || (reply != nil) != (tt.want == Answered) {
				t.Fatalf("got %s, a reply of %d octets; want %s", got, len(reply), tt.want)
			}
			if reply == nil {
				return
			}
			f, p := parseARP(t, reply)
			if s := arpLine(p); s != tt.sent || p.Operation != arp.OperationReply || f.Destination.String() != tt.unicast.String() {
				t.Errorf("to %s: %s %s, want %s", f.Destination, p.Operation, s, tt.sent)
			}
		})
	}
}

func parseARP(t *testing.T, frame []byte) (f ethernet.Frame, p arp.Packet) {
	t.Helper()
	if err := f.UnmarshalBinary(frame); err != nil {
		t.Fatal(err)
	}
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		t.Fatal(err)
	}
	return f, p
}

func arpLine(p arp.Packet) string {
	return strings.Join([]string{p.SenderIP.String(), p.SenderHardwareAddr.String(), p.TargetIP.String(), p.TargetHardwareAddr.String()}, " ")
}

func TestAnnounceARP(t *testing.T) {
	frames, err := announceARP(vip4, ourLink)
	if err != nil || len(frames) != 2 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	for i, want := range []string{
		"192.0.2.200 02:00:00:00:00:01 192.0.2.200 00:00:00:00:00:00",
		"192.0.2.200 02:00:00:00:00:01 192.0.2.200 02:00:00:00:00:01",
	} {
		f, p := parseARP(t, frames[i])
		if got := arpLine(p); got != want || f.Destination.String() != "ff:ff:ff:ff:ff:ff" || p.Operation != arp.Operation(i+1) {
			t.Errorf("frame %d to %s: %s %s, want %s", i, f.Destination, p.Operation, got, want)
		}
	}
}

// solicitation builds a Neighbor Solicitation in a frame.
func solicitation(source, destination, target netip.Addr, m ndp.Message) []byte {
	if m == nil {
		m = &ndp.NeighborSolicitation{TargetAddress: target, Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: theirMAC}}}
	}
	payload := must(ndp.MarshalMessageChecksum(m, source, destination))
	packet := make([]byte, ipv6Length)
	packet[0], packet[6], packet[7] = 0x60, protocolICMPv6, 255
	binary.BigEndian.PutUint16(packet[4:], uint16(len(payload)))
	copy(packet[8:], source.AsSlice())
	copy(packet[24:], destination.AsSlice())
	to := multicastMAC(destination)
	if !destination.IsMulticast() {
		to = ourMAC
	}
	f := ethernet.Frame{Destination: to, Source: theirMAC, EtherType: ethernet.EtherTypeIPv6, Payload: append(packet, payload...)}
	return must(f.MarshalBinary())
}

func TestAnswerNDP(t *testing.T) {
	request := solicitation(their6, group6, vip6, nil)
	bare := &ndp.NeighborSolicitation{TargetAddress: vip6}
	tests := []struct {
		name  string
		frame []byte
		want  Verdict
		sent  string // Ethernet and IPv6 destination of the advertisement, and whether it is solicited
	}{
		{name: "a solicitation is answered to who asked", frame: request, want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "a unicast solicitation too (neighbor unreachability detection)", frame: solicitation(their6, vip6, vip6, nil),
			want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "a solicitation without a link-layer address is answered to the frame's sender",
			frame: solicitation(their6, vip6, vip6, bare), want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "duplicate address detection is answered to all nodes", frame: solicitation(unset6, group6, vip6, bare),
			want: Answered, sent: "33:33:00:00:00:01 ff02::1 false"},
		{name: "a solicitation for another address is not answered", frame: solicitation(their6, group6, their6, nil), want: NotOurs},
		{name: "duplicate address detection sent elsewhere breaks RFC 4861", frame: solicitation(unset6, vip6, vip6, bare), want: Malformed},
		{name: "another host's advertisement is a conflict", want: Conflict,
			frame: solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6, Override: true})},
		{name: "a hop limit below 255: it came through a router", frame: edit(request, ipv6HopOffset, 254), want: Malformed},
		{name: "a wrong checksum", frame: edit(request, icmpChecksumOffset, 0xde, 0xad), want: Malformed},
		{name: "a code that is not zero", frame: edit(request, icmpCodeOffset, 1), want: Malformed},
		{name: "a length that lies", frame: edit(request, ipv6PayloadOffset, 0xff, 0xff), want: Malformed},
		{name: "a length too short", frame: edit(request, ipv6PayloadOffset, 0, 4), want: Malformed},
		{name: "a truncated frame", frame: request[:ndpFrameLength-1], want: Malformed},
		{name: "an empty frame", want: Malformed},
		{name: "a broadcast link-layer address would make us flood", want: Malformed,
			frame: solicitation(their6, group6, vip6, &ndp.NeighborSolicitation{TargetAddress: vip6, Options: []ndp.Option{
				&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ethernet.Broadcast}}})},
		{name: "a frame to another host is not for us", frame: edit(request, 0, 2, 0, 0, 0, 0, 9), want: Ignored},
		{name: "our own frame, come back", frame: edit(request, 6, ourMAC...), want: Ignored},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, got := answerNDP(tt.frame, ourLink, owned)
			if got != tt.want || (reply != nil) != (tt.want == Answered) {
				t.Fatalf("got %s, a reply of %d octets; want %s", got, len(reply), tt.want)
			}
			if reply != nil {
				checkAdvertisement(t, reply, tt.sent)
			}
		})
	}
}

func checkAdvertisement(t *testing.T, frame []byte, want string) {
	t.Helper()
	source := netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:]))
	to := netip.AddrFrom16([16]byte(frame[ipv6DestOffset:]))
	if checksum(source, to, frame[icmpOffset:]) != 0 || frame[ipv6HopOffset] != 255 {
		t.Errorf("a receiver would drop this:\n%s", hex.Dump(frame))
	}
	na, ok := must(ndp.ParseMessage(frame[icmpOffset:])).(*ndp.NeighborAdvertisement)
	if !ok || na.TargetAddress != vip6 || !na.Override || na.Router || len(na.Options) != 1 {
		t.Fatalf("advertisement %+v", na)
	}
	if a := na.Options[0].(*ndp.LinkLayerAddress); a.Direction != ndp.Target || a.Addr.String() != ourMAC.String() {
		t.Errorf("target link-layer address %+v", a)
	}
	solicited := map[bool]string{true: "true", false: "false"}[na.Solicited]
	if got := strings.Join([]string{net.HardwareAddr(frame[:6]).String(), to.String(), solicited}, " "); got != want {
		t.Errorf("sent to %s, want %s", got, want)
	}
}

func TestAnnounceNDP(t *testing.T) {
	frames, err := announceNDP(vip6, ourLink)
	if err != nil || len(frames) != 1 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	checkAdvertisement(t, frames[0], "33:33:00:00:00:01 ff02::1 false")
}

// Whatever comes from the wire: no crash, and an answer only for what is ours, to one host or, for duplicate
// address detection, to all nodes.
func FuzzAnswer(f *testing.F) {
	f.Add(must(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast)))
	f.Add(solicitation(their6, group6, vip6, nil))
	f.Add(solicitation(unset6, group6, vip6, &ndp.NeighborSolicitation{TargetAddress: vip6}))
	f.Add(solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if reply, verdict := answerARP(frame, ourLink, owned); verdict == Answered {
			_, p := parseARP(t, reply)
			if p.SenderIP != vip4 || isGroup(reply[:6]) {
				t.Errorf("answered %x with %x", frame, reply)
			}
		}
		// mend the checksum, so that the fuzzer gets past it
		if len(frame) > icmpOffset+4 {
			frame = slices.Clone(frame)
			length := int(binary.BigEndian.Uint16(frame[ipv6PayloadOffset:]))
			if payload := frame[icmpOffset:]; length >= 4 && length <= len(payload) {
				payload[2], payload[3] = 0, 0
				sum := checksum(netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:])), netip.AddrFrom16([16]byte(frame[ipv6DestOffset:])), payload[:length])
				binary.BigEndian.PutUint16(payload[2:], sum)
			}
		}
		if reply, verdict := answerNDP(frame, ourLink, owned); verdict == Answered {
			na := must(ndp.ParseMessage(reply[icmpOffset:])).(*ndp.NeighborAdvertisement)
			if na.TargetAddress != vip6 || (isGroup(reply[:6]) && na.Solicited) {
				t.Errorf("answered %x with %x", frame, reply)
			}
		}
	})
}

func BenchmarkNotOurs(b *testing.B) {
	b.Run("arp", func(b *testing.B) {
		frame := must(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, their4, ethernet.Broadcast))
		for b.Loop() {
			answerARP(frame, ourLink, owned)
		}
	})
	b.Run("ndp", func(b *testing.B) {
		frame := solicitation(their6, group6, their6, nil)
		for b.Loop() {
			answerNDP(frame, ourLink, owned)
		}
	})
}
