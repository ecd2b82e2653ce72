package picture

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// poolOf is a pool as the page shows it, but for its modes.
func poolOf(object *v1alpha1.IPAddressPool) page.Pool {
	read, _ := k8s.Pool(object) // what cannot be read, a condition tells of
	p := page.Pool{
		Name: object.Name, Ranges: []string{}, IPv4: familyOf(object.Status.IPv4), IPv6: familyOf(object.Status.IPv6),
		Disabled: read.Disabled, OnRequest: read.OnRequest, For: audience(read),
	}
	for _, r := range object.Spec.Addresses {
		p.Ranges = append(p.Ranges, string(r))
	}
	for _, r := range object.Spec.ExcludeAddresses {
		p.Ranges = append(p.Ranges, "not "+string(r))
	}
	return p
}

func familyOf(f *v1alpha1.PoolFamilyStatus) *page.Family {
	if f == nil {
		return nil
	}
	return &page.Family{Total: f.Total, Assigned: f.Assigned, Retained: f.Retained, Available: f.Available, First: f.First, Last: f.Last}
}

// audience says which Services a pool is for, empty for all.
func audience(p lb.Pool) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if len(p.Namespaces) > 0 {
		add("namespaces %s", strings.Join(p.Namespaces, ", "))
	}
	if s := selectors(p.NamespaceSelectors); s != "" {
		add("namespaces with %s", s)
	}
	if len(parts) > 1 {
		parts = []string{strings.Join(parts, ", or ")}
	}
	if s := selectors(p.ServiceSelectors); s != "" {
		add("Services with %s", s)
	}
	if p.Priority > 0 {
		add("priority %d", p.Priority)
	}
	if p.Quota != nil {
		add("at most %d a namespace", *p.Quota)
	}
	return strings.Join(parts, "; ")
}

func selectors(list []lb.Selector) string {
	var texts []string
	for _, s := range list {
		texts = append(texts, cmp.Or(s.String(), "any labels"))
	}
	return strings.Join(texts, ", or with ")
}

// assignedOf counts the addresses of a pool that are assigned.
func assignedOf(object *v1alpha1.IPAddressPool) (ipv4, ipv6 int64) {
	if f := object.Status.IPv4; f != nil {
		ipv4 = f.Assigned
	}
	if f := object.Status.IPv6; f != nil {
		ipv6 = f.Assigned
	}
	return ipv4, ipv6
}
