package plugin

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// routed is a cluster in which node1 advertises the address of web/a to tor1 alone.
func routed() []runtime.Object {
	node := nodes("node1")[0]
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	sp := telling(speakerOf("node1"), 1, "tor1")
	sp.Status.BGPSessions[0].LocalAddress = "192.0.2.11"
	svc := service("web", "a", "198.51.100.1")
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	return []runtime.Object{node, sp, svc, pool("edge", "198.51.100.0/24"),
		&v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1alpha1.BGPAdvertisementSpec{Communities: []v1alpha1.CommunityReference{"edge"}}},
		&v1alpha1.Community{ObjectMeta: metav1.ObjectMeta{Name: "ours"},
			Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "edge", Value: "64512:1"}}}},
		&v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor1"},
			Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}}
}

func TestLoadBGP(t *testing.T) {
	peers := func(c *k8s.Cluster) (string, []string, error) {
		s, err := LoadPeers(context.Background(), c)
		if err != nil {
			return "", nil, err
		}
		var out strings.Builder
		_ = WritePeers(&out, Peers(s), Format{})
		return out.String(), s.Notes, nil
	}
	routes := func(want Selection) func(c *k8s.Cluster) (string, []string, error) {
		return func(c *k8s.Cluster) (string, []string, error) {
			s, err := LoadRoutes(context.Background(), c, "", want)
			if err != nil {
				return "", nil, err
			}
			var out strings.Builder
			_ = WriteRoutes(&out, Routes(s, want), Format{})
			return out.String(), s.Notes, nil
		}
	}
	explain := func(c *k8s.Cluster) (string, []string, error) {
		e, notes, err := LoadExplanation(context.Background(), c, "", lb.Key{Namespace: "web", Name: "a"})
		if err != nil {
			return "", notes, err
		}
		return e.Outcome, notes, nil
	}
	owners := func(c *k8s.Cluster) (string, []string, error) {
		s, err := LoadSegment(context.Background(), c, "")
		if err != nil {
			return "", nil, err
		}
		var out strings.Builder
		_ = WriteOwners(&out, Owners(s), Format{})
		return out.String(), s.Notes, nil
	}
	tests := []struct {
		name       string
		run        func(*k8s.Cluster) (string, []string, error)
		forbid     string // a kind that may not be listed
		want, note string
		fail       string
	}{
		{name: "peers", run: peers, want: "tor1  node1  Established"},
		{name: "peers without the BGPPeers are what speakers say alone", run: peers, forbid: "bgppeers", want: "tor1  node1  Established",
			note: "you may not read BGPPeers"},
		{name: "peers without the Nodes, too", run: peers, forbid: "nodes", want: "tor1  node1  Established",
			note: `you may not read Nodes: nodes is forbidden: User "eve" cannot list resource "nodes": which nodes are to have sessions is unknown`},
		{name: "there are no peers without the Speakers", run: peers, forbid: "speakers", fail: "you may not read Speakers"},
		{name: "routes", run: routes(Selection{}), want: "198.51.100.1/32  tor1  yes         node1  -           edge\n"},
		{name: "routes without the aliases", run: routes(Selection{}), forbid: "communities", want: "198.51.100.1/32  tor1  yes         node1",
			note: "what BGP does is unknown without the Communities"},
		{name: "no routes without the Nodes", run: routes(Selection{}), forbid: "nodes", fail: "you may not read Nodes"},
		{name: "routes to no peer", run: routes(Selection{Peer: "tor9"}), fail: "there is no BGPPeer tor9"},
		{name: "routes of no node", run: routes(Selection{Node: "node9"}), fail: "there is no Node node9"},
		{name: "a Service", run: explain, want: "BGP advertises 198.51.100.1 in 198.51.100.1/32 to tor1 from node1."},
		{name: "a Service, and no right to read the peers", run: explain, forbid: "bgppeers",
			want: "What BGP does with 198.51.100.1 is unknown, without the BGPPeers.", note: "you may not read BGPPeers"},
		{name: "a Service, and no right to read the advertisements", run: explain, forbid: "bgpadvertisements",
			want: "What BGP does with 198.51.100.1 is unknown, without the BGPAdvertisements.", note: "you may not read BGPAdvertisements"},
		{name: "owners", run: owners, want: "198.51.100.1  web/a    (BGP)  -"},
		{name: "owners without the advertisements", run: owners, forbid: "bgpadvertisements", want: "no L2Advertisement covers it",
			note: "which addresses are for BGP is unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, clients := cluster(routed()...)
			if tt.forbid != "" {
				clients.forbid("list", tt.forbid, "*")
			}
			got, notes, err := tt.run(c)
			if tt.fail != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fail) {
					t.Fatalf("error %v, want %q", err, tt.fail)
				}
				return
			}
			if err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("%v\n%s\nwant %q", err, got, tt.want)
			}
			if said := strings.Join(notes, "\n"); (tt.note == "") != (said == "") || !strings.Contains(said, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

// Gossip is not BGP: a speaker that is alone there, or has not heard the others yet, has its sessions.
func TestPeersOfASpeakerThatIsAlone(t *testing.T) {
	for reason, gone := range map[string]bool{"Alone": false, "Joining": false, "Stopped": true, "Lost": true} {
		s := &Snapshot{
			Nodes: nodes("node1"), Speakers: []*v1alpha1.Speaker{telling(speakerOf("node1"), 1, "tor1")},
			Peers: []*v1alpha1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "tor1"}, Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}},
		}
		s.Speakers[0].Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason}}
		if rows := Peers(s); len(rows) != 1 || rows[0].Gone != gone || (rows[0].Note != "") != gone {
			t.Errorf("%s: %+v", reason, rows)
		}
	}
}

