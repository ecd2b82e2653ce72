package plugin

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// many is a cluster of 100 nodes with so many addresses, all for the segment and for BGP.
func many(addresses int) *Snapshot {
	s := &Snapshot{Namespaces: map[string]map[string]string{}, Time: now,
		Pools:             []*v1alpha1.IPAddressPool{pool("edge", "198.18.0.0/16")},
		Advertisements:    []*v1alpha1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "main"}}},
		BGPAdvertisements: []*v1alpha1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "main"}}},
		Peers: []*v1alpha1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "tor"},
			Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}},
	}
	const count = 100
	for i := range count {
		name := fmt.Sprintf("node%03d", i)
		s.Nodes = append(s.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		sp := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: name}}
		sp.Status.Interfaces = []v1alpha1.SpeakerInterface{{Name: "eth0", Addresses: []string{fmt.Sprintf("198.18.255.%d/16", i+1)}}}
		sp.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
		sp.Status.Layer2 = &v1alpha1.Layer2Status{}
		sp.Status.BGPSessions = []v1alpha1.BGPSessionStatus{{Peer: "tor", State: v1alpha1.BGPSessionEstablished, PrefixesAdvertised: int32(addresses)}}
		s.Speakers = append(s.Speakers, sp)
	}
	a := netip.MustParseAddr("198.18.0.1")
	for i := range addresses {
		s.Services = append(s.Services, service("shop", fmt.Sprint("s", i), a.String()))
		l2 := s.Speakers[i%count].Status.Layer2
		l2.Owned++
		l2.Addresses = append(l2.Addresses, v1alpha1.Layer2Address{Address: a.String(), Interfaces: []string{"eth0"}})
		a = a.Next()
	}
	return s
}

func BenchmarkExplainNode100Nodes10000Addresses(b *testing.B) {
	s := many(10_000)
	for b.Loop() {
		e, err := ExplainNode(s, "node007")
		if err != nil || e.Owned != 100 || len(e.IfLost.To) < 50 || len(e.IfLost.Nowhere) > 0 {
			b.Fatalf("%v, %+v", err, e)
		}
	}
}

func BenchmarkExplainNodes100Nodes10000Addresses(b *testing.B) {
	s := many(10_000)
	for b.Loop() {
		if rows := ExplainNodes(s); len(rows) != 100 || rows[0].Standing != standingServing {
			b.Fatalf("%+v", rows)
		}
	}
}

// Losing a node moves its addresses and no others, and each to another node.
func TestForesightAddsUp(t *testing.T) {
	s := many(1000)
	for _, f := range []*Foresight{ifLost(s, "node007"), ifDrained(s, "node007")} {
		sum := 0
		for _, to := range f.To {
			if sum += to.Addresses; to.Node == "node007" {
				t.Errorf("some go to the node itself: %+v", f)
			}
		}
		if sum != 10 || len(f.Nowhere) > 0 || f.Unlisted != 0 {
			t.Errorf("%d of 10 addresses go elsewhere, nowhere %v, %d are unlisted", sum, f.Nowhere, f.Unlisted)
		}
	}
}
