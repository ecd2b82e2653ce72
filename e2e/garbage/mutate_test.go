package garbage

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

var (
	mac    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	other  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	v4, v6 = netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("2001:db8::200")
	host4  = netip.MustParseAddr("192.0.2.101")
	host6  = netip.MustParseAddr("2001:db8::101")
	r      = func() *rand.Rand { return rand.New(rand.NewPCG(1, 0)) }
)

func packets() map[string]Packet {
	return map[string]Packet{
		"an ARP request":           ARP(broadcast, mac, 1, mac, host4, v4),
		"a Neighbor Solicitation":  Solicitation(mac, host6, v6),
		"a Neighbor Advertisement": Advertisement(mac, other, v6),
		"a frame with claims":      Claims(mac, []byte("claims")),
		"an OPEN":                  OpenMessage(64500, 90, host4),
		"an UPDATE":                UpdateMessage(64500, host4, netip.MustParsePrefix("10.1.0.0/16")),
		"a NOTIFICATION":           NotificationMessage(6, 2),
		"a KEEPALIVE":              KeepaliveMessage(),
		"a ROUTE-REFRESH":          RouteRefreshMessage(),
		"a BFD packet":             BFD(r(), 1, 0, false),
		"a BFD packet with a sum":  BFD(r(), 3, 7, true),
	}
}

func TestWrong(t *testing.T) {
	for name, p := range packets() {
		t.Run(name, func(t *testing.T) {
			list := p.Wrong(r(), 300)
			if len(list) != 300 || !cmp.Equal(list, p.Wrong(r(), 300)) {
				t.Errorf("%d packets; a seed repeats them: %v", len(list), cmp.Equal(list, p.Wrong(r(), 300)))
			}
			lengths := map[int]bool{}
			for _, b := range list {
				lengths[len(b)] = true
				if bytes.Equal(b, p.Octets) {
					t.Error("one of them is right")
				}
				if !bytes.Equal(b[:p.Keep], p.Octets[:p.Keep]) {
					t.Errorf("% x does not reach who is to read it", b)
				}
			}
			if len(lengths) < 20 {
				t.Errorf("they have %d lengths", len(lengths))
			}
			for _, f := range p.Fields {
				if f.At+f.Octets > len(p.Octets) {
					t.Errorf("the field %v is beyond the %d octets", f, len(p.Octets))
				}
				if f.At < p.Keep {
					t.Errorf("the field %v is of what is to stay", f)
				}
				if !slices.ContainsFunc(list, func(b []byte) bool {
					return len(b) == len(p.Octets) && !bytes.Equal(b[f.At:f.At+f.Octets], p.Octets[f.At:f.At+f.Octets])
				}) {
					t.Errorf("the field %v is never wrong", f)
				}
			}
		})
	}
}

func TestExtremes(t *testing.T) {
	got := Packet{Octets: []byte{9, 0, 2, 9}, Fields: []Field{{1, 2}}}.Extremes()
	want := [][]byte{
		{9, 0, 0, 9}, {9, 0, 1, 9}, {9, 0, 3, 9}, {9, 0x7f, 0xff, 9}, {9, 0x80, 0, 9}, {9, 0x80, 2, 9}, {9, 0xff, 0xfe, 9}, {9, 0xff, 0xff, 9},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What garbage is made of is right: else it would all be thrown away at the door.
func TestRight(t *testing.T) {
	for _, test := range []struct {
		name string
		p    Packet
	}{{"to whom it is asked", Solicitation(mac, host6, v6)}, {"to all", Advertisement(mac, other, v6)}} {
		t.Run("Neighbor Discovery "+test.name, func(t *testing.T) {
			again := bytes.Clone(test.p.Octets)
			if refit(again); !bytes.Equal(again, test.p.Octets) {
				t.Error("its sums are not good")
			}
			message, err := ndp.ParseMessage(test.p.Octets[icmpAt:])
			if err != nil {
				t.Fatal(err)
			}
			from, to := netip.AddrFrom16([16]byte(test.p.Octets[22:])), netip.AddrFrom16([16]byte(test.p.Octets[38:]))
			want, err := ndp.MarshalMessageChecksum(message, from, to)
			if err != nil || !bytes.Equal(want, test.p.Octets[icmpAt:]) {
				t.Errorf("% x, %v; want % x", test.p.Octets[icmpAt:], err, want)
			}
		})
	}
	t.Run("ARP", func(t *testing.T) {
		var p arp.Packet
		if err := p.UnmarshalBinary(ARP(broadcast, mac, 1, other, host4, v4).Octets[ethernetOctets:]); err != nil {
			t.Fatal(err)
		}
		if p.Operation != arp.OperationRequest || p.SenderIP != host4 || p.TargetIP != v4 || !bytes.Equal(p.SenderHardwareAddr, other) {
			t.Errorf("%+v", p)
		}
	})
	t.Run("Ethernet", func(t *testing.T) {
		var f ethernet.Frame
		if err := f.UnmarshalBinary(Spoofed(mac, other, v6)); err != nil || f.EtherType != ethernet.EtherTypeIPv6 || !bytes.Equal(f.Source, mac) {
			t.Errorf("%+v, %v", f, err)
		}
	})
	for name, p := range packets() {
		if len(p.Octets) < bgpHeader || p.Octets[0] != 0xff || p.Keep > 0 {
			continue
		}
		t.Run("BGP, "+name, func(t *testing.T) {
			m, err := bgp.ParseBGPMessage(p.Octets)
			if err != nil {
				t.Fatal(err)
			}
			if u, ok := m.Body.(*bgp.BGPUpdate); ok && (len(u.PathAttributes) != 5 || len(u.NLRI) != 1) {
				t.Errorf("%d attributes, %d prefixes", len(u.PathAttributes), len(u.NLRI))
			}
		})
	}
}

func TestGossip(t *testing.T) {
	if list := Gossip(r(), 200); len(list) != 200 || !cmp.Equal(list, Gossip(r(), 200)) {
		t.Errorf("%d datagrams, or a seed does not repeat them", len(list))
	}
	if list := GossipStreams(r(), 50); len(list) != 50 {
		t.Errorf("%d streams", len(list))
	}
}