func TestPeersWithoutTheNodes(t *testing.T) {
	peer := func(name string) *v1alpha1.BGPPeer {
		return &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}
	}
	rows := Peers(&Snapshot{Unread: []string{"Nodes"}, Peers: []*v1alpha1.BGPPeer{peer("tor1"), peer("tor2")}, Speakers: []*v1alpha1.Speaker{telling(speakerOf("node1"), 1, "tor1")}})
	if len(rows) != 2 || rows[0].Note != "" || rows[1].Peer != "tor2" || rows[1].Note != "no speaker tells of it, and which nodes it selects is unknown" {
		t.Errorf("%+v", rows)
	}
}

func TestPeersOfASpecThatCannotBeRead(t *testing.T) {
	s := &Snapshot{
		Nodes: nodes("node1", "node2", "node3"), Peers: []*v1alpha1.BGPPeer{{ObjectMeta: metav1.ObjectMeta{Name: "tor1"}}},
		Speakers: []*v1alpha1.Speaker{telling(speakerOf("node1"), 1, "tor1"), telling(speakerOf("node2"), 1, "tor1"), telling(speakerOf("node3"), 1, "tor1")},
	}
	for _, row := range Peers(s) {
		if row.Node == "" || row.Note != "" {
			t.Errorf("node %q: %s", row.Node, row.Note)
		}
	}
}

// A speaker that was there when its node was Ready advertises while it is not for a short time, or while most are not.
func TestRoutesOfANodeThatIsNotReady(t *testing.T) {
	for prefixes, want := range map[int32]string{1: "", 0: "the node advertises nothing: not Ready, and nobody knows here whether it was since its speaker started"} {
		s := &Snapshot{Nodes: nodes("node1")}
		s.Nodes[0].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
		for _, object := range routed() {
			switch o := object.(type) {
			case *corev1.Service:
				s.Services = append(s.Services, o)
			case *v1alpha1.IPAddressPool:
				s.Pools = append(s.Pools, o)
			case *v1alpha1.BGPAdvertisement:
				s.BGPAdvertisements = append(s.BGPAdvertisements, o)
			case *v1alpha1.BGPPeer:
				s.Peers = append(s.Peers, o)
			}
		}
		s.Speakers = []*v1alpha1.Speaker{telling(speakerOf("node1"), prefixes, "tor1")}
		rows := Routes(s, Selection{})
		if len(rows) != 1 || rows[0].Advertised != (want == "") || rows[0].Why != want {
			t.Errorf("with %d prefixes: %+v", prefixes, rows)
		}
	}
}

// What BGP depends on is no user's business where nothing is advertised by it.
func TestBGPIsReadOnlyIfNeeded(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1"), service("web", "a", "192.0.2.1"))
	for _, kind := range []string{"bgppeers", "communities", "bfdprofiles", "nodes", "speakers", "endpointslices"} {
		clients.forbid("list", kind, "*")
	}
	if _, notes, err := LoadExplanation(t.Context(), c, "", lb.Key{Namespace: "web", Name: "a"}); err != nil || len(notes) > 0 {
		t.Errorf("%v, notes %q", err, notes)
	}
}

// BenchmarkRoutes lists all routes of a cluster with two peers.
func BenchmarkRoutes(b *testing.B) {
	for _, size := range []struct{ services, nodes int }{{1000, 3}, {10000, 3}, {1000, 100}} {
		b.Run(fmt.Sprintf("%d-Services-%d-nodes", size.services, size.nodes), func(b *testing.B) {
			s := &Snapshot{Time: now}
			for _, o := range routed() {
				switch o := o.(type) {
				case *v1alpha1.BGPAdvertisement:
					s.BGPAdvertisements = append(s.BGPAdvertisements, o)
				case *v1alpha1.BGPPeer:
					other := o.DeepCopy()
					other.Name, other.Spec.PeerAddress = "tor2", "192.0.2.2"
					s.Peers = append(s.Peers, o, other)
				}
			}
			s.Pools = append(s.Pools, pool("edge", "198.18.0.0/15"))
			for i := range size.nodes {
				n := nodes(fmt.Sprintf("node%d", i))[0]
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
				s.Nodes = append(s.Nodes, n)
				s.Speakers = append(s.Speakers, telling(speakerOf(n.Name), int32(size.services), "tor1", "tor2"))
			}
			address := netip.MustParseAddr("198.18.0.1")
			for i := range size.services {
				s.Services = append(s.Services, service("web", fmt.Sprintf("s%d", i), address.String()))
				address = address.Next()
			}
			b.ResetTimer()
			for range b.N {
				if rows := Routes(s, Selection{}); len(rows) != 2*size.services || len(rows[0].Nodes) != size.nodes {
					b.Fatalf("%d rows, the first %+v", len(rows), rows[0])
				}
			}
		})
	}
}
