package plugin

import (
	"cmp"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/apimachinery/pkg/labels"
)

// PeerRow is the session of a node with a peer, or why there is none.
type PeerRow struct {
	// Peer is the name of the BGPPeer.
	Peer string `json:"peer"`
	// Node is empty for a peer that no node is to have a session with.
	Node string `json:"node,omitempty"`
	// Session is what the node's speaker says of it, nothing if it says nothing.
	Session *v1alpha1.BGPSessionStatus `json:"session,omitempty"`
	// Note is what there is to say beyond that: why there is no session, or why what the speaker said does
	// not count any more.
	Note string `json:"note,omitempty"`
	// Gone is true if what the speaker said does not count any more, since it is away.
	Gone bool `json:"gone,omitempty"`

	object *v1alpha1.BGPPeer // nil if there is none of this name
	now    time.Time
}

// Peers are the sessions of the nodes that each BGPPeer selects, and whatever other sessions speakers have;
// sorted by peer and node.
func Peers(s *Snapshot) []PeerRow {
	r := newRoster(s)
	rows := []PeerRow{} // not null where there are none
	listed := map[[2]string]bool{}
	add := func(row PeerRow) {
		if row.Node != "" {
			row.Session = r.sessions[[2]string{row.Peer, row.Node}]
			absent := r.absent(row.Node)
			row.Gone = absent != "" && row.Session != nil
			row.Note = cmp.Or(absent, row.Note)
			if row.Note == "" && row.Session == nil {
				row.Note = "its speaker does not know of the peer yet"
			}
		}
		row.now = s.Time
		listed[[2]string{row.Peer, row.Node}] = true
		rows = append(rows, row)
	}
	unplaced := map[string]string{} // why nobody knows which nodes a peer selects
	for _, p := range s.Peers {
		read, err := k8s.ReadBGPPeer(p)
		if err != nil { // what sessions there are go on as before
			unplaced[p.Name] = err.Error()
			continue
		}
		selected := 0
		for _, n := range s.Nodes {
			if read.Selects(labels.Set(n.Labels)) {
				add(PeerRow{Peer: p.Name, Node: n.Name, object: p})
				selected++
			}
		}
		switch {
		case r.lacks("Nodes"):
			unplaced[p.Name] = "no speaker tells of it, and which nodes it selects is unknown"
		case selected == 0:
			add(PeerRow{Peer: p.Name, Note: "its nodeSelectors match no node", object: p})
		}
	}
	said := map[string]bool{} // by speakers, of peers
	for key := range r.sessions {
		if listed[key] {
			continue
		}
		row := PeerRow{Peer: key[0], Node: key[1], object: r.peers[key[0]]}
		switch {
		case row.object == nil && !r.lacks("BGPPeers"):
			row.Note = "there is no such BGPPeer any more"
		case row.object != nil && unplaced[row.Peer] == "":
			row.Note = "the BGPPeer does not select the node any more"
		}
		said[row.Peer] = true
		add(row)
	}
	for name, why := range unplaced {
		if !said[name] {
			add(PeerRow{Peer: name, Note: why, object: r.peers[name]})
		}
	}
	slices.SortFunc(rows, func(x, y PeerRow) int { return cmp.Or(cmp.Compare(x.Peer, y.Peer), cmp.Compare(x.Node, y.Node)) })
	return rows
}

// SelectPeers returns the rows of a peer, or of all for "", with a node, or all for "". It fails if there is no
// such peer.
func SelectPeers(rows []PeerRow, peer, node string) ([]PeerRow, error) {
	selected := []PeerRow{}
	found := peer == ""
	for _, r := range rows {
		found = found || r.Peer == peer
		if (peer == "" || r.Peer == peer) && (node == "" || r.Node == node) {
			selected = append(selected, r)
		}
	}
	if !found {
		return nil, noSuch("BGPPeer", peer)
	}
	return selected, nil
}

// current is what the speaker says of the session, nil if it does not count.
func (r PeerRow) current() *v1alpha1.BGPSessionStatus {
	if r.Gone {
		return nil
	}
	return r.Session
}

// established is current of a session that is Established, else nil.
func (r PeerRow) established() *v1alpha1.BGPSessionStatus {
	if s := r.current(); s != nil && s.State == v1alpha1.BGPSessionEstablished {
		return s
	}
	return nil
}

// uptime is for how long the session has been Established, false if it is not or that is not known.
func (r PeerRow) uptime() (time.Duration, bool) {
	s := r.established()
	if s == nil || s.EstablishedTime.IsZero() {
		return 0, false
	}
	return r.now.Sub(s.EstablishedTime.Time), true
}
