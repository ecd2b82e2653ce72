package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// outcome says in sentences what follows from a decision about a Service, given the verdicts of the pools
// before it.
func outcome(d *decided, verdicts []FamilyExplanation) string {
	var came, gone, kept, sentences []string
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	for _, a := range d.Assignments {
		switch {
		case slices.Contains(d.request.Current, a.Address):
			kept = append(kept, a.Address.String())
		case a.Pool == "":
			came = append(came, a.Address.String())
		default:
			came = append(came, fmt.Sprintf("%s from pool %s", a.Address, a.Pool))
		}
	}
	for _, addr := range d.request.Current {
		if _, has := d.holding(addr); !has {
			gone = append(gone, addr.String())
		}
	}
	if len(came) > 0 {
		say("It is to get %s.", enumerate(came))
	}
	if len(gone) > 0 {
		say("It is to lose %s.", enumerate(gone))
	}
	switch missing := d.missing(); {
	case len(d.problems) > 0:
		say("What it asks for cannot be followed until it is changed: %s.", reasons(missing))
		if len(kept) > 0 {
			say("Meanwhile it keeps %s.", enumerate(kept))
		}
	case d.pending():
		if len(d.Assignments) == 0 {
			say("It waits, with no address.")
		} else {
			say("It has %s and waits.", enumerate(append(kept, came...)))
		}
		say("%s", waitsFor(d, verdicts))
		if len(d.Assignments) == 0 && len(d.request.Families) > 1 && d.request.Policy == lb.RequireDualStack {
			say("It requires both families: until then it gets neither.")
		}
	case len(came)+len(gone) == 0 && len(missing) == 0:
		say("It has what it asks for.")
	case len(missing) > 0:
		say("That is enough for it, as it only prefers two families. %s", waitsFor(d, verdicts))
	}
	if len(came)+len(gone) > 0 || k8s.AssignedCondition(d.service) == nil {
		say("Its status does not say so yet: if that lasts longer than some seconds, no controller is at work.")
	}
	return strings.Join(sentences, " ")
}

// byPool are the reasons of a refusal that goes through the pools one by one, as the table does.
var byPool = []allocator.Reason{allocator.ReasonExhausted, allocator.ReasonQuotaExceeded, allocator.ReasonDisabled,
	allocator.ReasonOnRequestOnly, allocator.ReasonNotSelected, allocator.ReasonNoAddressOfFamily}

// waitsFor says what a Service was refused and when it may get it. What the table says already, pool by pool, is
// not repeated.
func waitsFor(d *decided, verdicts []FamilyExplanation) string {
	var parts []string
	inTable := func(r allocator.Refusal) bool {
		return slices.Contains(byPool, r.Reason) && len(d.request.Addresses) == 0 && d.request.Sharing.Key == ""
	}
	if slices.ContainsFunc(d.Refusals, inTable) {
		for _, f := range verdicts {
			has := slices.ContainsFunc(d.Assignments, func(a allocator.Assignment) bool { return lb.FamilyOf(a.Address) == f.Family })
			if has || slices.ContainsFunc(f.Pools, func(p PoolVerdict) bool { return p.Serves == servesYes }) {
				continue
			}
			parts = append(parts, waitsForFamily(d, f))
		}
	}
	others := slices.DeleteFunc(slices.Clone(d.Refusals), inTable)
	if len(others) > 0 {
		text := reasons(others)
		parts = append(parts, strings.ToUpper(text[:1])+text[1:]+".")
	}
	return strings.Join(parts, " ")
}

func waitsForFamily(d *decided, f FamilyExplanation) string {
	var exhausted, quota, unknown, ways []string
	for _, p := range f.Pools {
		switch {
		case p.Serves == servesUnknown:
			unknown = append(unknown, p.Pool)
		case p.reason == allocator.ReasonExhausted:
			exhausted = append(exhausted, p.Pool)
		case p.reason == allocator.ReasonQuotaExceeded:
			quota = append(quota, p.Pool)
		}
	}
	if len(exhausted) > 0 {
		ways = append(ways, "one of "+counted("pool", exhausted)+" is free")
	}
	if len(quota) > 0 {
		ways = append(ways, "namespace "+d.request.Service.Namespace+" gives back one of "+counted("pool", quota))
	}
	text := fmt.Sprintf("No pool gives it an %s address now", f.Family)
	if len(unknown) > 0 {
		text = fmt.Sprintf("But for %s, of which that is unknown, no pool gives it an %s address now", counted("pool", unknown), f.Family)
	}
	switch {
	case len(ways) > 0:
		return text + "; it gets one as soon as " + strings.Join(ways, ", or ") + "."
	case len(unknown) > 0:
		return text + "."
	}
	return text + ", and none will until the pools or the Service are changed."
}

func reasons(refusals []allocator.Refusal) string {
	var parts []string
	for _, r := range refusals {
		if !slices.Contains(parts, r.Message) {
			parts = append(parts, r.Message)
		}
	}
	return strings.Join(parts, "; ")
}
