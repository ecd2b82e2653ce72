package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// Left is what a node has still to give up.
type Left struct {
	// Owned counts its addresses; Addresses are those of them that a status lists, in order.
	Owned     int
	Addresses []netip.Addr
	// Peers are those that have prefixes from it, by name.
	Peers []string
}

// LeftOn returns what a node owns, and to whom it advertises, by its own speaker's status, or by those of others that answer on its behalf
// while its speaker is gone.
func LeftOn(speakers []*v1alpha1.Speaker, node string) (left Left) {
	for _, sp := range speakers {
		for _, session := range sp.Status.BGPSessions {
			if sp.Name == node && session.State == v1alpha1.BGPSessionEstablished && session.PrefixesAdvertised > 0 {
				left.Peers = append(left.Peers, session.Peer)
			}
		}
		l2 := sp.Status.Layer2
		if l2 == nil {
			continue
		}
		if sp.Name == node {
			left.Owned += int(l2.Owned)
		}
		for _, x := range l2.Addresses {
			a, err := lb.ParseAddr(x.Address)
			if of := cmp.Or(x.For, sp.Name); of == node && err == nil {
				left.Addresses = append(left.Addresses, a)
			}
		}
	}
	slices.SortFunc(left.Addresses, netip.Addr.Compare)
	left.Addresses = slices.Compact(left.Addresses) // more than one may stand in for it
	left.Owned = max(left.Owned, len(left.Addresses))
	return left
}

// Stuck is an address that no node but the one that is drained may own, which keeps it for as long as that is so.
type Stuck struct {
	Address netip.Addr `json:"address"`
	Service string     `json:"service"`
	Why     string     `json:"why"`
}

// advertising names the peers behind some words; empty without peers.
func (l Left) advertising(words string) string {
	if len(l.Peers) == 0 {
		return ""
	}
	return words + few("peer", l.Peers)
}

// WouldStick returns which addresses of a node have nowhere to go if it is drained, in order: of those that
// the statuses list.
func WouldStick(s *Snapshot, node string) (stuck []Stuck) {
	g := newSegment(withDrain(s, node))
	if g.unread() {
		return nil
	}
	for _, a := range LeftOn(s.Speakers, node).Addresses {
		others := slices.DeleteFunc(g.verdicts(a), func(v NodeVerdict) bool { return v.Node == node })
		if next(others) == "" {
			stuck = append(stuck, g.stuck(a, node))
		}
	}
	return stuck
}

// kept returns what is left on a node if nothing of it can move; false while something can.
func kept(left Left, stuck []Stuck) (addresses []netip.Addr, all bool) {
	for _, a := range left.Addresses {
		if slices.ContainsFunc(stuck, func(x Stuck) bool { return x.Address == a }) {
			addresses = append(addresses, a)
		}
	}
	return addresses, len(addresses) == left.Owned
}

// Drained tells whether a Node has the annotation that drains it.
func Drained(n *corev1.Node) bool {
	value, is := n.Annotations[v1alpha1.AnnotationDrain]
	return is && value != "false"
}

// drainValue is what the annotation is set to.
const drainValue = "true"

func setDrain(n *corev1.Node) {
	if n.Annotations == nil {
		n.Annotations = map[string]string{}
	}
	n.Annotations[v1alpha1.AnnotationDrain] = drainValue
}

// String says what is stuck, and why.
func (x Stuck) String() string {
	return fmt.Sprintf("%s (%s) has nowhere to go and stays: %s", x.Address, x.Service, x.Why)
}
