package layer2

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

func arpFrame(op arp.Operation, senderHW net.HardwareAddr, sender netip.Addr, targetHW net.HardwareAddr, target netip.Addr, to net.HardwareAddr) []byte {
	return arpPacket{op, senderHW, sender, targetHW, target}.frame(to, senderHW)
}

func TestAnswerARP(t *testing.T) {
	request := arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast)
	tests := []struct {
		name    string
		frame   []byte
		ours    holder // nil: owned
		want    Verdict
		sent    string // sender and target of the reply
		unicast net.HardwareAddr
		rival   string
	}{
		{name: "a request is answered to who asked", frame: request, want: Answered,
			sent: "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a padded request too", frame: append(slices.Clone(request), make([]byte, 18)...), want: Answered,
			sent: "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a unicast request too, as caches send to be sure", want: Answered,
			frame: arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ourMAC),
			sent:  "192.0.2.200 02:00:00:00:00:01 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a probe is defended against (RFC 5227)", want: Defended,
			frame: arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ethernet.Broadcast),
			sent:  "192.0.2.200 02:00:00:00:00:01 0.0.0.0 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a probe by unicast is a question whether we are there", want: Answered,
			frame: arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ourMAC),
			sent:  "192.0.2.200 02:00:00:00:00:01 0.0.0.0 02:00:00:00:00:02", unicast: theirMAC},
		{name: "a stand-in's reply says where the owner is", frame: request, ours: stoodIn, want: Answered,
			sent: "192.0.2.200 02:00:00:00:00:07 192.0.2.101 02:00:00:00:00:02", unicast: theirMAC},
		{name: "the owner needs no answer of its stand-in", ours: stoodIn, want: Ignored,
			frame: arpFrame(arp.OperationRequest, ownerMAC, their4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "the owner's announcement is no conflict for its stand-in", ours: stoodIn, want: Ignored,
			frame: arpFrame(arp.OperationRequest, ownerMAC, vip4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "another host's is", ours: stoodIn, want: Contested, rival: "192.0.2.200 02:00:00:00:00:02",
			frame: arpFrame(arp.OperationRequest, theirMAC, vip4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "a request for another address is not", want: NotOurs,
			frame: arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, their4, ethernet.Broadcast)},
		{name: "a reply is not", want: Ignored,
			frame: arpFrame(arp.OperationReply, theirMAC, their4, ourMAC, vip4, ourMAC)},
		{name: "another host's announcement is a conflict", want: Contested, rival: "192.0.2.200 02:00:00:00:00:02",
			frame: arpFrame(arp.OperationRequest, theirMAC, vip4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "its announcement by reply too", want: Contested, rival: "192.0.2.200 02:00:00:00:00:02",
			frame: arpFrame(arp.OperationReply, theirMAC, vip4, theirMAC, vip4, ethernet.Broadcast)},
		{name: "and its request for whatever else (RFC 5227 section 2.4)", want: Contested, rival: "192.0.2.200 02:00:00:00:00:02",
			frame: arpFrame(arp.OperationRequest, theirMAC, vip4, zeroMAC, their4, ethernet.Broadcast)},
		{name: "an announcement of this node's other interface is not", want: Ignored,
			frame: arpFrame(arp.OperationRequest, secondMAC, vip4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "an operation that is neither request nor reply", frame: edit(request, 20, 0, 9), want: Ignored},
		{name: "our own announcement is not", want: Ignored,
			frame: arpFrame(arp.OperationRequest, ourMAC, vip4, zeroMAC, vip4, ethernet.Broadcast)},
		{name: "a frame to another host is not for us", want: Ignored,
			frame: arpFrame(arp.OperationRequest, net.HardwareAddr{2, 0, 0, 0, 0, 3}, their4, zeroMAC, vip4, theirMAC)},
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
			if tt.ours == nil {
				tt.ours = owned
			}
			o := answerARP(tt.frame, ourLink, tt.ours)
			if o.verdict != tt.want || (o.reply != nil) != (tt.want == Answered || tt.want == Defended) {
				t.Fatalf("got %s, a reply of %d octets; want %s", o.verdict, len(o.reply), tt.want)
			}
			if got := o.address.String() + " " + o.rival.String(); tt.rival != "" && got != tt.rival {
				t.Errorf("rival %s, want %s", got, tt.rival)
			}
			if o.reply == nil {
				return
			}
			f, p := packetOf(t, o.reply)
			if s := arpLine(p); s != tt.sent || p.Operation != arp.OperationReply || f.Destination.String() != tt.unicast.String() {
				t.Errorf("to %s: %s %s, want %s", f.Destination, p.Operation, s, tt.sent)
			}
			if !same(f.Source, ourMAC) {
				t.Errorf("sent as %s: a switch would learn that here", f.Source)
			}
		})
	}
}

func packetOf(t *testing.T, frame []byte) (f ethernet.Frame, p arp.Packet) {
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
	for _, as := range []net.HardwareAddr{ourMAC, ownerMAC} {
		frames := announceARP(vip4, ourLink, as)
		for i, want := range []string{
			"192.0.2.200 " + as.String() + " 192.0.2.200 00:00:00:00:00:00",
			"192.0.2.200 " + as.String() + " 192.0.2.200 " + as.String(),
		} {
			f, p := packetOf(t, frames[i])
			if got := arpLine(p); got != want || f.Destination.String() != "ff:ff:ff:ff:ff:ff" || !same(f.Source, ourMAC) || p.Operation != arp.Operation(i+1) {
				t.Errorf("frame %d from %s to %s: %s %s, want %s", i, f.Source, f.Destination, p.Operation, got, want)
			}
		}
	}
}
