package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func bgpPeerAt(name, address string, selectors ...v1alpha1.LabelSelector) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.BGPPeerSpec{
		MyASN: 64512, PeerASN: 64513, PeerAddress: address, NodeSelectors: selectors,
	}}
}

func inRack(rack v1alpha1.LabelValue) v1alpha1.LabelSelector {
	return v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"rack": rack}}
}

func speakerWith(sessions ...v1alpha1.BGPSessionStatus) *v1alpha1.Speaker {
	return &v1alpha1.Speaker{Status: v1alpha1.SpeakerStatus{BGPSessions: sessions}}
}

func stopped(s *v1alpha1.Speaker, reason string) *v1alpha1.Speaker {
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason}}
	return s
}

func is(peer string, state v1alpha1.BGPSessionState, lastError string) v1alpha1.BGPSessionStatus {
	return v1alpha1.BGPSessionStatus{Peer: peer, State: state, LastError: lastError}
}

// Two racks of two nodes, with a peer each and one for all.
func twoRacks() *network {
	n := newNetwork()
	for i, rack := range []string{"a", "a", "b", "b"} {
		n.setNode(fmt.Sprint("node-", i+1), labels.Set{"rack": rack})
	}
	n.setPeers([]*v1alpha1.BGPPeer{bgpPeerAt("all", "192.0.2.9"), bgpPeerAt("a", "192.0.2.1", inRack("a")), bgpPeerAt("b", "192.0.2.1", inRack("b"))})
	for node := range n.nodes {
		n.setSpeaker(node, speakerWith(is("all", "Established", ""), is("a", "Established", ""), is("b", "Established", "")))
	}
	return n
}

func TestNetworkTouches(t *testing.T) {
	tests := []struct {
		name string
		do   func(*network) []string
		want string
	}{
		{"nothing, if the same is said again", func(n *network) []string {
			return n.setSpeaker("node-1", speakerWith(is("all", "Established", ""), is("a", "Established", ""), is("b", "Established", "")))
		}, ""},
		{"nothing, if an error of the past is another", func(n *network) []string {
			return n.setSpeaker("node-1", speakerWith(is("all", "Established", "was reset"), is("a", "Established", ""), is("b", "Established", "")))
		}, ""},
		{"the peer whose session is down", func(n *network) []string {
			return n.setSpeaker("node-1", speakerWith(is("all", "Established", ""), is("a", "Idle", "refused"), is("b", "Established", "")))
		}, "a"},
		{"no peer that is not the node's", func(n *network) []string {
			return n.setSpeaker("node-1", speakerWith(is("all", "Established", ""), is("a", "Established", ""), is("b", "Idle", "refused")))
		}, ""},
		{"the peers of a node whose speaker stops", func(n *network) []string {
			return n.setSpeaker("node-3", stopped(speakerWith(), "Stopped"))
		}, "all b"},
		{"the peers of a node whose Speaker is deleted", func(n *network) []string { return n.setSpeaker("node-3", nil) }, "all b"},
		{"the peers between which a node moves", func(n *network) []string { return n.setNode("node-1", labels.Set{"rack": "b"}) }, "a b"},
		{"nothing, if another label of a node changes", func(n *network) []string {
			return n.setNode("node-1", labels.Set{"rack": "a", "zone": "x"})
		}, ""},
		{"the peers of a node that is removed", func(n *network) []string { return n.removeNode("node-4") }, "all b"},
		{"the peers of a node that never had a Speaker, also those that stand back", func(n *network) []string {
			n.setSpeaker("node-1", nil)
			n.setPeers([]*v1alpha1.BGPPeer{bgpPeerAt("all", "192.0.2.9"), bgpPeerAt("younger", "192.0.2.9")})
			return n.setSpeaker("node-1", speakerWith())
		}, "all younger"},
		{"the peers of a node that comes", func(n *network) []string { return n.setNode("node-5", labels.Set{"rack": "c"}) }, "all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			touched := tt.do(twoRacks())
			slices.Sort(touched)
			if got := strings.Join(touched, " "); got != tt.want {
				t.Errorf("touched %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNetworkSumsUp(t *testing.T) {
	show := func(s peerState) string {
		var parts []string
		for _, x := range s.sessions {
			state := x.why
			if x.established {
				state = "up"
			}
			parts = append(parts, x.node+" "+state)
		}
		for _, c := range s.conflicts {
			parts = append(parts, fmt.Sprintf("%s has %s", c.node, c.older))
		}
		if s.unserved > 0 {
			parts = append(parts, fmt.Sprint(s.unserved, " unserved"))
		}
		return strings.Join(parts, ", ")
	}
	tests := []struct {
		name, peer string
		do         func(*network)
		want       string
	}{
		{"the nodes that a peer selects, in order", "a", func(*network) {}, "node-1 up, node-2 up"},
		{"a speaker that has stopped has no session, whatever was said last", "b", func(n *network) {
			n.setSpeaker("node-3", stopped(speakerWith(is("b", "Established", "")), "Lost"))
		}, "node-3 its speaker does not run, node-4 up"},
		{"a speaker that is alone in gossip has sessions", "b", func(n *network) {
			n.setSpeaker("node-3", stopped(speakerWith(is("b", "Established", "")), "Alone"))
		}, "node-3 up, node-4 up"},
		{"a node that no speaker ran on", "b", func(n *network) { n.setSpeaker("node-3", nil) }, "node-4 up, 1 unserved"},
		{"a speaker that has not heard of the peer", "b", func(n *network) { n.setSpeaker("node-3", speakerWith()) }, "node-3 not established yet, node-4 up"},
		{"an older peer that is the same session on one node", "b", func(n *network) {
			n.setNode("node-3", labels.Set{"rack": "b"})
			n.setPeers([]*v1alpha1.BGPPeer{bgpPeerAt("b", "192.0.2.1", inRack("b")), bgpPeerAt("a", "192.0.2.1")})
		}, "node-3 has a, node-4 has a"},
		{"a peer that cannot be read has none", "b", func(n *network) {
			n.setPeers([]*v1alpha1.BGPPeer{bgpPeerAt("b", "nonsense")})
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := twoRacks()
			tt.do(n)
			if got := show(n.peer(tt.peer)); got != tt.want {
				t.Errorf("%s: %s\nwant %s", tt.peer, got, tt.want)
			}
		})
	}
}

// One report of one speaker costs its own sessions, and a look at a peer its nodes.
func BenchmarkSpeakerReport(b *testing.B) {
	for _, nodes := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			n := newNetwork()
			var peers []*v1alpha1.BGPPeer
			for i := range 16 {
				peers = append(peers, bgpPeerAt(fmt.Sprint("peer-", i), fmt.Sprint("192.0.2.", i+1)))
			}
			n.setPeers(peers)
			up, down := speakerWith(), speakerWith()
			for i := range 16 {
				up.Status.BGPSessions = append(up.Status.BGPSessions, is(fmt.Sprint("peer-", i), "Established", ""))
				down.Status.BGPSessions = append(down.Status.BGPSessions, is(fmt.Sprint("peer-", i), "Idle", ""))
			}
			for i := range nodes {
				n.setNode(fmt.Sprint("node-", i), nil)
				n.setSpeaker(fmt.Sprint("node-", i), up)
			}
			for i := 0; b.Loop(); i++ {
				n.setSpeaker("node-7", []*v1alpha1.Speaker{down, up}[i%2])
			}
		})
	}
}
