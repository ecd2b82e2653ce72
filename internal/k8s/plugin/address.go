package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// AddressExplanation is what `kubectl fairlead explain address` says.
type AddressExplanation struct {
	Address netip.Addr `json:"address"`
	// Pool, Services and Advertisements say whose the address is, and what has it announced.
	Pool           []string `json:"pool"`
	Services       []string `json:"services"`
	Advertisements []string `json:"advertisements"`
	// Says is what the speakers' statuses have of it: the owner, who stands in, conflicts.
	Says []string `json:"says"`
	// Tenures are since when and why its owners own it, and Owner the same in words; History is who took it over before
	// that, the latest first, and Before the same in words.
	Tenures []Tenure `json:"tenures,omitempty"`
	Owner   []string `json:"-"`
	History []Tenure `json:"history,omitempty"`
	Before  []string `json:"-"`
	// Nodes are in the order in which they would be chosen, with why not the others; empty where no node could
	// be.
	Nodes []NodeVerdict `json:"nodes,omitempty"`
	// Routes are what BGP does with it; empty if it is not for BGP.
	Routes []RouteRow `json:"routes,omitempty"`
	// Outcome is what follows, in sentences.
	Outcome string `json:"outcome"`
}

// ExplainAddress says whose an address of a snapshot is, and which node answers for it or would.
func ExplainAddress(s *Snapshot, a netip.Addr) *AddressExplanation {
	g, r, v := newSegment(s), newReplay(s), newAdvertising(s)
	e := &AddressExplanation{Address: a, Pool: []string{"none"}, Services: g.servicesOf(r, a)}
	pool, pooled := r.alloc.PoolOf(a)
	if by := r.aside.by(a); pooled {
		e.Pool = []string{pool}
	} else if len(by) > 0 {
		e.Pool = []string{enumerate(by) + ", set aside"}
	} else if by := excludedBy(s, a); by != "" {
		e.Pool = []string{"none: " + by}
	}
	scopes := g.view.VIPs[a].Scopes
	for _, name := range scopes {
		e.Advertisements = append(e.Advertisements, "L2Advertisement "+name)
	}
	covering := v.covering(a)
	for _, name := range covering {
		e.Advertisements = append(e.Advertisements, "BGPAdvertisement "+name)
	}
	if len(scopes) > 0 || len(covering) == 0 || len(g.said[a]) > 0 || len(g.conflicts[a]) > 0 {
		e.Says = g.sayings(a)
	}
	e.Tenures = g.tenures(a)
	e.History = g.history(a, e.Tenures)
	e.Owner, e.Before = g.ownerLines(e.Tenures), historyLines(e.History)
	if len(scopes) > 0 {
		e.Nodes = g.verdicts(a)
	}
	if len(covering) > 0 && v.unknown() == "" {
		e.Routes = v.routesOf([]netip.Addr{a}, Selection{})
	}
	sentences := g.addressOutcome(r, a, e, len(covering) > 0)
	if len(g.services[a]) > 0 {
		sentences = append(sentences, v.outcome([]netip.Addr{a}, e.Routes)...)
	}
	e.Outcome = strings.Join(sentences, " ")
	return e
}

// servicesOf says which Services show an address.
func (g *segment) servicesOf(r *replay, a netip.Addr) (lines []string) {
	for i, svc := range g.services[a] {
		line := k8s.Key(svc).String()
		d := r.decided[k8s.Key(svc)]
		adopted := false
		if d != nil {
			_, adopted = d.holding(a)
		}
		switch {
		case d != nil && !adopted:
			for _, n := range d.NotAdopted {
				if n.Address == a {
					line += ", which cannot keep it: " + n.Message
				}
			}
		case i > 0:
			line += ", which shares it"
		}
		if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			line += " (externalTrafficPolicy: Local)"
		}
		lines = append(lines, line)
	}
	for _, svc := range g.s.Services {
		if why := NotOurs(svc, g.s.Class); why != "" && slices.Contains(k8s.IngressIPs(svc), a) {
			lines = append(lines, k8s.Key(svc).String()+". "+strings.TrimSuffix(why, "."))
		}
	}
	slices.Sort(lines[len(g.services[a]):])
	return lines
}

