package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// NodeExplanation is what `kubectl fairlead explain node` says of one.
type NodeExplanation struct {
	NodeStanding
	// Interfaces are those that its speaker answers on.
	Interfaces []string `json:"interfaces"`
	// Addresses are those that it owns or stands in for, as far as they are listed: Owned counts all that it owns.
	Addresses []NodeAddress `json:"addresses"`
	// Advertisements are what each L2Advertisement and BGPAdvertisement is to it.
	Advertisements []NodeAdvertisement `json:"advertisements"`
	// Sessions are its BGP sessions.
	Sessions []PeerRow `json:"sessions"`
	// Conflicts are the foreign hosts that it saw use addresses.
	Conflicts []string `json:"conflicts,omitempty"`
	// IfLost is what becomes of its addresses if it is lost, IfDrained what if it is drained; nil where it owns none, and
	// where that cannot be told.
	IfLost    *Foresight `json:"ifLost,omitempty"`
	IfDrained *Foresight `json:"ifDrained,omitempty"`
	// OnlyHere are the prefixes that it alone advertises.
	OnlyHere []string `json:"onlyHere,omitempty"`
	// Outcome is what follows, in sentences.
	Outcome string `json:"outcome"`
}

// NodeStanding is a node as a list shows it.
type NodeStanding struct {
	Node     string   `json:"node"`
	Standing Standing `json:"standing"`
	// Why says more of the standing.
	Why string `json:"why,omitempty"`
	// Owned counts the addresses that it owns, StandingIn those that it answers for on behalf of others.
	Owned      int `json:"owned"`
	StandingIn int `json:"standingIn,omitempty"`
	// PeersUp are how many of its BGP sessions are Established, of Peers.
	PeersUp int `json:"peersUp"`
	Peers   int `json:"peers"`
}

// Standing is what a node is to Fairlead, in a word: the first of these that applies.
type Standing string

// The standings.
const (
	standingGone       Standing = "gone"       // the cluster has no such node
	standingAway       Standing = "away"       // its speaker does not take part
	standingDraining   Standing = "draining"   // it is drained, and has something still
	standingDrained    Standing = "drained"    // and has nothing any more
	standingExcluded   Standing = "excluded"   // it must own nothing for another reason
	standingSuppressed Standing = "suppressed" // it was lost too often
	standingIdle       Standing = "unselected" // no advertisement is for it
	standingServing    Standing = "serving"
)

// NodeAddress is an address that a node answers for.
type NodeAddress struct {
	Address string `json:"address"`
	Service string `json:"service"`
	Tenure
	// For is the node on whose behalf it answers; empty if it is the owner.
	For string `json:"for,omitempty"`

	age string // of the tenure
}

// NodeAdvertisement is what an advertisement is to a node.
type NodeAdvertisement struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Selects bool   `json:"selects"`
	// May counts the addresses that it lets the node own, of All that it covers, of an L2Advertisement.
	May int `json:"may"`
	All int `json:"all"`
	// Why it selects the node not, or lets it not own all.
	Why string `json:"why,omitempty"`
}

// ExplainNodes are all nodes with their standing, by name.
func ExplainNodes(s *Snapshot) []NodeStanding {
	x := newNodeView(s)
	names := map[string]bool{}
	for name := range x.nodes {
		names[name] = true
	}
	for name := range x.speakers {
		names[name] = true
	}
	rows := make([]NodeStanding, 0, len(names))
	for name := range names {
		rows = append(rows, x.row(name))
	}
	slices.SortFunc(rows, func(a, b NodeStanding) int { return cmp.Compare(a.Node, b.Node) })
	return rows
}

// ExplainNode says what a node owns, and whether it may own more. It returns an error if nothing is known of it.
func ExplainNode(s *Snapshot, name string) (*NodeExplanation, error) {
	x := newNodeView(s)
	if x.nodes[name] == nil && x.speakers[name] == nil {
		if x.lacks("Nodes") {
			return nil, fmt.Errorf("no speaker of a node %s is known, and the Nodes could not be read", name)
		}
		return nil, noSuch("Node", name)
	}
	e := &NodeExplanation{
		NodeStanding: x.row(name), Interfaces: []string{}, Addresses: x.addresses(name),
		Advertisements: append(x.l2Advertisements(name), x.bgpAdvertisements(name)...), Sessions: append([]PeerRow{}, x.peers[name]...),
	}
	if sp := x.speakers[name]; sp != nil {
		for _, i := range sp.Status.Interfaces {
			e.Interfaces = append(e.Interfaces, strings.Join(append([]string{i.Name}, i.Addresses...), " "))
		}
	}
	for a, conflicts := range x.conflicts {
		for _, c := range conflicts {
			if c.node == name {
				e.Conflicts = append(e.Conflicts, a.String()+": "+x.conflictText(c))
			}
		}
	}
	slices.Sort(e.Conflicts)
	if e.Owned > 0 && !x.unread() {
		e.IfLost = ifLost(s, name)
		if !drains(e.Standing) && e.Standing != standingAway {
			e.IfDrained = ifDrained(s, name)
		}
	}
	e.OnlyHere = x.onlyHere(name)
	e.Outcome = strings.Join(x.outcome(e), " ")
	return e, nil
}

