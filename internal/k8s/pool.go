package k8s

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"
)

// Pool converts an IPAddressPool. The custom resource definition refuses what cannot be read, but an object
// may be older than the rule that refuses it: such entries are returned as problems in words, each with its
// field, and the others count. None of them makes the pool serve more than it is meant to: a pool with an
// exclusion that cannot be read gives nothing new, and a selector that cannot be read selects nothing.
func Pool(object *v1alpha1.IPAddressPool) (pool lb.Pool, problems []string) {
	complain := func(field string, problem any) {
		problems = append(problems, fmt.Sprintf("spec.%s: %v", field, problem))
	}
	ranges := func(field string, entries []v1alpha1.AddressRange) (list []netipx.IPRange) {
		for _, entry := range entries {
			r, err := lb.ParseRange(string(entry))
			if err != nil {
				complain(field, err)
				continue
			}
			list = append(list, r)
		}
		return list
	}
	selectors := func(field string, objects []v1alpha1.LabelSelector) (list []lb.Selector) {
		for i := range objects {
			s, err := objects[i].Selector()
			if err != nil {
				complain(fmt.Sprintf("%s[%d]", field, i), err)
				// One of several is enough to be selected, so that leaving it out would do as well, but for the last:
				// a pool without selectors is for all.
				s = labels.Nothing()
			}
			list = append(list, newSelector(s))
		}
		return list
	}

	spec := &object.Spec
	pool = lb.Pool{
		Name:          object.Name,
		Created:       object.CreationTimestamp.Time,
		Ranges:        ranges("addresses", spec.Addresses),
		Excluded:      ranges("excludeAddresses", spec.ExcludeAddresses),
		AvoidBuggyIPs: spec.AvoidBuggyIPs,
		OnRequest:     spec.AutoAssign != nil && !*spec.AutoAssign,
		Disabled:      spec.Disabled,
	}
	if len(pool.Excluded) < len(spec.ExcludeAddresses) {
		pool.Disabled = true // else the address that was to be left out, a router's perhaps, might be given out
	}
	if a := spec.ServiceAllocation; a != nil {
		pool.Priority = a.Priority
		if a.Priority < 0 {
			complain("serviceAllocation.priority", fmt.Sprintf("%d is below 0", a.Priority))
			pool.Priority = 0
		}
		pool.Namespaces = slices.Clone(a.Namespaces)
		pool.NamespaceSelectors = selectors("serviceAllocation.namespaceSelectors", a.NamespaceSelectors)
		pool.ServiceSelectors = selectors("serviceAllocation.serviceSelectors", a.ServiceSelectors)
	}
	if q := spec.Quota; q != nil && q.PerNamespace != nil {
		most := int(*q.PerNamespace)
		if most < 0 {
			complain("quota.perNamespace", fmt.Sprintf("%d is below 0", most))
			most = 0
		}
		pool.Quota = &most
	}
	if r := spec.Retention; r != nil {
		pool.Retention = r.Duration
		if r.Duration < 0 {
			complain("retention", fmt.Sprintf("%s is below 0", r.Duration))
			pool.Retention = 0
		}
	}
	return pool, problems
}

// selector is a compiled label selector as the pure packages see it.
type selector struct {
	labels.Selector
	text string
}

func newSelector(s labels.Selector) selector {
	requirements, selectable := s.Requirements()
	if !selectable {
		return selector{s, "nothing"}
	}
	parts := make([]string, 0, len(requirements))
	for _, r := range requirements {
		parts = append(parts, r.String())
	}
	// Those of one label come in the order of a map, and two selectors that mean the same should print alike.
	slices.Sort(parts)
	return selector{s, strings.Join(parts, ",")}
}

// Matches tells whether labels are selected.
func (s selector) Matches(set map[string]string) bool { return s.Selector.Matches(labels.Set(set)) }

// String returns the selector as kubectl's --selector has it, empty for one that selects everything.
func (s selector) String() string { return s.text }
