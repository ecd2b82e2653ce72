package plugin

import (
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
)

// roster is who takes part in BGP, by name, and what the speakers say of their sessions.
type roster struct {
	s        *Snapshot
	nodes    map[string]*corev1.Node
	speakers map[string]*v1alpha1.Speaker
	peers    map[string]*v1alpha1.BGPPeer
	sessions map[[2]string]*v1alpha1.BGPSessionStatus // by peer and node
}

func newRoster(s *Snapshot) *roster {
	r := &roster{
		s: s, nodes: map[string]*corev1.Node{}, speakers: map[string]*v1alpha1.Speaker{}, peers: map[string]*v1alpha1.BGPPeer{},
		sessions: map[[2]string]*v1alpha1.BGPSessionStatus{},
	}
	for _, n := range s.Nodes {
		r.nodes[n.Name] = n
	}
	for _, p := range s.Peers {
		r.peers[p.Name] = p
	}
	for _, sp := range s.Speakers {
		r.speakers[sp.Name] = sp
		for i := range sp.Status.BGPSessions {
			session := &sp.Status.BGPSessions[i]
			r.sessions[[2]string{session.Peer, sp.Name}] = session
		}
	}
	return r
}

// lacks tells whether a kind of objects could not be read.
func (r *roster) lacks(kind string) bool {
	return slices.Contains(r.s.Unread, kind) || slices.Contains(r.s.UnreadBGP, kind)
}

// tells tells whether a node's speaker says that it advertises anything.
func (r *roster) tells(node string) bool {
	sp := r.speakers[node]
	return sp != nil && slices.ContainsFunc(sp.Status.BGPSessions, func(s v1alpha1.BGPSessionStatus) bool { return s.PrefixesAdvertised > 0 })
}

// absent says why a node's speaker does not take part in BGP; empty if it does. One that is alone in gossip, or has
// not heard the others yet, does.
func (r *roster) absent(node string) string {
	exists, sp := r.nodes[node] != nil || r.lacks("Nodes"), r.speakers[node]
	if exists && sp != nil && k8s.Runs(sp) {
		return ""
	}
	return absence(exists, sp)
}

// unknown says what could not be read and has to be for any route; empty for nothing.
func (r *roster) unknown() string {
	var kinds []string
	for _, kind := range []string{"BGPAdvertisements", "BGPPeers", "Speakers", "Nodes", "EndpointSlices"} {
		if r.lacks(kind) {
			kinds = append(kinds, kind)
		}
	}
	return enumerate(kinds)
}
