package k8s

import (
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPool(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name      string
		addresses []v1alpha1.AddressRange
		ranges    []string
		problems  []string
	}{
		{name: "every form", addresses: []v1alpha1.AddressRange{"192.0.2.1", "198.51.100.0/30", "2001:db8::1 - 2001:db8::9"},
			ranges: []string{"192.0.2.1-192.0.2.1", "198.51.100.0-198.51.100.3", "2001:db8::1-2001:db8::9"}},
		{name: "what cannot be read does not hide the rest", addresses: []v1alpha1.AddressRange{"192.0.2.1", "192.0.2.300", "192.0.2.9-192.0.2.1"},
			ranges: []string{"192.0.2.1-192.0.2.1"},
			problems: []string{`"192.0.2.300" is not an IP address`,
				`"192.0.2.9-192.0.2.1" is reversed: write 192.0.2.1-192.0.2.9`}},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, problems := Pool(&v1alpha1.IPAddressPool{
				ObjectMeta: metav1.ObjectMeta{Name: "edge", CreationTimestamp: metav1.NewTime(created)},
				Spec:       v1alpha1.IPAddressPoolSpec{Addresses: tt.addresses},
			})
			var ranges []string
			for _, r := range pool.Ranges {
				ranges = append(ranges, r.String())
			}
			if pool.Name != "edge" || !pool.Created.Equal(created) || !slices.Equal(ranges, tt.ranges) {
				t.Errorf("pool = %+v", pool)
			}
			if !slices.Equal(problems, tt.problems) {
				t.Errorf("problems = %q, want %q", problems, tt.problems)
			}
		})
	}
}
