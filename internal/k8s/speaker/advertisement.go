package speaker

import (
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"k8s.io/apimachinery/pkg/labels"
)

// advertisement is an L2Advertisement with its selectors compiled.
type advertisement struct {
	name       string
	pools      k8s.PoolSelection
	services   []labels.Selector
	nodes      []labels.Selector
	interfaces []string
}

// newAdvertisement compiles an L2Advertisement. The custom resource definition refuses selectors that
// cannot be read, but an object may be older than the rule that refuses it.
func newAdvertisement(object *v1alpha1.L2Advertisement) (*advertisement, error) {
	a := &advertisement{name: object.Name}
	for _, i := range object.Spec.Interfaces {
		a.interfaces = append(a.interfaces, string(i))
	}
	var err error
	if a.pools, err = k8s.SelectPools(object); err != nil {
		return nil, err
	}
	if a.services, err = k8s.CompileSelectors("serviceSelectors", object.Spec.ServiceSelectors); err != nil {
		return nil, err
	}
	if a.nodes, err = k8s.CompileSelectors("nodeSelectors", object.Spec.NodeSelectors); err != nil {
		return nil, err
	}
	return a, nil
}

// covers tells whether an address of a pool, of a Service with these labels, is to be announced.
func (a *advertisement) covers(pool string, poolLabels, serviceLabels labels.Set) bool {
	return a.pools.Selects(pool, poolLabels) && anyMatches(a.services, serviceLabels)
}

// allows tells whether a node with these labels may announce.
func (a *advertisement) allows(nodeLabels labels.Set) bool { return anyMatches(a.nodes, nodeLabels) }

// anyMatches tells whether one of selectors matches, or there are none.
func anyMatches(selectors []labels.Selector, set labels.Set) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(set) })
}

// scope is the advertisement as the election sees it.
func (a *advertisement) scope(nodes map[string]node) layer2.Scope {
	s := layer2.Scope{Name: a.name, Nodes: map[string]bool{}, Interfaces: a.interfaces}
	for name, n := range nodes {
		if a.allows(n.labels) {
			s.Nodes[name] = true
		}
	}
	return s
}
