package plugin

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/apimachinery/pkg/api/meta"
)

// settling is how long after it was assigned an address may be without an owner: speakers write what they do once a
// second.
const settling = 10 * time.Second

// ofConflicts says which addresses are used by somebody else too.
func (v *survey) ofConflicts() (list []Problem) {
	for _, a := range slices.SortedFunc(maps.Keys(v.g.conflicts), netip.Addr.Compare) {
		c := v.g.conflicts[a][0]
		p := Problem{SeverityError, a.String() + v.whose(a) + ": " + v.g.conflictText(c), "Take the address from that host, or out of the pool (excludeAddresses).",
			"kubectl fairlead explain address " + a.String(), rankConflict}
		if c.Detected { // and was set aside
			p.Severity = SeverityWarning
		}
		list = append(list, p)
	}
	return list
}

// ofKernels says on which nodes the kernel speaks ARP for addresses, whoever owns them.
func (v *survey) ofKernels() []Problem {
	var nodes []string
	for _, name := range slices.Sorted(maps.Keys(v.g.speakers)) {
		if sp := v.g.speakers[name]; ready(sp) && meta.IsStatusConditionTrue(sp.Status.Conditions, v1alpha1.ConditionARPNotStrict) {
			nodes = append(nodes, name)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return []Problem{{SeverityWarning, fmt.Sprintf("%s %s ARP for every Service's address, whoever owns it: kube-proxy in IPVS mode without strictARP",
		some(nodes), verb(len(nodes), "speaks", "speak")), "Set strictARP: true in kube-proxy's configuration, and restart it.",
		"kubectl -n kube-system edit configmap kube-proxy", rankConflict}}
}

// whose names the first Service of an address, in brackets.
func (v *survey) whose(a netip.Addr) string {
	if services := v.g.services[a]; len(services) > 0 {
		return " (" + k8s.Key(services[0]).String() + ")"
	}
	return ""
}

// ofOwners says which addresses nobody answers for, or two nodes.
func (v *survey) ofOwners() (list []Problem) {
	if v.lacks("Speakers") || v.lacks("IPAddressPools") {
		return nil
	}
	var unanswered grouped
	first := map[string]string{} // of each reason
	for _, r := range v.owners {
		switch {
		case len(r.Owners) > 1:
			list = append(list, Problem{SeverityError, fmt.Sprintf("%s%s is owned by %s: they do not hear each other, or one has just taken it over", r.Address, v.whose(r.address), enumerate(r.Owners)),
				"", "kubectl fairlead explain address " + r.Address, rankOwners})
		case len(r.Owners) > 0, r.Unknown, r.forBGP(), len(v.g.services[r.address]) == 0, v.g.unread(), v.settling(r.address):
		case len(r.Advertisements) == 0 && v.lacks("BGPAdvertisements"):
		default:
			v.unanswered[r.Address] = true
			why := strings.TrimPrefix(r.Note, "nobody may: ")
			unanswered.add(why, r.Address+v.whose(r.address))
			if first[why] == "" {
				first[why] = r.Address
			}
		}
	}
	for _, why := range unanswered.said {
		what := unanswered.of[why]
		list = append(list, Problem{SeverityError, fmt.Sprintf("no node answers for %s: %s", some(what), strings.TrimPrefix(why, "nobody: ")),
			"", "kubectl fairlead explain address " + first[why], rankOwners})
	}
	return list
}

// settling tells whether an address was assigned only a moment ago.
func (v *survey) settling(a netip.Addr) bool {
	for _, svc := range v.g.services[a] {
		c := k8s.AssignedCondition(svc)
		if c == nil || v.s.Time.Sub(c.LastTransitionTime.Time) >= settling {
			return false
		}
	}
	return true
}

// ofSuppression says which nodes were lost too often.
func (v *survey) ofSuppression() (list []Problem) {
	for _, name := range slices.Sorted(maps.Keys(v.g.suppressed)) {
		until := v.g.suppressed[name].ReuseTime
		list = append(list, Problem{SeverityWarning, fmt.Sprintf("node %s was lost too often and owns nothing new until %s, unless no other node can", name, until.UTC().Format("15:04:05 MST")),
			"Find out why it comes and goes: its speaker, its network, the machine.", "kubectl describe speaker " + name, rankSuppressed})
	}
	return list
}

// ofServices says which Services miss something, those of one reason together.
func (v *survey) ofServices() (list []Problem) {
	var pending grouped
	for _, r := range v.services {
		if r.Pending {
			pending.add(r.Status+": "+r.Message, r.Namespace+"/"+r.Name)
		}
	}
	for _, why := range pending.said {
		names := pending.of[why]
		list = append(list, Problem{SeverityError, fmt.Sprintf("%s %s what %s: %s", counted("Service", names), verb(len(names), "misses", "miss"),
			verb(len(names), "it asks for", "they ask for"), why), "", "kubectl fairlead explain service " + names[0], rankService})
	}
	return list
}
