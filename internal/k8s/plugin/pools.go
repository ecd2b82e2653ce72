package plugin

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// PoolRow is an IPAddressPool as `kubectl fairlead pools` shows it: what its status says, in a line.
type PoolRow struct {
	Name string `json:"name"`
	// Ready is the status of the pool's condition, Unknown if it has none.
	Ready string `json:"ready"`
	// IPv4 and IPv6 are how full it is; nil where the pool has no address.
	IPv4 *v1alpha1.PoolFamilyStatus `json:"ipv4,omitempty"`
	IPv6 *v1alpha1.PoolFamilyStatus `json:"ipv6,omitempty"`
	// For says in short whom the pool is for and how; Rules says the same in full.
	For   []string `json:"-"`
	Rules []string `json:"rules,omitempty"`
	// Ranges of the spec; those that are excluded begin with "not ".
	Ranges []string `json:"addresses"`
	// Wrong is what stands in the pool's way.
	Wrong []Fault `json:"wrong,omitempty"`
}

// Fault is something that is wrong with an object: a condition's type or reason, and a sentence.
type Fault struct {
	Kind     string `json:"reason"`
	Sentence string `json:"message"`
}

// Pools are the rows of pools, sorted by name.
func Pools(pools []*v1alpha1.IPAddressPool) []PoolRow {
	rows := []PoolRow{} // not null where there are none
	for _, p := range pools {
		pool, _ := k8s.Pool(p) // what cannot be read, a condition tells of
		row := PoolRow{Name: p.Name, Ready: string(metav1.ConditionUnknown), Wrong: faults(p),
			IPv4: p.Status.IPv4, IPv6: p.Status.IPv6}
		if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			row.Ready = string(c.Status)
		}
		row.For, row.Rules = rulesOf(pool)
		for _, r := range p.Spec.Addresses {
			row.Ranges = append(row.Ranges, string(r))
		}
		for _, r := range p.Spec.ExcludeAddresses {
			row.Ranges = append(row.Ranges, "not "+string(r))
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(x, y PoolRow) int { return cmp.Compare(x.Name, y.Name) })
	return rows
}

// rulesOf says whom a pool is for and what else holds of it, in short and in full.
func rulesOf(p lb.Pool) (brief, full []string) {
	add := func(short, long string) { brief, full = append(brief, short), append(full, long) }
	if p.Disabled {
		add("disabled", "disabled: nothing new is assigned")
	}
	if p.OnRequest {
		add("on request", "on request only")
	}
	if p.Priority > 0 {
		add(fmt.Sprintf("priority %d", p.Priority), fmt.Sprintf("priority %d", p.Priority))
	}
	if short, long := namespacesRule(p); long != "" {
		add(short, long)
	}
	if rule := servicesRule(p); rule != "" {
		add("some Services", rule)
	}
	if p.Quota != nil {
		add(fmt.Sprintf("quota %d", *p.Quota), fmt.Sprintf("at most %d a namespace", *p.Quota))
	}
	if p.AvoidBuggyIPs {
		full = append(full, "no .0 and .255")
	}
	if p.Retention > 0 {
		full = append(full, "retention "+duration.HumanDuration(p.Retention))
	}
	return brief, full
}

// namespacesRule says which namespaces a pool is for, in short and in full; empty for all.
func namespacesRule(p lb.Pool) (short, long string) {
	names, labels := enumerate(p.Namespaces), strings.Join(selectorTexts(p.NamespaceSelectors), ", or with ")
	switch {
	case names == "" && labels == "":
		return "", ""
	case names == "":
		return "some namespaces", "namespaces with " + labels
	case labels != "":
		return "some namespaces", "namespaces " + names + " and those with " + labels
	case len(p.Namespaces) == 1:
		return "namespace " + names, "namespace " + names
	}
	return count(len(p.Namespaces), "namespace"), "namespaces " + names
}

