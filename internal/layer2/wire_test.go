package layer2

import (
	"net"
	"net/netip"
	"slices"
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
	ownerMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 7} // the node that we stand in for
	secondMAC = net.HardwareAddr{2, 0, 0, 0, 0, 8} // of another interface of this node
	ourLink   = link{ourMAC, stations{[6]byte(ourMAC): true, [6]byte(secondMAC): true}}
	owned     = func(a netip.Addr) (net.HardwareAddr, bool) { return nil, a == vip4 || a == vip6 }
	stoodIn   = func(a netip.Addr) (net.HardwareAddr, bool) { return ownerMAC, a == vip4 || a == vip6 }
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

// Whatever comes from the wire: no crash, and an answer only for what is ours, to one host or, for duplicate
// address detection, to all nodes.
func FuzzAnswer(f *testing.F) {
	f.Add(arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast))
	f.Add(arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ethernet.Broadcast))
	f.Add(arpFrame(arp.OperationReply, theirMAC, vip4, zeroMAC, vip4, ethernet.Broadcast))
	f.Add(solicitation(their6, group6, vip6, nil))
	f.Add(solicitation(unset6, group6, vip6, &ndp.NeighborSolicitation{TargetAddress: vip6}))
	f.Add(solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6}))
	f.Add(claimFrame(theirMAC, []byte("claims")))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, ours := range []holder{owned, stoodIn} {
			o := answerARP(frame, ourLink, ours)
			checkOutcome(t, frame, o)
			if o.reply != nil {
				_, p := packetOf(t, o.reply)
				if p.SenderIP != vip4 || !same(o.reply[:6], frame[22:28]) {
					t.Errorf("answered %x with %x", frame, o.reply)
				}
			}
		}
		observeARP(frame, ourLink)
		if payload, verdict := readClaim(frame, ourLink); (verdict == Heard) != (len(payload) > 0) || len(payload) > MaxBroadcast {
			t.Errorf("%s, %d octets of %x", verdict, len(payload), frame)
		}
		frame = mendChecksum(frame)
		for _, ours := range []holder{owned, stoodIn} {
			o := answerNDP(frame, ourLink, ours)
			checkOutcome(t, frame, o)
			if o.reply != nil {
				na := must(ndp.ParseMessage(o.reply[icmpOffset:])).(*ndp.NeighborAdvertisement)
				to := netip.AddrFrom16([16]byte(o.reply[ipv6DestOffset:]))
				from := netip.AddrFrom16([16]byte(frame[ipv6SourceOffset:]))
				if na.TargetAddress != vip6 || na.Solicited == to.IsMulticast() || (to != from && !from.IsUnspecified()) {
					t.Errorf("answered %x with %x", frame, o.reply)
				}
			}
		}
		observeNDP(frame, ourLink)
	})
}

func checkOutcome(t *testing.T, frame []byte, o outcome) {
	t.Helper()
	if (o.reply != nil) != (o.verdict == Answered || o.verdict == Defended) || (o.rival != nil) != (o.verdict == Contested || o.verdict == Defended) {
		t.Errorf("%x: %+v", frame, o)
	}
	if o.reply != nil && !same(o.reply[6:12], ourMAC) {
		t.Errorf("%x: sent as %x", frame, o.reply[6:12])
	}
	if o.rival != nil && (!isHost(o.rival) || ourLink.own(o.rival)) {
		t.Errorf("%x: a rival at %s", frame, o.rival)
	}
}

func BenchmarkAnswer(b *testing.B) {
	request := func(vip netip.Addr) []byte {
		return arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip, ethernet.Broadcast)
	}
	frames := map[string][]byte{
		"arp/ours": request(vip4), "arp/foreign": request(their4),
		"ndp/ours": solicitation(their6, group6, vip6, nil), "ndp/foreign": solicitation(their6, group6, their6, nil),
	}
	for _, name := range []string{"arp/ours", "arp/foreign", "ndp/ours", "ndp/foreign"} {
		b.Run(name, func(b *testing.B) {
			answer := answerARP
			if name[:3] == "ndp" {
				answer = answerNDP
			}
			b.ReportAllocs()
			for b.Loop() {
				answer(frames[name], ourLink, owned)
			}
		})
	}
}
