package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"k8s.io/apimachinery/pkg/api/meta"
)

// NodeVerdict is what a node is to an address.
type NodeVerdict struct {
	Node string `json:"node"`
	May  May    `json:"may"`
	// Owned is how many addresses the node owns in all.
	Owned int    `json:"owned"`
	Why   string `json:"why,omitempty"`
}

// May tells whether a node may own an address.
type May string

// What a node is to an address. Later is for a node that may own it and comes after others.
const (
	mayOwns  May = "owns it"
	mayYes   May = "yes"
	mayLater May = "later"
	mayNo    May = "no"
)

// verdicts are what each node is to an address: its owner, then those that may own it in the order in which
// they would be chosen, then those that may not, by name.
func (g *segment) verdicts(a netip.Addr) []NodeVerdict {
	explanation, ok := g.elector.Explain(a, g.s.Time)
	if !ok || g.unread() {
		return nil
	}
	owners := g.owners(a)
	somebody := slices.ContainsFunc(explanation.Candidates, func(c layer2.Candidate) bool { return c.May && g.absent(c.Node) == "" })
	var list []NodeVerdict
	for _, c := range explanation.Candidates {
		v := NodeVerdict{Node: c.Node, May: mayYes, Owned: g.owned(c.Node), Why: c.Reason}
		absent := g.absent(c.Node)
		if absent != "" {
			v.Why = absent
		}
		suppressed, is := g.suppressed[c.Node]
		may := absent == "" && c.May
		switch n := g.nodes[c.Node]; {
		case slices.Contains(owners, c.Node):
			if v.May = mayOwns; may {
				v.Why = ""
			}
			v.Why = cmp.Or(g.ownerNote(a, v.Why, c.Owner && !somebody), weightText(c.Weight))
		case !may:
			v.May = mayNo
		case is:
			v.May = mayLater
			v.Why = fmt.Sprintf("suppressed until %s as it was lost too often: chosen only if no other node can be",
				suppressed.ReuseTime.UTC().Format("15:04:05 MST"))
		case v.Why != "":
			v.May = mayLater
		case n.Spec.Unschedulable:
			v.Why = "cordoned: no, if the speakers run with --drain-cordoned"
		default:
			v.Why = weightText(c.Weight)
		}
		list = append(list, v)
	}
	order := []May{mayOwns, mayYes, mayLater, mayNo}
	slices.SortStableFunc(list, func(x, y NodeVerdict) int {
		c := cmp.Compare(slices.Index(order, x.May), slices.Index(order, y.May))
		if c == 0 && x.May == mayNo {
			return cmp.Compare(x.Node, y.Node)
		}
		return c
	})
	return list
}

// weightText says how much a node is preferred, if it is.
func weightText(weight int32) string {
	if weight == 0 {
		return ""
	}
	return fmt.Sprintf("weight %d by preferredNodeSelectors", weight)
}

// These begin what is said of an owner that may not own the address any more: keeping if it is drained and nobody
// else may.
const (
	leaving = "is to give it up: "
	keeping = "keeps it while no other node may own it: "
)

// ownerNote says what there is to say of an address's owner. Reason is why it may not own it; keeps is true if it
// does so for the time being.
func (g *segment) ownerNote(a netip.Addr, reason string, keeps bool) string {
	if by := g.standIns(a); len(by) > 0 {
		return fmt.Sprintf("its speaker is gone for the moment, and %s answers on its behalf", enumerate(by))
	}
	switch {
	case reason == "":
		return ""
	case keeps:
		return keeping + reason
	}
	return leaving + reason
}

// absent says why a node's speaker does not take part; empty if it does.
func (g *segment) absent(node string) string { return absence(g.nodes[node] != nil, g.speakers[node]) }

// absence says why the speaker of a node, which the cluster has or not, does not take part; empty if it does.
func absence(exists bool, sp *v1alpha1.Speaker) string {
	switch {
	case !exists:
		return "the cluster has no such node any more"
	case sp == nil:
		return "no speaker: none of this node has written a Speaker object"
	case ready(sp):
		return ""
	}
	c := meta.FindStatusCondition(sp.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return "its speaker has not said yet whether it is ready"
	}
	return fmt.Sprintf("its speaker is not ready: %s: %s", c.Reason, c.Message)
}

// owned is how many addresses a node owns, by its speaker's status or by those of its stand-ins.
func (g *segment) owned(node string) int {
	own := 0
	if sp := g.speakers[node]; sp != nil && sp.Status.Layer2 != nil {
		own = int(sp.Status.Layer2.Owned)
	}
	return max(own, g.stoodIn[node])
}

// next returns the node that would be chosen for an address that has no owner or loses it; empty if none may
// be.
func next(verdicts []NodeVerdict) string {
	for _, v := range verdicts {
		if v.May == mayYes || v.May == mayLater {
			return v.Node
		}
	}
	return ""
}

// refusals says in short why no node, or no other node, may own an address: each reason with its nodes.
func refusals(verdicts []NodeVerdict) string {
	var reasons []string
	nodes := map[string][]string{}
	for _, v := range verdicts {
		if v.May != mayNo {
			continue
		}
		if nodes[v.Why] == nil {
			reasons = append(reasons, v.Why)
		}
		nodes[v.Why] = append(nodes[v.Why], v.Node)
	}
	const most = 3
	text := ""
	for i, r := range reasons {
		if i == most {
			return text + fmt.Sprintf("; and %s more", count(len(reasons)-most, "reason"))
		}
		if i > 0 {
			text += "; "
		}
		names := enumerate(nodes[r])
		if len(nodes[r]) > 5 {
			names = count(len(nodes[r]), "node")
		}
		text += names + ": " + r
	}
	return text
}
