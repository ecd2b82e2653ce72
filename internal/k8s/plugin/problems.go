package plugin

import (
	"cmp"
	"fmt"
	"slices"
)

// Problem is something that is wrong, or soon may be.
type Problem struct {
	Severity Severity `json:"severity"`
	// What is wrong, a sentence.
	What string `json:"what"`
	// Remedy is what to do about it, in words; empty if Command alone says it.
	Remedy string `json:"remedy,omitempty"`
	// Command does it, or tells more.
	Command string `json:"command,omitempty"`

	rank rank
}

// Severity is how bad a problem is.
type Severity string

// The severities. An error is where something that was asked for is not so; a warning is what may come to that.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// rank orders problems of one severity: what stops all before what stops one Service, causes before what comes of
// them.
type rank int

const (
	rankController rank = iota
	rankSpeaker
	rankGossip
	rankConflict
	rankOwners
	rankSession
	rankRoute
	rankPool
	rankService
	rankObject
	rankSuppressed
	rankVersion
)

// Problems are what is wrong as far as a snapshot shows, the worst first; sorted otherwise. What could not be read is
// in Unseen.
func Problems(s *Snapshot) []Problem { return newSurvey(s).problems() }

// survey is what status and its problems are drawn from.
type survey struct {
	s        *Snapshot
	g        *segment
	owners   []OwnerRow
	peers    []PeerRow
	services []ServiceRow
	// unanswered are the addresses that ofOwners tells of.
	unanswered map[string]bool
}

func newSurvey(s *Snapshot) *survey {
	v := &survey{s: s, g: newSegment(s), owners: Owners(s).Rows, services: Services(s), unanswered: map[string]bool{}}
	if !v.lacks("Speakers") {
		v.peers = Peers(s)
	}
	return v
}

// lacks tells whether a kind of objects could not be read.
func (v *survey) lacks(kind string) bool {
	return slices.Contains(v.s.Unread, kind) || slices.Contains(v.s.UnreadBGP, kind) || v.s.Installation.lacks(kind)
}

func (v *survey) problems() []Problem {
	list := slices.Concat(v.ofControllers(), v.ofSpeakers(), v.ofVersions(), v.ofGossip(), v.ofConflicts(), v.ofKernels(), v.ofOwners(), v.ofSuppression(),
		v.ofSessions(), v.ofRoutes(), v.ofPools(), v.ofServices(), v.ofObjects())
	slices.SortStableFunc(list, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Severity, y.Severity), cmp.Compare(x.rank, y.rank), cmp.Compare(x.What, y.What))
	})
	return slices.CompactFunc(list, func(x, y Problem) bool { return x.Severity == y.Severity && x.What == y.What })
}

// Unseen is a kind of objects that the user may not read.
type Unseen struct {
	Kind string `json:"kind"`
	// Unknown is what is not known without them.
	Unknown string `json:"unknown"`
	// Verb and Resource are what is missing, as `kubectl auth can-i` has it.
	Verb     string `json:"verb"`
	Resource string `json:"resource"`
}

// unseen are the kinds that could not be read, in the order of this list.
func (v *survey) unseen() []Unseen {
	list := []Unseen{}
	for _, u := range []Unseen{
		{Kind: "Pods", Unknown: "whether the controllers and the speakers are ready", Resource: "pods"},
		{Kind: "Leases", Unknown: "which controller leads", Verb: "get", Resource: "leases.coordination.k8s.io"},
		{Kind: "IPAddressPools", Unknown: "which pools there are, and how full they are", Resource: "ipaddresspools.fairlead.dev"},
		{Kind: "Services", Unknown: "Services of other namespaces, and who owns their addresses", Resource: "services"},
		{Kind: "Speakers", Unknown: "what the nodes own, and the BGP sessions", Resource: "speakers.fairlead.dev"},
		{Kind: "Nodes", Unknown: "which nodes may own addresses, and are to have BGP sessions", Resource: "nodes"},
		{Kind: "L2Advertisements", Unknown: "which addresses are for layer 2, and on which nodes", Resource: "l2advertisements.fairlead.dev"},
		{Kind: "EndpointSlices", Unknown: "who may own addresses of Services with externalTrafficPolicy: Local", Resource: "endpointslices.discovery.k8s.io"},
		{Kind: "BGPAdvertisements", Unknown: "which addresses are for BGP", Resource: "bgpadvertisements.fairlead.dev"},
		{Kind: "BGPPeers", Unknown: "which BGP sessions there should be", Resource: "bgppeers.fairlead.dev"},
		{Kind: "BFDProfiles", Unknown: "whether sessions have the BFD that they ask for", Resource: "bfdprofiles.fairlead.dev"},
		{Kind: "Communities", Unknown: "the names of communities", Resource: "communities.fairlead.dev"},
	} {
		if v.lacks(u.Kind) {
			u.Verb = cmp.Or(u.Verb, "list")
			list = append(list, u)
		}
	}
	return list
}

// some are the first few of a list in words, and how many more there are.
func some(list []string) string {
	const most = 3
	if len(list) <= most+1 {
		return enumerate(list)
	}
	return fmt.Sprintf("%s and %d more", joinedBy(", ", list[:most]...), len(list)-most)
}

// grouped collects things by what is said of them, in the order of the first of each.
type grouped struct {
	said []string
	of   map[string][]string
	had  map[[2]string]bool
}

func (g *grouped) add(said, thing string) {
	if g.of == nil {
		g.of, g.had = map[string][]string{}, map[[2]string]bool{}
	}
	if g.of[said] == nil {
		g.said = append(g.said, said)
	}
	if both := [2]string{said, thing}; !g.had[both] {
		g.had[both] = true
		g.of[said] = append(g.of[said], thing)
	}
}

// verb is the form of a verb for so many things.
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
