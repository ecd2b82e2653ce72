package v1alpha1_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

func TestLabelSelectorSelects(t *testing.T) {
	node := labels.Set{"zone": "a", "role": "edge"}
	tests := []struct {
		name     string
		selector v1alpha1.LabelSelector
		want     bool
	}{
		{"everything when empty", v1alpha1.LabelSelector{}, true},
		{"by label", v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"zone": "a"}}, true},
		{"nothing with another value", v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"zone": "b"}}, false},
		{"by expression", v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelSelectorRequirement{
			{Key: "role", Operator: metav1.LabelSelectorOpIn, Values: []v1alpha1.LabelValue{"core", "edge"}},
		}}, true},
		{"only where all holds", v1alpha1.LabelSelector{
			MatchLabels: map[string]v1alpha1.LabelValue{"zone": "a"},
			MatchExpressions: []v1alpha1.LabelSelectorRequirement{
				{Key: "role", Operator: metav1.LabelSelectorOpDoesNotExist},
			},
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			selector, err := tt.selector.Selector()
			if err != nil {
				t.Fatal(err)
			}
			if got := selector.Matches(node); got != tt.want {
				t.Errorf("%s matches %v: %t, want %t", selector, node, got, tt.want)
			}
		})
	}
}
