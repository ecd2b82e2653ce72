package layer2

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

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
		ours  holder // nil: owned
		want  Verdict
		sent  string // Ethernet and IPv6 destination of the advertisement, and whether it is solicited
	}{
		{name: "a solicitation is answered to who asked", frame: request, want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "a unicast solicitation too (neighbor unreachability detection)", frame: solicitation(their6, vip6, vip6, nil),
			want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "a solicitation without a link-layer address is answered to the frame's sender",
			frame: solicitation(their6, vip6, vip6, bare), want: Answered, sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "duplicate address detection is defended against, to all nodes", frame: solicitation(unset6, group6, vip6, bare),
			want: Defended, sent: "33:33:00:00:00:01 ff02::1 false"},
		{name: "by unicast it is a question whether we are there", frame: edit(solicitation(unset6, group6, vip6, bare), 0, ourMAC...),
			want: Answered, sent: "33:33:00:00:00:01 ff02::1 false"},
		{name: "duplicate address detection with a link-layer address breaks RFC 4861", frame: solicitation(unset6, group6, vip6, nil), want: Malformed},
		{name: "a stand-in's answer says where the owner is", frame: request, ours: stoodIn, want: Answered,
			sent: "02:00:00:00:00:02 2001:db8::101 true"},
		{name: "the owner needs no answer of its stand-in", ours: stoodIn, want: Ignored,
			frame: solicitation(their6, group6, vip6, &ndp.NeighborSolicitation{TargetAddress: vip6, Options: []ndp.Option{
				&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ownerMAC}}})},
		{name: "nor is its advertisement a conflict", ours: stoodIn, want: Ignored,
			frame: solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6, Options: []ndp.Option{
				&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ownerMAC}}})},
		{name: "a stand-in's advertisement for us is none either", want: Ignored,
			frame: solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6, Options: []ndp.Option{
				&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ourMAC}}})},
		{name: "another host that asks with our address is a conflict", want: Contested, frame: solicitation(vip6, group6, vip6, nil)},
		{name: "a solicitation for another address is not answered", frame: solicitation(their6, group6, their6, nil), want: NotOurs},
		{name: "duplicate address detection sent elsewhere breaks RFC 4861", frame: solicitation(unset6, vip6, vip6, bare), want: Malformed},
		{name: "another host's advertisement is a conflict", want: Contested,
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
			if tt.ours == nil {
				tt.ours = owned
			}
			o := answerNDP(tt.frame, ourLink, tt.ours)
			if o.verdict != tt.want || (o.reply != nil) != (tt.want == Answered || tt.want == Defended) {
				t.Fatalf("got %s, a reply of %d octets; want %s", o.verdict, len(o.reply), tt.want)
			}
			if o.verdict == Contested && (o.address != vip6 || !same(o.rival, theirMAC)) {
				t.Errorf("rival %s at %s", o.rival, o.address)
			}
			if o.reply != nil {
				as, _ := tt.ours(vip6)
				if as == nil {
					as = ourMAC
				}
				checkAdvertisement(t, o.reply, as, tt.sent)
			}
		})
	}
}

func checkAdvertisement(t *testing.T, frame []byte, as net.HardwareAddr, want string) {
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
	if a := na.Options[0].(*ndp.LinkLayerAddress); a.Direction != ndp.Target || !same(a.Addr, as) {
		t.Errorf("target link-layer address %+v, want %s", a, as)
	}
	if got := net.HardwareAddr(frame[6:12]); !same(got, ourMAC) {
		t.Errorf("sent as %s: a switch would learn that here", got)
	}
	solicited := map[bool]string{true: "true", false: "false"}[na.Solicited]
	if got := strings.Join([]string{net.HardwareAddr(frame[:6]).String(), to.String(), solicited}, " "); got != want {
		t.Errorf("sent to %s, want %s", got, want)
	}
}

func TestAnnounceNDP(t *testing.T) {
	for _, as := range []net.HardwareAddr{ourMAC, ownerMAC} {
		checkAdvertisement(t, announceNDP(vip6, ourLink, as)[0], as, "33:33:00:00:00:01 ff02::1 false")
	}
}