// sayings are what the speakers' statuses have of an address.
func (g *segment) sayings(a netip.Addr) (lines []string) {
	for _, x := range g.said[a] {
		line := x.node
		if x.standsFor != "" {
			line += ", on behalf of " + x.standsFor
		}
		var on []string
		for _, name := range x.interfaces {
			if hw := g.hardwareAddress(cmp.Or(x.standsFor, x.node), name); hw != "" {
				name += " as " + hw
			}
			on = append(on, name)
		}
		if len(on) > 0 {
			line += ", on " + enumerate(on)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = []string{"nobody"}
		for _, node := range g.cut {
			lines = append(lines, "perhaps "+node+": "+g.cutNote(node))
		}
	}
	for _, c := range g.conflicts[a] {
		lines = append(lines, g.conflictText(c))
	}
	return lines
}

// excludedBy says which pool would hold an address and leaves it out; empty if none does.
func excludedBy(s *Snapshot, a netip.Addr) string {
	var names []string
	for _, object := range s.Pools {
		p, _ := k8s.Pool(object)
		for _, r := range p.Ranges {
			if r.Contains(a) {
				names = append(names, p.Name)
				break
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return counted("pool", names) + " left it out by excludeAddresses"
}

// addressOutcome says in sentences what follows for an address.
func (g *segment) addressOutcome(r *replay, a netip.Addr, e *AddressExplanation, byBGP bool) (sentences []string) {
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	pool, pooled := r.alloc.PoolOf(a)
	owners, after := g.owners(a), next(e.Nodes)
	switch {
	case len(g.services[a]) == 0 && len(e.Services) > 0:
		say("Fairlead gave it to nobody, and announces it for nobody: the Service that shows it is not Fairlead's.")
		return sentences
	case len(g.services[a]) == 0:
		say("%s", g.unusedText(r, a, pool, pooled))
		if len(owners) > 0 {
			say("If %s still lists it in some seconds, the Services and the speakers' statuses disagree.", enumerate(owners))
		}
		return sentences
	case len(r.aside.by(a)) > 0:
		say("It is set aside while another host uses it: a Service that still shows it is to get another one, or to wait.")
		return sentences
	case !pooled:
		say("No pool holds it, so it is not announced: an advertisement is for the addresses of pools.")
		return sentences
	case g.unread():
		say("Which nodes may own it is unknown, without the %s.", enumerate(g.s.Unread))
		return sentences
	case len(g.view.VIPs[a].Scopes) == 0 && byBGP:
		say("No L2Advertisement covers it: it is for BGP alone.")
		return sentences
	case len(e.Advertisements) == 0:
		say("No L2Advertisement and no BGPAdvertisement covers it, so no node answers for it.")
		return sentences
	}
	switch {
	case len(owners) > 1:
		say("The statuses of %s disagree, as they may for a second after a move; speakers that hear each other settle at once who keeps it.", enumerate(owners))
	case len(owners) == 0 && len(g.cut) > 0:
		say("Its owner is not known here, as the speakers' lists are cut.")
	case len(owners) == 0 && after == "":
		say("Nobody answers for it, as no node may own it: the table says why.")
	case len(owners) == 0:
		say("Nobody answers for it yet: %s is to take it. If that lasts longer than some seconds, look at the speaker there.", after)
	default:
		if slices.ContainsFunc(e.Tenures, func(t Tenure) bool { return t.Node == owners[0] && t.Cause == v1alpha1.TakeoverElected }) {
			say("%s was chosen when nobody owned it: each address has an order of the nodes of its own, of those that may own it, have the greatest weight and have room.", owners[0])
		}
		say("%s", g.ownedText(owners[0], e.Nodes, after))
	}
	return sentences
}

// ownedText says what an owner has before it.
func (g *segment) ownedText(owner string, verdicts []NodeVerdict, after string) string {
	i := slices.IndexFunc(verdicts, func(v NodeVerdict) bool { return v.Node == owner })
	leaves := i >= 0 && strings.HasPrefix(verdicts[i].Why, leaving)
	switch {
	case i >= 0 && strings.HasPrefix(verdicts[i].Why, keeping):
		return fmt.Sprintf("%s keeps it as long as no other node may own it. If it is lost, nobody answers.", owner)
	case leaves && after == "":
		return fmt.Sprintf("%s is to give it up, and no other node may own it.", owner)
	case leaves:
		return fmt.Sprintf("%s is to give it up to %s.", owner, after)
	case after == "":
		return fmt.Sprintf("%s keeps it. No other node may own it: if %s is lost, nobody answers.", owner, owner)
	}
	return fmt.Sprintf("%s keeps it, whoever else comes: a move would break connections. If it is lost, %s takes it over.", owner, after)
}

// unusedText says of an address that no Service of ours shows why that is so.
func (g *segment) unusedText(r *replay, a netip.Addr, pool string, pooled bool) string {
	if by := r.aside.by(a); len(by) > 0 {
		return fmt.Sprintf("No Service has it, and none gets it: %s set it aside while another host uses it.", counted("pool", by))
	}
	if !pooled {
		return "No Service has it, and none gets it: no pool holds it."
	}
	for _, x := range retained(g.s) {
		if x.Address == a {
			return fmt.Sprintf("It waits until %s for Service %s, which was deleted, to return; others get it only if they ask for it or nothing else is left.",
				x.Until.UTC().Format("2006-01-02 15:04:05 MST"), x.Service)
		}
	}
	i := slices.IndexFunc(g.s.Pools, func(p *v1alpha1.IPAddressPool) bool { return p.Name == pool })
	object := g.s.Pools[i]
	switch last := a.As16()[15]; {
	case object.Spec.Disabled:
		return fmt.Sprintf("No Service has it, and pool %s is disabled: it gives nothing new.", pool)
	case object.Spec.AvoidBuggyIPs && lb.FamilyOf(a) == lb.IPv4 && (last == 0 || last == 255):
		return fmt.Sprintf("No Service has it, and none gets it: pool %s withholds it, as avoidBuggyIPs says of addresses that end in .0 or .255.", pool)
	case meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionNotAdvertised):
		return fmt.Sprintf("It is free: no Service has it. One that gets it would not be reached by it: no advertisement selects pool %s.", pool)
	}
	return "It is free: no Service has it, and nobody answers for it until one does."
}
