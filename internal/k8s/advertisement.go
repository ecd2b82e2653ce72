package k8s

import (
	"fmt"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/labels"
)

// PoolSelection says which pools an advertisement is for. The speaker and the controller's condition
// NotAdvertised decide by the same rule.
type PoolSelection struct {
	all       bool
	names     []string
	selectors []labels.Selector
}

// SelectPools compiles the pools of an L2Advertisement. The error names the field of a selector that cannot
// be read; the custom resource definition refuses such, but an object may be older than that rule.
func SelectPools(object *v1alpha1.L2Advertisement) (PoolSelection, error) {
	return selectPools(object.Spec.IPAddressPools, object.Spec.IPAddressPoolSelectors)
}

func selectPools(names []string, selectors []v1alpha1.LabelSelector) (PoolSelection, error) {
	compiled, err := CompileSelectors("ipAddressPoolSelectors", selectors)
	if err != nil {
		return PoolSelection{}, err
	}
	return PoolSelection{all: len(names) == 0 && len(selectors) == 0, names: names, selectors: compiled}, nil
}

// Selects tells whether the advertisement is for a pool: one that it names or selects by its labels, or any
// if it does neither.
func (s PoolSelection) Selects(pool string, poolLabels labels.Set) bool {
	return s.all || slices.Contains(s.names, pool) ||
		slices.ContainsFunc(s.selectors, func(l labels.Selector) bool { return l.Matches(poolLabels) })
}

// CompileSelectors compiles the selectors of a field of a spec. The error names the one that cannot be read.
func CompileSelectors(field string, selectors []v1alpha1.LabelSelector) (compiled []labels.Selector, err error) {
	for i := range selectors {
		s, err := selectors[i].Selector()
		if err != nil {
			return nil, fmt.Errorf("spec.%s[%d]: %w", field, i, err)
		}
		compiled = append(compiled, s)
	}
	return compiled, nil
}
