package k8s

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// peerObject is an external peer at 192.0.2.1, but for what edit makes of it.
func peerObject(edit func(*v1alpha1.BGPPeerSpec)) *v1alpha1.BGPPeer {
	o := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}
	if edit != nil {
		edit(&o.Spec)
	}
	return o
}

func TestBGPPeer(t *testing.T) {
	node := []netip.Addr{netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")}
	base := bgp.Peer{
		Name: "tor", ASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr("192.0.2.1"), Port: 179, RouterID: netip.MustParseAddr("192.0.2.11"),
		HoldTime: 90 * time.Second, ConnectTime: 10 * time.Second, Families: []lb.Family{lb.IPv4},
		NextHops: [2]netip.Addr{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")},
	}
	both := []lb.Family{lb.IPv4, lb.IPv6}
	unnumbered := func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth1" }
	seconds := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Second} }
	for _, tt := range []struct {
		name string
		edit func(*v1alpha1.BGPPeerSpec)
		want func(*bgp.Peer)
	}{
		{"defaults where nothing is said", nil, func(*bgp.Peer) {}},
		{"a peer of the same AS is internal", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN = 64512 }, func(p *bgp.Peer) { p.PeerASN = 64512 }},
		{"an AS number that is left open, internal", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, "internal" }, func(p *bgp.Peer) { p.PeerASN = 64512 }},
		{"an AS number that is left open, external", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, "external" }, func(p *bgp.Peer) { p.PeerASN = 0 }},
		{"a local AS number replaces the other wholly", func(s *v1alpha1.BGPPeerSpec) { s.LocalASN = 64600 }, func(p *bgp.Peer) { p.ASN = 64600 }},
		{"AS numbers of four octets", func(s *v1alpha1.BGPPeerSpec) { s.MyASN, s.PeerASN = 4200000000, 4294967295 }, func(p *bgp.Peer) { p.ASN, p.PeerASN = 4200000000, 4294967295 }},
		{"an IPv6 router exchanges IPv6", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "2001:db8::1" }, func(p *bgp.Peer) {
			p.Address, p.Families = netip.MustParseAddr("2001:db8::1"), []lb.Family{lb.IPv6}
		}},
		{"disableMP says the default", func(s *v1alpha1.BGPPeerSpec) { s.DisableMP = true }, func(*bgp.Peer) {}},
		{"dual stack", func(s *v1alpha1.BGPPeerSpec) { s.DualStackAddressFamily = true }, func(p *bgp.Peer) { p.Families = both }},
		{"families as listed, in our order", func(s *v1alpha1.BGPPeerSpec) { s.Families = []v1alpha1.AddressFamily{"IPv6", "IPv4"} }, func(p *bgp.Peer) { p.Families = both }},
		{"the other family alone", func(s *v1alpha1.BGPPeerSpec) { s.Families = []v1alpha1.AddressFamily{"IPv6"} }, func(p *bgp.Peer) { p.Families = []lb.Family{lb.IPv6} }},
		{"unnumbered: both families, IPv4 with an IPv6 next hop", unnumbered, func(p *bgp.Peer) {
			p.Address, p.Interface, p.Families, p.ExtendedNextHop = netip.Addr{}, "eth1", both, true
		}},
		{"a hold time of 0 stays 0", func(s *v1alpha1.BGPPeerSpec) { s.HoldTime = seconds(0) }, func(p *bgp.Peer) { p.HoldTime = 0 }},
		{"timers", func(s *v1alpha1.BGPPeerSpec) {
			s.HoldTime, s.KeepaliveTime, s.ConnectTime = seconds(9), seconds(2), seconds(5)
		}, func(p *bgp.Peer) {
			p.HoldTime, p.KeepaliveTime, p.ConnectTime = 9*time.Second, 2*time.Second, 5*time.Second
		}},
		{"a router ID of its own", func(s *v1alpha1.BGPPeerSpec) { s.RouterID = "10.0.0.7" }, func(p *bgp.Peer) { p.RouterID = netip.MustParseAddr("10.0.0.7") }},
		{"GTSM", func(s *v1alpha1.BGPPeerSpec) { s.TTLSecurity = &v1alpha1.TTLSecurity{Hops: 3} }, func(p *bgp.Peer) { p.Hops = 3 }},
		{"GTSM on the segment", func(s *v1alpha1.BGPPeerSpec) { s.TTLSecurity = &v1alpha1.TTLSecurity{} }, func(p *bgp.Peer) { p.Hops = 1 }},
		{"all the rest", func(s *v1alpha1.BGPPeerSpec) {
			s.PeerPort, s.SourceAddress, s.VRF = 1179, "192.0.2.12", "red"
			s.EnableGracefulRestart, s.EBGPMultiHop, s.Passive, s.ExtendedNextHop = true, true, true, true
		}, func(p *bgp.Peer) {
			p.Port, p.Source, p.VRF = 1179, netip.MustParseAddr("192.0.2.12"), "red"
			p.GracefulRestart, p.MultiHop, p.Passive, p.ExtendedNextHop = true, true, true, true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.want(&want)
			p, err := ReadBGPPeer(peerObject(tt.edit))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, p.On("n1", node), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBGPPeerThatCannotBeRead(t *testing.T) {
	seconds := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	for _, tt := range []struct {
		name string
		edit func(*v1alpha1.BGPPeerSpec)
		want string
	}{
		{"no AS number", func(s *v1alpha1.BGPPeerSpec) { s.MyASN = 0 }, "spec.myASN is missing"},
		{"an AS number that is none", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN = 1 << 32 }, "spec.peerASN: 4294967296 is no AS number"},
		{"neither peerASN nor dynamicASN", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN = 0 }, "give either spec.peerASN or spec.dynamicASN"},
		{"both", func(s *v1alpha1.BGPPeerSpec) { s.DynamicASN = "external" }, "give either spec.peerASN or spec.dynamicASN"},
		{"a dynamic AS number of no kind", func(s *v1alpha1.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, "any" }, `"any" is neither internal nor external`},
		{"no address", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "" }, "give either spec.peerAddress or spec.interface"},
		{"an address and an interface", func(s *v1alpha1.BGPPeerSpec) { s.Interface = "eth0" }, "give either spec.peerAddress or spec.interface"},
		{"a name for an address", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "tor.example" }, `spec.peerAddress: "tor.example" is not an IP address`},
		{"a link-local address", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "fe80::1" }, "give spec.interface instead"},
		{"a multicast address", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "224.0.0.5" }, "is no router's address"},
		{"a source of the other family", func(s *v1alpha1.BGPPeerSpec) { s.SourceAddress = "2001:db8::1" }, "must be of one family"},
		{"a source on an interface", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.Interface, s.SourceAddress = "", "eth0", "192.0.2.3" }, "remove spec.sourceAddress"},
		{"a router ID of IPv6", func(s *v1alpha1.BGPPeerSpec) { s.RouterID = "2001:db8::1" }, "is not a router ID"},
		{"a hold time under 3 s", func(s *v1alpha1.BGPPeerSpec) { s.HoldTime = seconds(2 * time.Second) }, "spec.holdTime: 2s is not a hold time"},
		{"a hold time of half a second more", func(s *v1alpha1.BGPPeerSpec) { s.HoldTime = seconds(3500 * time.Millisecond) }, "spec.holdTime: 3.5s is not a hold time"},
		{"a port that is none", func(s *v1alpha1.BGPPeerSpec) { s.PeerPort = 65536 }, "spec.peerPort: 65536 is no port"},
		{"a selector that is none", func(s *v1alpha1.BGPPeerSpec) {
			s.NodeSelectors = []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}}
		}, "spec.nodeSelectors[0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ReadBGPPeer(peerObject(tt.edit)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestRouterIDs(t *testing.T) {
	p, err := ReadBGPPeer(peerObject(nil))
	if err != nil {
		t.Fatal(err)
	}
	only6 := []netip.Addr{netip.MustParseAddr("2001:db8::11")}
	a, b := p.On("n1", only6).RouterID, p.On("n2", only6).RouterID
	if !a.Is4() || !b.Is4() || a == b || a.IsUnspecified() {
		t.Errorf("nodes without an IPv4 address have %s and %s", a, b)
	}
	if again := p.On("n1", nil).RouterID; again != a {
		t.Errorf("%s, and then %s", a, again)
	}
}

