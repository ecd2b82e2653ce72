package controller

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/apimachinery/pkg/labels"
)

// network is which nodes are to have which BGP sessions, and which they have. Its methods return the names of the
// peers of which something else is true now, so that a change costs what it touches.
type network struct {
	peers      []*k8s.BGPPeer    // by age, the oldest first
	unreadable map[string]string // peers that cannot be read, and why
	nodes      map[string]labels.Set
	placed     map[string]placement
	speakers   map[string]report
}

// placement is what a node is to have: sessions, and the peers that select it and have none there, each with the
// older peer that has the same session.
type placement struct {
	sessions  map[string]bool
	conflicts map[string]string
}

// report is what a node's speaker says.
type report struct {
	// away is true if it does not run.
	away     bool
	sessions map[string]session
}

func (r report) equal(other report) bool {
	return r.away == other.away && maps.Equal(r.sessions, other.sessions)
}

// session is one node's session with a peer.
type session struct {
	established bool
	// why it is not established, in words.
	why string
	// reason and problem say what keeps it from being as the BGPPeer says, also while it is established.
	reason  v1alpha1.BGPSessionReason
	problem string
}

func newNetwork() *network {
	return &network{
		unreadable: map[string]string{}, nodes: map[string]labels.Set{}, placed: map[string]placement{}, speakers: map[string]report{},
	}
}

// setPeers takes note of all peers there are.
func (n *network) setPeers(objects []*v1alpha1.BGPPeer) {
	n.peers, n.unreadable = nil, map[string]string{}
	for _, o := range objects {
		p, err := k8s.ReadBGPPeer(o)
		if err != nil {
			n.unreadable[o.Name] = err.Error()
			continue
		}
		n.peers = append(n.peers, p)
	}
	k8s.BGPPeersByAge(n.peers)
	for node := range n.nodes {
		n.place(node)
	}
}

func (n *network) place(node string) (before, now placement) {
	before = n.placed[node]
	sessions, conflicts := k8s.BGPPeersOn(n.peers, n.nodes[node])
	now = placement{map[string]bool{}, conflicts}
	for _, p := range sessions {
		now.sessions[p.Name] = true
	}
	n.placed[node] = now
	return before, now
}

// peers are those that select the node.
func (p placement) peers() []string {
	return append(slices.Collect(maps.Keys(p.sessions)), slices.Collect(maps.Keys(p.conflicts))...)
}

// setNode takes note of a node's labels.
func (n *network) setNode(name string, set labels.Set) (touched []string) {
	n.nodes[name] = set
	before, now := n.place(name)
	for _, p := range n.peers {
		if before.sessions[p.Name] != now.sessions[p.Name] || before.conflicts[p.Name] != now.conflicts[p.Name] {
			touched = append(touched, p.Name)
		}
	}
	return touched
}

// removeNode forgets a node.
func (n *network) removeNode(name string) (touched []string) {
	before := n.placed[name]
	delete(n.nodes, name)
	delete(n.placed, name)
	return before.peers()
}

// setSpeaker takes note of what a node's speaker says; nil if there is no Speaker object.
func (n *network) setSpeaker(node string, s *v1alpha1.Speaker) (touched []string) {
	before, known := n.speakers[node]
	if s == nil {
		delete(n.speakers, node)
		return n.placed[node].peers()
	}
	now := readSpeaker(s)
	n.speakers[node] = now
	switch {
	case !known: // it counts for those that stand back, too
		return n.placed[node].peers()
	case before.away != now.away:
		return slices.Collect(maps.Keys(n.placed[node].sessions))
	}
	for name := range n.placed[node].sessions {
		if before.sessions[name] != now.sessions[name] {
			touched = append(touched, name)
		}
	}
	return touched
}

// readSpeaker reads of a Speaker what matters of its sessions.
func readSpeaker(s *v1alpha1.Speaker) report {
	r := report{sessions: map[string]session{}}
	// One that has said nothing yet will.
	r.away = len(s.Status.Conditions) > 0 && !k8s.Runs(s)
	for _, b := range s.Status.BGPSessions {
		x := session{reason: b.Reason, problem: b.Message, established: b.State == v1alpha1.BGPSessionEstablished && !r.away}
		if !x.established {
			x.why = cmp.Or(b.LastError, notYet)
		}
		r.sessions[b.Peer] = x
	}
	return r
}

const notYet = "not established yet"

// nodeSession is a session as a peer's status sums it up.
type nodeSession struct {
	node string
	session
}

// peer returns what is known of a peer's sessions, the nodes in order.
func (n *network) peer(name string) (s peerState) {
	s.invalid = n.unreadable[name]
	for _, node := range slices.Sorted(maps.Keys(n.placed)) {
		placed := n.placed[node]
		report, runs := n.speakers[node]
		older := placed.conflicts[name]
		switch {
		case older == "" && !placed.sessions[name]:
		case !runs: // what no speaker ever ran on, no speaker is meant to run on, as far as we can tell
			s.unserved++
		case older != "":
			s.conflicts = append(s.conflicts, conflict{node, older})
		case report.away:
			s.sessions = append(s.sessions, nodeSession{node, session{why: "its speaker does not run"}})
		default:
			have, ok := report.sessions[name]
			if !ok {
				have.why = notYet
			}
			s.sessions = append(s.sessions, nodeSession{node, have})
		}
	}
	return s
}