// servicesRule says which Services a pool is for; empty for all.
func servicesRule(p lb.Pool) string {
	if which := selectorTexts(p.ServiceSelectors); len(which) > 0 {
		return "Services with " + strings.Join(which, ", or with ")
	}
	return ""
}

func selectorTexts(selectors []lb.Selector) (texts []string) {
	for _, s := range selectors {
		texts = append(texts, cmp.Or(s.String(), "any labels"))
	}
	return texts
}

// faults are what a pool's conditions complain of, each sentence once.
func faults(p *v1alpha1.IPAddressPool) (list []Fault) {
	conditions := p.Status.Conditions
	for _, kind := range []string{v1alpha1.ConditionConflicting, v1alpha1.ConditionExhausted, v1alpha1.ConditionNotAdvertised, v1alpha1.ConditionAddressConflict} {
		if c := meta.FindStatusCondition(conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			list = append(list, Fault{kind, c.Message})
		}
	}
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.ObservedGeneration >= p.Generation && p.Status.IPv4 == nil && p.Status.IPv6 == nil && len(p.Spec.ExcludeAddresses) > 0 {
		list = append(list, Fault{"Empty", "no address is left to give: all are excluded or belong to older pools"})
	}
	said := func(f Fault) bool { return f.Kind == ready.Reason || f.Sentence == ready.Message }
	switch {
	case ready == nil:
		list = append(list, Fault{statusUndecided, "no controller has looked at the pool yet"})
	case ready.ObservedGeneration < p.Generation:
		list = append(list, Fault{"Edited", "no controller has looked at the last edit yet; the figures are those before"})
	case ready.Status != metav1.ConditionTrue && !slices.ContainsFunc(list, said):
		list = append(list, Fault{ready.Reason, ready.Message})
	}
	return list
}

// poolsTable is the table of pools, but for what is wrong.
func poolsTable(rows []PoolRow, f Format) *table {
	t := &table{header: []string{"NAME", "READY", "V4-USED", "V4-FREE", "V6-USED", "V6-FREE", "FOR"},
		styles: map[int]func(string) style{1: stateStyle}, colour: f.Colour}
	if f.Wide {
		t.header = append(t.header, "ADDRESSES")
	}
	for _, r := range rows {
		cells := []string{r.Name, r.Ready}
		for _, u := range []*v1alpha1.PoolFamilyStatus{r.IPv4, r.IPv6} {
			used, free := usage(u, f.Wide)
			cells = append(cells, used, free)
		}
		if !f.Wide {
			t.add(append(cells, cmp.Or(strings.Join(r.For, ", "), "all"))...)
			continue
		}
		t.add(append(cells, cmp.Or(strings.Join(r.Rules, "; "), "all"), strings.Join(r.Ranges, ", "))...)
	}
	return t
}

// WritePools prints a table, and beneath it a paragraph for all that is wrong.
func WritePools(w io.Writer, rows []PoolRow, f Format) error {
	t := poolsTable(rows, f)
	width := f.Width
	if f.Wide {
		width = 0
	}
	if err := t.write(w, width); err != nil {
		return err
	}
	first := true
	for _, r := range rows {
		for _, fault := range r.Wrong {
			if first {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return err
				}
				first = false
			}
			if err := writeParagraph(w, f.Width, fmt.Sprintf("pool %s: %s: %s", r.Name, fault.Kind, fault.Sentence)); err != nil {
				return err
			}
		}
	}
	return nil
}

// usage prints one family of a pool: used of total, and free.
func usage(u *v1alpha1.PoolFamilyStatus, full bool) (used, free string) {
	if u == nil {
		return "-", "-"
	}
	number := shortNumber
	if full {
		number = printable
	}
	used = fmt.Sprintf("%d/%s", u.Assigned, number(u.Total))
	if u.Retained > 0 {
		used += fmt.Sprintf(" +%d retained", u.Retained)
	}
	return used, number(u.Available)
}