func TestPeersOfANode(t *testing.T) {
	// Each is "name created edit": of one session unless the edit tells them apart.
	peer := func(name string, created int, edit func(*v1alpha1.BGPPeerSpec)) *BGPPeer {
		o := peerObject(edit)
		o.Name, o.CreationTimestamp = name, metav1.NewTime(time.Unix(int64(created), 0))
		p, err := ReadBGPPeer(o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rack := func(rack v1alpha1.LabelValue) func(*v1alpha1.BGPPeerSpec) {
		return func(s *v1alpha1.BGPPeerSpec) {
			s.NodeSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"rack": rack}}}
		}
	}
	source := func(a string) func(*v1alpha1.BGPPeerSpec) {
		return func(s *v1alpha1.BGPPeerSpec) { s.SourceAddress = a }
	}
	for _, tt := range []struct {
		name  string
		peers []*BGPPeer
		want  string
	}{
		{"different routers", []*BGPPeer{peer("a", 1, nil), peer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "192.0.2.2" })}, "a b"},
		{"one session: the older has it", []*BGPPeer{peer("a", 2, nil), peer("b", 1, nil)}, "b; a for b"},
		{"of one age: the first by name", []*BGPPeer{peer("b", 1, nil), peer("a", 1, nil)}, "a; b for a"},
		{"of three, one", []*BGPPeer{peer("a", 1, nil), peer("b", 2, nil), peer("c", 3, nil)}, "a; b for a, c for a"},
		{"other ports", []*BGPPeer{peer("a", 1, nil), peer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.PeerPort = 1179 })}, "a b"},
		{"other VRFs", []*BGPPeer{peer("a", 1, nil), peer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.VRF = "red" })}, "a b"},
		{"other AS numbers are the same session", []*BGPPeer{peer("a", 1, nil), peer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.PeerASN = 7 })}, "a; b for a"},
		{"other source addresses", []*BGPPeer{peer("a", 1, source("192.0.2.3")), peer("b", 2, source("192.0.2.4"))}, "a b"},
		{"a source address that the kernel may choose for the other", []*BGPPeer{peer("a", 1, nil), peer("b", 2, source("192.0.2.4"))}, "a; b for a"},
		{"interfaces", []*BGPPeer{peer("a", 1, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth0" }),
			peer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth1" })}, "a b"},
		{"an older one of another rack does not count", []*BGPPeer{peer("a", 1, rack("2")), peer("b", 2, rack("1"))}, "b"},
		{"one that stands back hinders nobody", []*BGPPeer{peer("a", 1, source("192.0.2.3")), peer("b", 2, nil), peer("c", 3, source("192.0.2.4"))}, "a c; b for a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // in any order
				slices.Reverse(tt.peers)
				peers := slices.Clone(tt.peers)
				BGPPeersByAge(peers)
				sessions, conflicts := BGPPeersOn(peers, map[string]string{"rack": "1"})
				var names, back []string
				for _, p := range sessions {
					names = append(names, p.Name)
				}
				for _, name := range slices.Sorted(maps.Keys(conflicts)) {
					back = append(back, name+" for "+conflicts[name])
				}
				got := strings.Join(names, " ")
				if len(back) > 0 {
					got += "; " + strings.Join(back, ", ")
				}
				if got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestBFDOfAProfile(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec v1alpha1.BFDProfileSpec
		want bgp.BFD
	}{
		{"defaults", v1alpha1.BFDProfileSpec{}, bgp.BFD{Profile: "fast", Receive: 300 * time.Millisecond, Transmit: 300 * time.Millisecond, Multiplier: 3, MinimumTTL: 254}},
		{"as written", v1alpha1.BFDProfileSpec{ReceiveInterval: ptr(int32(100)), TransmitInterval: ptr(int32(50)), DetectMultiplier: ptr(int32(5)),
			PassiveMode: true, MinimumTTL: ptr(int32(250))},
			bgp.BFD{Profile: "fast", Receive: 100 * time.Millisecond, Transmit: 50 * time.Millisecond, Multiplier: 5, Passive: true, MinimumTTL: 250}},
		{"what no session can have", v1alpha1.BFDProfileSpec{ReceiveInterval: ptr(int32(-1)), DetectMultiplier: ptr(int32(1000))},
			bgp.BFD{Profile: "fast", Receive: 10 * time.Millisecond, Transmit: 300 * time.Millisecond, Multiplier: 255, MinimumTTL: 254}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := BFD(&v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Spec: tt.spec}); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPassword(t *testing.T) {
	basic := corev1.SecretTypeBasicAuth
	for _, tt := range []struct {
		name     string
		of       corev1.SecretType
		key      string
		password string
		want     string // an error, if it begins with "Secret"
	}{
		{"as it is", basic, "password", "s3cret", "s3cret"},
		{"without the line break of a file", basic, "password", "s3cret\n", "s3cret"},
		{"spaces are part of it", basic, "password", " s3 cret ", " s3 cret "},
		{"another key", basic, "key", "s3cret", "Secret tor has no key password, or an empty one"},
		{"empty", basic, "password", "\n", "Secret tor has no key password, or an empty one"},
		{"another type", corev1.SecretTypeOpaque, "password", "s3cret", "Secret tor is not of type kubernetes.io/basic-auth"},
		{"too long", basic, "password", strings.Repeat("x", 81), "Secret tor: the key password is longer than the 80 bytes that TCP MD5 can have"},
		{"as long as can be", basic, "password", strings.Repeat("x", 80), strings.Repeat("x", 80)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Password(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Type: tt.of, Data: map[string][]byte{tt.key: []byte(tt.password)}})
			if err != nil {
				if err.Error() != tt.want {
					t.Errorf("%v, want %s", err, tt.want)
				}
			} else if string(got) != tt.want {
				t.Errorf("%q, want %q", string(got), tt.want)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if shown := fmt.Sprintf(verb, struct{ P bgp.Password }{got}); strings.Contains(shown, "s3") {
					t.Errorf("%s shows it: %s", verb, shown)
				}
			}
		})
	}
}
