package speaker

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"k8s.io/apimachinery/pkg/labels"
)

// advertisement is an L2Advertisement with its selectors compiled.
type advertisement struct {
	name          string
	allPools      bool
	pools         []string
	poolSelectors []labels.Selector
	services      []labels.Selector
	nodes         []labels.Selector
	interfaces    []string
}

// newAdvertisement compiles an L2Advertisement. The custom resource definition refuses selectors that
// cannot be read, but an object may be older than the rule that refuses it.
func newAdvertisement(object *v1alpha1.L2Advertisement) (*advertisement, error) {
	a := &advertisement{
		name:     object.Name,
		allPools: len(object.Spec.IPAddressPools) == 0 && len(object.Spec.IPAddressPoolSelectors) == 0,
		pools:    object.Spec.IPAddressPools,
	}
	for _, i := range object.Spec.Interfaces {
		a.interfaces = append(a.interfaces, string(i))
	}
	var err error
	if a.poolSelectors, err = compile("ipAddressPoolSelectors", object.Spec.IPAddressPoolSelectors); err != nil {
		return nil, err
	}
	if a.services, err = compile("serviceSelectors", object.Spec.ServiceSelectors); err != nil {
		return nil, err
	}
	if a.nodes, err = compile("nodeSelectors", object.Spec.NodeSelectors); err != nil {
		return nil, err
	}
	return a, nil
}

func compile(field string, selectors []v1alpha1.LabelSelector) (compiled []labels.Selector, err error) {
	for i := range selectors {
		s, err := selectors[i].Selector()
		if err != nil {
			return nil, fmt.Errorf("spec.%s[%d]: %w", field, i, err)
		}
		compiled = append(compiled, s)
	}
	return compiled, nil
}

// covers tells whether an address of a pool, of a Service with these labels, is to be announced.
func (a *advertisement) covers(pool string, poolLabels, serviceLabels labels.Set) bool {
	inPool := a.allPools || slices.Contains(a.pools, pool) ||
		slices.ContainsFunc(a.poolSelectors, func(s labels.Selector) bool { return s.Matches(poolLabels) })
	return inPool && anyMatches(a.services, serviceLabels)
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

// sameVIP tells whether the election would see no difference.
func sameVIP(a, b layer2.VIP) bool {
	if a.Address != b.Address || a.Service != b.Service || !slices.Equal(a.Scopes, b.Scopes) ||
		(a.Endpoints == nil) != (b.Endpoints == nil) || len(a.Endpoints) != len(b.Endpoints) {
		return false
	}
	for name := range a.Endpoints {
		if !b.Endpoints[name] {
			return false
		}
	}
	return true
}

// addresses returns the addresses of VIPs, in order.
func addresses(vips []layer2.VIP) (list []netip.Addr) {
	for _, v := range vips {
		list = append(list, v.Address)
	}
	return list
}
