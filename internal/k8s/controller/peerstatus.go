package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a BGPPeer's condition Ready.
const (
	reasonEstablished    = "Established"
	reasonNotEstablished = "NotEstablished"
	reasonNoNodes        = "NoNodes"
	reasonNoBFDProfile   = string(v1alpha1.BGPSessionNoBFDProfile)
	reasonContradiction  = "GracefulRestartWithBFD"
)

// contradiction is said of a peer that has both. A speaker that is told to stop closes its BGP sessions and then says
// AdminDown, so that the router's BFD sees no failure (RFC 5882 section 4.3); one that crashes cannot. FRR understands
// it by itself, BIRD drops the routes unless it is told not to.
const contradiction = "spec.enableGracefulRestart and spec.bfdProfile contradict each other where a speaker crashes or a node dies: with " +
	"BIRD the routes go at once, FRR keeps them for the restart time; in a planned restart they stay (with BIRD if it has \"bfd graceful\")"

const withoutNextHop = "prefixes are not advertised: the node has no InternalIP of their family, which would be the next hop"

// peerState is what the controller knows of a peer.
type peerState struct {
	// invalid is what cannot be read of the spec.
	invalid string
	// sessions are those of the nodes that are to have one, by node.
	sessions []nodeSession
	// conflicts are the nodes where an older peer has the same session, by node.
	conflicts []conflict
	// unserved counts the nodes that are selected and that no speaker runs on.
	unserved int
	// noProfile is true if there is no BFDProfile of the name that the spec has.
	noProfile bool
}

type conflict struct{ node, older string }

// mostNodes is how many nodes a message names.
const mostNodes = 5

// judgePeer says how a peer stands, and on how many nodes it has a session.
func judgePeer(peer *v1alpha1.BGPPeer, s peerState) (v verdict, established int) {
	wrong := func(reason, format string, args ...any) {
		v.complain(reason, fmt.Sprintf(format, args...))
	}
	if s.invalid != "" {
		wrong(reasonInvalidSpec, "cannot be read, sessions stay as they were: %s", s.invalid)
		return v, 0
	}
	// Where something is the case is said apart: an event tells what, once, not again for each node more.
	var besides []string
	if older, where := s.olderPeers(); len(older) > 0 {
		wrong(reasonConflicting, "the same session as BGPPeer %s, which is older and has it", enumerate(older))
		if len(s.sessions) > 0 {
			besides = append(besides, reasonConflicting+" on "+enumerate(where))
		}
	}
	if len(s.sessions) == 0 && len(s.conflicts) == 0 {
		switch {
		case s.unserved > 0:
			wrong(reasonNoNodes, "no speaker runs on a node that it selects")
		case len(peer.Spec.NodeSelectors) > 0:
			wrong(reasonNoNodes, "spec.nodeSelectors match no node")
		default:
			wrong(reasonNoNodes, "there is no node")
		}
	}
	if s.noProfile {
		wrong(reasonNoBFDProfile, "there is no BFDProfile %q: sessions that had it keep its last values, others are without BFD", peer.Spec.BFDProfile)
	}
	// What only speakers know: they alone may read Secrets, and each knows its node's addresses.
	for _, reason := range []v1alpha1.BGPSessionReason{v1alpha1.BGPSessionNoSecret, v1alpha1.BGPSessionNoNextHop} {
		if where, why := s.with(reason); len(where) > 0 {
			if reason == v1alpha1.BGPSessionNoNextHop {
				why = withoutNextHop // how many they are, a speaker says: it changes with the Services
			}
			wrong(string(reason), "%s", cut(why))
			besides = append(besides, fmt.Sprintf("%s on %s", reason, enumerate(where)))
		}
	}

	var down []string
	for _, n := range s.sessions {
		switch {
		case n.established:
			established++
		case n.reason != v1alpha1.BGPSessionNoSecret: // else it is said already
			down = append(down, n.node+": "+cut(n.why))
		}
	}
	if more := len(down) - mostNodes; more > 0 {
		down = append(down[:mostNodes], fmt.Sprintf("and %d more", more))
	}
	if len(s.sessions) > 0 {
		besides = append(besides, fmt.Sprintf("%d of %d nodes", established, len(s.sessions)))
	}
	v.describe(strings.Join(append(besides, down...), "; "))
	switch {
	case v.wrong != "":
	case established < len(s.sessions):
		v.reason = reasonNotEstablished
	default:
		v.ready, v.reason = true, reasonEstablished
	}
	if peer.Spec.EnableGracefulRestart && peer.Spec.BFDProfile != "" {
		v.note, v.noteReason = contradiction, reasonContradiction
	}
	return v, established
}

// with returns the nodes whose speakers give a reason, and what the first of them says.
func (s peerState) with(reason v1alpha1.BGPSessionReason) (nodes []string, why string) {
	for _, n := range s.sessions {
		if n.reason == reason {
			if len(nodes) == 0 {
				why = n.problem
			}
			nodes = append(nodes, n.node)
		}
	}
	return nodes, why
}

// olderPeers are those that have the same session, by name, and the nodes on which they have it.
func (s peerState) olderPeers() (names, nodes []string) {
	for _, c := range s.conflicts {
		nodes = append(nodes, c.node)
		if !slices.Contains(names, c.older) {
			names = append(names, c.older)
		}
	}
	slices.Sort(names)
	return names, nodes
}

// enumerate lists the first names, and how many more there are.
func enumerate(names []string) string {
	if more := len(names) - mostNodes; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNodes], ", "), more)
	}
	return strings.Join(names, ", ")
}

// cut leaves room for the others: what a speaker says may have 512 characters.
func cut(why string) string {
	const most = 160
	if len(why) <= most {
		return why
	}
	return strings.ToValidUTF8(why[:most], "") + "..."
}

// judgeProfile says how a BFDProfile stands. It is in force for whoever names it.
func judgeProfile() verdict {
	return verdict{ready: true, reason: reasonReady, message: inForce}
}

// profileUse is the condition that says who names a BFDProfile.
func profileUse(peers []string) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionInUse, Status: metav1.ConditionFalse, Reason: "NotInUse", Message: "no BGPPeer names it"}
	if len(peers) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "InUse", "by BGPPeer "+enumerate(peers)
	}
	return c
}

// usedBy says which peers name a BFDProfile.
func usedBy(profile string, peers []*k8s.BGPPeer) (names []string) {
	for _, p := range peers {
		if p.Profile == profile {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}
