package k8s

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPool(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	unreadable := v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}}
	team := func(name v1alpha1.LabelValue) v1alpha1.LabelSelector {
		return v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"team": name}}
	}
	type spec = v1alpha1.IPAddressPoolSpec
	tests := []struct {
		name     string
		spec     spec
		want     lb.Pool // selectors by what they print
		selects  [2][]string
		problems []string
	}{
		{name: "nothing"},
		{name: "addresses in every form", spec: spec{Addresses: []v1alpha1.AddressRange{"192.0.2.1", "198.51.100.0/30", "2001:db8::1 - 2001:db8::9"}},
			want: lb.Pool{Ranges: ranges("192.0.2.1-192.0.2.1", "198.51.100.0-198.51.100.3", "2001:db8::1-2001:db8::9")}},
		{name: "what cannot be read does not hide the rest", spec: spec{Addresses: []v1alpha1.AddressRange{"192.0.2.1", "192.0.2.300", "192.0.2.9-192.0.2.1"}},
			want: lb.Pool{Ranges: ranges("192.0.2.1-192.0.2.1")},
			problems: []string{`spec.addresses: "192.0.2.300" is not an IP address`,
				`spec.addresses: "192.0.2.9-192.0.2.1" is reversed: write 192.0.2.1-192.0.2.9`}},
		{name: "exclusions", spec: spec{ExcludeAddresses: []v1alpha1.AddressRange{"192.0.2.1", "192.0.2.8/30"}},
			want: lb.Pool{Excluded: ranges("192.0.2.1-192.0.2.1", "192.0.2.8-192.0.2.11")}},
		{name: "with an exclusion that cannot be read it gives nothing new", spec: spec{ExcludeAddresses: []v1alpha1.AddressRange{"router", "192.0.2.1"}},
			want:     lb.Pool{Excluded: ranges("192.0.2.1-192.0.2.1"), Disabled: true},
			problems: []string{`spec.excludeAddresses: "router" is not an IP address`}},
		{name: "on request", spec: spec{AutoAssign: ptr(false)}, want: lb.Pool{OnRequest: true}},
		{name: "for all who come", spec: spec{AutoAssign: ptr(true)}},
		{name: "without .0 and .255, and disabled", spec: spec{AvoidBuggyIPs: true, Disabled: true}, want: lb.Pool{AvoidBuggyIPs: true, Disabled: true}},
		{name: "for certain Services", spec: spec{ServiceAllocation: &v1alpha1.ServiceAllocation{
			Priority: 10, Namespaces: []string{"b", "a"},
			NamespaceSelectors: []v1alpha1.LabelSelector{team("red"), {}}, ServiceSelectors: []v1alpha1.LabelSelector{team("blue")}}},
			want:    lb.Pool{Priority: 10, Namespaces: []string{"b", "a"}},
			selects: [2][]string{{"team=red", ""}, {"team=blue"}}},
		{name: "a selector that cannot be read selects nothing, and the others what they do", spec: spec{ServiceAllocation: &v1alpha1.ServiceAllocation{
			NamespaceSelectors: []v1alpha1.LabelSelector{unreadable, team("red")}}},
			selects:  [2][]string{{"nothing", "team=red"}, nil},
			problems: []string{`spec.serviceAllocation.namespaceSelectors[0]: "Near" is not a valid label selector operator`}},
		{name: "with no selector that can be read it is for nobody, not for all", spec: spec{ServiceAllocation: &v1alpha1.ServiceAllocation{
			ServiceSelectors: []v1alpha1.LabelSelector{unreadable}}},
			selects:  [2][]string{nil, {"nothing"}},
			problems: []string{`spec.serviceAllocation.serviceSelectors[0]: "Near" is not a valid label selector operator`}},
		{name: "a quota", spec: spec{Quota: &v1alpha1.PoolQuota{PerNamespace: ptr(int32(3))}}, want: lb.Pool{Quota: ptr(3)}},
		{name: "a quota of none", spec: spec{Quota: &v1alpha1.PoolQuota{PerNamespace: ptr(int32(0))}}, want: lb.Pool{Quota: ptr(0)}},
		{name: "a quota that says nothing", spec: spec{Quota: &v1alpha1.PoolQuota{}}},
		{name: "retention", spec: spec{Retention: &metav1.Duration{Duration: time.Hour}}, want: lb.Pool{Retention: time.Hour}},
		{name: "numbers below zero", spec: spec{ServiceAllocation: &v1alpha1.ServiceAllocation{Priority: -1},
			Quota: &v1alpha1.PoolQuota{PerNamespace: ptr(int32(-2))}, Retention: &metav1.Duration{Duration: -time.Minute}},
			want:     lb.Pool{Quota: ptr(0)},
			problems: []string{"spec.serviceAllocation.priority: -1 is below 0", "spec.quota.perNamespace: -2 is below 0", "spec.retention: -1m0s is below 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, problems := Pool(&v1alpha1.IPAddressPool{
				ObjectMeta: metav1.ObjectMeta{Name: "edge", CreationTimestamp: metav1.NewTime(created)}, Spec: tt.spec,
			})
			selects := [2][]string{printed(pool.NamespaceSelectors), printed(pool.ServiceSelectors)}
			pool.NamespaceSelectors, pool.ServiceSelectors = nil, nil
			tt.want.Name, tt.want.Created = "edge", created
			if diff := cmp.Diff(tt.want, pool, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netipx.IPRange{})); diff != "" {
				t.Errorf("pool (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.selects, selects, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("selectors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelector(t *testing.T) {
	pool, _ := Pool(&v1alpha1.IPAddressPool{Spec: v1alpha1.IPAddressPoolSpec{ServiceAllocation: &v1alpha1.ServiceAllocation{
		ServiceSelectors: []v1alpha1.LabelSelector{
			{MatchLabels: map[string]v1alpha1.LabelValue{"b": "2", "a": "1", "c": "3"}, MatchExpressions: []v1alpha1.LabelSelectorRequirement{
				{Key: "a", Operator: metav1.LabelSelectorOpNotIn, Values: []v1alpha1.LabelValue{"y", "x"}}, {Key: "d", Operator: metav1.LabelSelectorOpDoesNotExist}}},
			{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}},
			{},
		},
	}}})
	s := pool.ServiceSelectors
	if got := s[0].String(); got != "!d,a notin (x,y),a=1,b=2,c=3" {
		t.Errorf("prints %s", got)
	}
	fits, other := map[string]string{"a": "1", "b": "2", "c": "3"}, map[string]string{"a": "1", "b": "2", "c": "3", "d": ""}
	if !s[0].Matches(fits) || s[0].Matches(other) || s[0].Matches(nil) {
		t.Error("the first does not match what it says")
	}
	if s[1].Matches(nil) || s[1].Matches(fits) {
		t.Error("what cannot be read selects something")
	}
	if !s[2].Matches(nil) || !s[2].Matches(fits) {
		t.Error("an empty selector does not select everything")
	}
}

func ranges(list ...string) (parsed []netipx.IPRange) {
	for _, s := range list {
		parsed = append(parsed, netipx.MustParseIPRange(s))
	}
	return parsed
}

func printed(selectors []lb.Selector) (list []string) {
	for _, s := range selectors {
		list = append(list, s.String())
	}
	return list
}
