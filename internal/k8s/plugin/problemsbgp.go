package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// sessionFault is a peer and what is wrong with sessions with it.
type sessionFault struct {
	peer, why string
	severity  Severity
}

// ofSessions says which BGP sessions are down, those of one peer and reason together. Of nodes whose speakers are away
// ofSpeakers tells.
func (v *survey) ofSessions() (list []Problem) {
	r := newRoster(v.s)
	var order []sessionFault
	nodes, all := map[sessionFault][]string{}, map[string]int{}
	for _, row := range v.peers {
		if row.Node != "" {
			all[row.Peer]++
		}
		f := sessionFault{row.Peer, "", SeverityError}
		switch s := row.current(); {
		case row.Node != "" && r.absent(row.Node) != "":
			continue
		case row.Node == "":
			f.why, f.severity = row.Note, SeverityWarning
		case s == nil:
			f.why = row.Note
		case s.State != v1alpha1.BGPSessionEstablished:
			if s.DownTime != nil && v.s.Time.Sub(s.DownTime.Time) < settling && s.LastError == "" && s.Message == "" {
				continue // it is coming up
			}
			f.why = joinedBy(": ", string(s.State), joined(row.Note, sessionTrouble(s)))
			if s.Reason == v1alpha1.BGPSessionConflicting {
				f.severity = SeverityWarning // the older one has it
			}
		case joined(row.Note, s.Message) != "":
			f.why, f.severity = joined(row.Note, s.Message), SeverityWarning
		default:
			continue
		}
		if nodes[f] == nil {
			order = append(order, f)
		}
		nodes[f] = append(nodes[f], row.Node)
	}
	for _, f := range order {
		what := fmt.Sprintf("BGP session with %s on %s", f.peer, some(nodes[f]))
		if n := len(nodes[f]); n > 1 {
			what = fmt.Sprintf("%d of %d BGP sessions with %s, on %s", n, all[f.peer], f.peer, some(nodes[f]))
		}
		if nodes[f][0] == "" {
			what = "BGP peer " + f.peer
		}
		list = append(list, Problem{f.severity, what + ": " + f.why, "", "kubectl fairlead peers " + f.peer, rankSession})
	}
	return list
}

// ofRoutes says which prefixes no router has although a BGPAdvertisement covers them, unless a node answers for them
// on its segment, or ofOwners has said that none does.
func (v *survey) ofRoutes() (list []Problem) {
	if len(v.s.BGPAdvertisements) == 0 || v.lacks("IPAddressPools") || v.lacks("Services") || newRoster(v.s).unknown() != "" {
		return nil
	}
	owned := map[string]bool{}
	for _, r := range v.owners {
		owned[r.Address] = len(r.Owners) > 0 || v.settling(r.address) || v.unanswered[r.Address]
	}
	rows := newAdvertising(v.s).routes(Selection{})
	var order []string
	of := map[string][]RouteRow{} // by prefix
	for _, r := range rows {
		if of[r.Prefix] == nil {
			order = append(order, r.Prefix)
		}
		of[r.Prefix] = append(of[r.Prefix], r)
	}
	var silent grouped
	for _, prefix := range order {
		p := of[prefix][0].prefix
		if p.IsSingleIP() && owned[p.Addr().String()] || slices.ContainsFunc(of[prefix], func(r RouteRow) bool { return r.Advertised }) {
			continue
		}
		silent.add(unadvertised(of[prefix]), prefix)
	}
	for _, why := range silent.said {
		list = append(list, Problem{SeverityError, fmt.Sprintf("no router has a route to %s: %s", some(silent.of[why]), why),
			"", "kubectl fairlead routes " + silent.of[why][0], rankRoute})
	}
	return list
}

// unadvertised says why nodes advertise a prefix to nobody: each reason, with its nodes if there are others.
func unadvertised(rows []RouteRow) string {
	var reasons grouped
	for _, r := range rows {
		why := r.Why
		if r.Peer != "" {
			why = fmt.Sprintf("to %s, %s", r.Peer, why)
		}
		if len(r.Nodes) == 0 {
			reasons.add(why, "no node")
		}
		for _, n := range r.Nodes {
			reasons.add(why, n.Name)
		}
	}
	var parts []string
	for _, why := range reasons.said {
		if len(reasons.said) > 1 {
			why = some(reasons.of[why]) + ": " + why
		}
		parts = append(parts, why)
	}
	return strings.Join(parts, "; ")
}
