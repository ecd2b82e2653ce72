package k8s

import (
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestPoolSelection(t *testing.T) {
	with := func(key, value string) v1alpha1.LabelSelector {
		return v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}
	}
	for _, tt := range []struct {
		name      string
		pools     []string
		selectors []v1alpha1.LabelSelector
		want      bool
	}{
		{"neither names nor selectors: every pool", nil, nil, true},
		{"by name", []string{"core", "edge"}, nil, true},
		{"not by name", []string{"core"}, nil, false},
		{"by label", nil, []v1alpha1.LabelSelector{with("tier", "core"), with("tier", "edge")}, true},
		{"not by label", nil, []v1alpha1.LabelSelector{with("tier", "core")}, false},
		{"by label although not by name", []string{"core"}, []v1alpha1.LabelSelector{with("tier", "edge")}, true},
		{"by name although not by label", []string{"edge"}, []v1alpha1.LabelSelector{with("tier", "core")}, true},
		{"an empty selector selects every pool", nil, []v1alpha1.LabelSelector{{}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := SelectPools(&v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: tt.pools, IPAddressPoolSelectors: tt.selectors}})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Selects("edge", labels.Set{"tier": "edge"}); got != tt.want {
				t.Errorf("selects: %v", got)
			}
		})
	}
	t.Run("one that cannot be read selects nothing", func(t *testing.T) {
		s, err := SelectPools(&v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{IPAddressPoolSelectors: []v1alpha1.LabelSelector{
			{}, {MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}}}}})
		if err == nil || err.Error() != `spec.ipAddressPoolSelectors[1]: "Near" is not a valid label selector operator` {
			t.Errorf("error %v", err)
		}
		if s.Selects("edge", nil) {
			t.Error("selects a pool")
		}
	})
}