func drains(s Standing) bool { return s == standingDraining || s == standingDrained }

// nodeView is what there is to say of nodes: both ways of announcing.
type nodeView struct {
	*segment
	advertising *advertising
	peers       map[string][]PeerRow // by node
}

func newNodeView(s *Snapshot) *nodeView {
	x := &nodeView{segment: newSegment(s), advertising: newAdvertising(s), peers: map[string][]PeerRow{}}
	for _, p := range Peers(s) {
		if p.Node != "" {
			x.peers[p.Node] = append(x.peers[p.Node], p)
		}
	}
	return x
}

func (x *nodeView) row(name string) NodeStanding {
	row := NodeStanding{Node: name, Owned: x.owned(name), Peers: len(x.peers[name])}
	prefixes := 0
	for _, p := range x.peers[name] {
		if s := p.established(); s != nil {
			row.PeersUp++
			prefixes += int(s.PrefixesAdvertised)
		}
	}
	if sp := x.speakers[name]; sp != nil && sp.Status.Layer2 != nil {
		row.StandingIn = int(sp.Status.Layer2.StandingIn)
	}
	row.Standing, row.Why = x.standing(name, row.Owned+prefixes > 0)
	return row
}

// standing says what a node is to Fairlead; serves is true if it owns or advertises something.
func (x *nodeView) standing(name string, serves bool) (Standing, string) {
	object := x.nodes[name]
	cordoned := object != nil && object.Spec.Unschedulable
	switch suppressed, is := x.suppressed[name]; {
	case object == nil && !x.lacks("Nodes"):
		return standingGone, "the cluster has no such node any more"
	case object != nil && x.absent(name) != "":
		why := x.absent(name)
		if n := x.stoodIn[name]; n > 0 {
			why += fmt.Sprintf("; others answer on its behalf for %s", counting(n, "address", "addresses"))
		}
		if barred := x.view.Barred[name]; barred != "" {
			why += "; besides: " + barred
		}
		return standingAway, why
	case object != nil && Drained(object) && serves:
		return standingDraining, x.view.Barred[name]
	case object != nil && Drained(object):
		return standingDrained, x.view.Barred[name]
	case x.view.Barred[name] != "":
		return standingExcluded, x.view.Barred[name]
	case is:
		return standingSuppressed, fmt.Sprintf("it was lost too often: until %s, in %s, it is chosen only where no other node can be (penalty %d)",
			clock(suppressed.ReuseTime.Time), ago(suppressed.ReuseTime.Sub(x.s.Time)), suppressed.Penalty)
	case object != nil && !x.unread() && x.unselected(object):
		return standingIdle, "no advertisement selects it"
	case cordoned:
		return standingServing, "cordoned, which counts only if the speakers run with --drain-cordoned"
	}
	return standingServing, ""
}

// unselected tells whether no advertisement is for a node, though there are some.
func (x *nodeView) unselected(n *corev1.Node) bool {
	for _, scope := range x.view.Scopes {
		if scope.Nodes[n.Name] {
			return false
		}
	}
	if x.advertising.lacks("BGPAdvertisements") {
		return false
	}
	for _, a := range x.advertising.adverts {
		if a.Allows(labels.Set(n.Labels)) {
			return false
		}
	}
	return len(x.view.Scopes)+len(x.advertising.adverts) > 0
}

// addresses are those that a node answers for, in order: by its own word, and those that others answer for on its
// behalf.
func (x *nodeView) addresses(name string) []NodeAddress {
	list := []NodeAddress{}
	all := make([]netip.Addr, 0, len(x.said))
	for a := range x.said {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	for _, a := range all {
		tenures := x.tenures(a)
		for _, said := range x.said[a] {
			if said.node != name && said.standsFor != name {
				continue
			}
			row := NodeAddress{Address: a.String(), Service: cmp.Or(said.service, "-"), For: said.standsFor}
			if services := x.services[a]; len(services) > 0 {
				row.Service = k8s.Key(services[0]).String()
				if len(services) > 1 {
					row.Service += fmt.Sprintf(" +%d", len(services)-1)
				}
			}
			row.Node = said.node
			if i := slices.IndexFunc(tenures, func(t Tenure) bool { return t.Node == said.node }); i >= 0 && said.standsFor == "" {
				row.Tenure, row.age = tenures[i], x.since(tenures[i].Since.Time)
			}
			list = append(list, row)
		}
	}
	return list
}
