package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
)

// Answer is who answers for an address of a Service on the local segment.
type Answer struct {
	Address string `json:"address"`
	// Owners are one as a rule, none if nobody answers.
	Owners []string `json:"owners"`
	// Tenures are since when and why they do.
	Tenures []Tenure `json:"tenures,omitempty"`
	// Next is the node that takes it over if its owner is lost; empty if none may.
	Next string `json:"next,omitempty"`
	// Why says since when and why the owners do, or why nobody does, and why other nodes do not.
	Why string `json:"why"`
}

// answers fills in who answers for a Service's addresses, and says of which nobody does. Those that are for BGP alone are
// left out, and all if it may not be read who answers.
func (e *Explanation) answers(s *Snapshot, d *decided, addresses []netip.Addr) string {
	if len(addresses) == 0 || (len(s.Advertisements) == 0 && !s.said()) {
		return ""
	}
	var silent []string
	g := newSegment(s)
	for _, a := range addresses {
		vip, known := g.view.VIPs[a]
		if known && vip.Endpoints != nil && e.Endpoints == nil {
			e.Endpoints = []string{endpointText(vip.Endpoints)}
		}
		if _, has := d.holding(a); !has && len(g.said[a]) == 0 {
			continue // it is not its own
		}
		if len(vip.Scopes) == 0 && len(g.said[a]) == 0 && len(g.conflicts[a]) == 0 {
			continue
		}
		x := g.answer(a)
		e.Answers = append(e.Answers, x)
		if len(x.Owners) == 0 && x.Next == "" && !g.unread() && len(g.cut) == 0 {
			silent = append(silent, x.Address)
		}
	}
	if len(silent) == 0 {
		return ""
	}
	return fmt.Sprintf("But nobody on the local segment answers for %s: the table says why.", enumerate(silent))
}

// loadAnswers reads who answers for a Service's addresses, if it has any and there is an L2Advertisement; else only
// what says which addresses are set aside. That something may not be read is a note, not an error.
func (s *Snapshot) loadAnswers(ctx context.Context, c *k8s.Cluster, svc *corev1.Service) error {
	var err error
	if len(k8s.IngressIPs(svc)) > 0 {
		if s.Advertisements, err = LoadL2Advertisements(ctx, c); err != nil && !s.withheld("L2Advertisements", err) {
			return err
		}
	}
	if len(s.Advertisements) == 0 {
		return s.LoadConflicts(ctx, c)
	}
	if err := s.LoadLayer2(ctx, c); err != nil && !s.withheld("Speakers", err) {
		return err
	}
	return nil
}

// said tells whether a speaker says that it answers for an address.
func (s *Snapshot) said() bool {
	for _, sp := range s.Speakers {
		if l2 := sp.Status.Layer2; l2 != nil && len(l2.Addresses) > 0 {
			return true
		}
	}
	return false
}

func (g *segment) answer(a netip.Addr) Answer {
	x := Answer{Address: a.String(), Owners: nonNilList(g.owners(a)), Tenures: g.tenures(a)}
	verdicts := g.verdicts(a)
	x.Next = next(verdicts)
	var why []string
	for _, t := range x.Tenures {
		text := g.sinceText(t) + ": " + t.because()
		if len(x.Owners) > 1 {
			text = t.Node + " " + text
		}
		why = append(why, text)
	}
	if by := g.standIns(a); len(by) > 0 {
		why = append(why, fmt.Sprintf("%s answers for it while the owner's speaker is gone", enumerate(by)))
	}
	for _, c := range g.conflicts[a] {
		why = append(why, g.conflictText(c))
	}
	switch {
	case g.unread():
		why = append(why, "which nodes may own it is unknown, without the "+enumerate(g.s.Unread))
	case len(x.Owners) == 0 && len(g.cut) > 0:
		why = append(why, "the owner is not known here, as the speakers' lists are cut")
	case len(x.Owners) == 0:
		why = append(why, g.nobody(a))
	default:
		why = append(why, g.others(verdicts, x.Next)...)
	}
	x.Why = strings.Join(why, "; ")
	return x
}

// others says which node is next, and why those that may not own an address may not.
func (g *segment) others(verdicts []NodeVerdict, after string) (texts []string) {
	for _, v := range verdicts {
		if v.May == mayOwns && (strings.HasPrefix(v.Why, leaving) || strings.HasPrefix(v.Why, keeping)) {
			texts = append(texts, v.Node+" "+v.Why)
		}
	}
	switch refused := refusals(verdicts); {
	case after != "":
		texts = append(texts, "next is "+after)
	case refused != "":
		return append(texts, "no other node may: "+refused)
	default:
		return append(texts, "there is no other node")
	}
	if refused := refusals(verdicts); refused != "" {
		texts = append(texts, "not "+refused)
	}
	return texts
}

// endpointText says where a Service with externalTrafficPolicy: Local has endpoints.
func endpointText(nodes map[string]bool) string {
	var ready []string
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		if nodes[name] {
			ready = append(ready, name)
		}
	}
	return cmp.Or(few("node", ready), "none") + " ready; only nodes with one may answer (externalTrafficPolicy: Local)"
}
