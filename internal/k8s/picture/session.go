package picture

import (
	"cmp"
	"strconv"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// peerOf is a BGPPeer as the page shows it.
func peerOf(object *v1alpha1.BGPPeer) page.Peer {
	spec := &object.Spec
	p := page.Peer{
		Name: object.Name, Address: cmp.Or(spec.PeerAddress, spec.Interface), ASN: string(spec.DynamicASN),
		MyASN: strconv.FormatInt(cmp.Or(spec.LocalASN, spec.MyASN), 10), BFD: spec.BFDProfile,
		Nodes: int(object.Status.Nodes), Established: int(object.Status.Established),
	}
	if spec.PeerASN != 0 {
		p.ASN = strconv.FormatInt(spec.PeerASN, 10)
	}
	return p
}

// sessionsOf are a node's sessions as the page shows them, by their keys: those that its speaker tells of, and those
// that it is to have. Gone is true if the node is.
func sessionsOf(node string, speaker *v1alpha1.Speaker, wanted []*k8s.BGPPeer, gone bool) map[string]*page.Session {
	sessions := map[string]*page.Session{}
	if !gone {
		for _, p := range wanted {
			sessions[node+"/"+p.Name] = &page.Session{Node: node, Peer: p.Name}
		}
	}
	if speaker == nil {
		return sessions
	}
	stale := gone || !k8s.Runs(speaker)
	for _, b := range speaker.Status.BGPSessions {
		s := &page.Session{
			Node: node, Peer: b.Peer, State: string(b.State), Stale: stale, Prefixes: int(b.PrefixesAdvertised), BFD: string(b.BFDState),
			LastError: b.LastError, LastErrorTime: millisOf(b.LastErrorTime), Reason: string(b.Reason), Message: b.Message,
			Since: max(millisOf(b.EstablishedTime), millisOf(b.DownTime)),
		}
		sessions[node+"/"+b.Peer] = s
	}
	return sessions
}

// advertises tells whether a session has its peer know routes.
func advertises(s *page.Session) bool {
	return !s.Stale && s.State == string(v1alpha1.BGPSessionEstablished) && s.Prefixes > 0
}
