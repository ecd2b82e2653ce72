package speaker

import (
	"path"
	"slices"
	"time"

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
	preferred  []preference
	interfaces []string
	bind       bool
}

// preference is a weight for the nodes that a selector matches.
type preference struct {
	weight int32
	nodes  labels.Selector
}

// newAdvertisement compiles an L2Advertisement. The custom resource definition refuses selectors that
// cannot be read, but an object may be older than the rule that refuses it.
func newAdvertisement(object *v1alpha1.L2Advertisement) (*advertisement, error) {
	a := &advertisement{name: object.Name, bind: object.Spec.BindAddress}
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
	var preferred []v1alpha1.LabelSelector
	for _, p := range object.Spec.PreferredNodeSelectors {
		preferred = append(preferred, p.Preference)
	}
	compiled, err := k8s.CompileSelectors("preferredNodeSelectors", preferred)
	if err != nil {
		return nil, err
	}
	for i, p := range object.Spec.PreferredNodeSelectors {
		a.preferred = append(a.preferred, preference{p.Weight, compiled[i]})
	}
	return a, nil
}

// covers tells whether an address of a pool, of a Service with these labels, is to be announced.
func (a *advertisement) covers(pool string, poolLabels, serviceLabels labels.Set) bool {
	return a.pools.Selects(pool, poolLabels) && anyMatches(a.services, serviceLabels)
}

// allows tells whether a node with these labels may announce.
func (a *advertisement) allows(nodeLabels labels.Set) bool { return anyMatches(a.nodes, nodeLabels) }

// weight is how much a node with these labels is preferred: the sum of the preferences that match it.
func (a *advertisement) weight(nodeLabels labels.Set) (sum int32) {
	for _, p := range a.preferred {
		if p.nodes.Matches(nodeLabels) {
			sum += p.weight
		}
	}
	return sum
}

// anyMatches tells whether one of selectors matches, or there are none.
func anyMatches(selectors []labels.Selector, set labels.Set) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(set) })
}

// scope is the advertisement as the election sees it.
func (a *advertisement) scope(nodes map[string]node) layer2.Scope {
	s := layer2.Scope{Name: a.name, Nodes: map[string]bool{}, Weights: map[string]int32{}, Interfaces: a.interfaces, Bind: a.bind}
	for name, n := range nodes {
		if !a.allows(n.labels) {
			continue
		}
		s.Nodes[name] = true
		if weight := a.weight(n.labels); weight != 0 {
			s.Weights[name] = weight
		}
	}
	return s
}

// reaches tells whether one of a node's interfaces is among those that the advertisement names, if it names
// any.
func (a *advertisement) reaches(links []layer2.Link) bool {
	return len(a.interfaces) == 0 || slices.ContainsFunc(links, func(l layer2.Link) bool {
		return slices.ContainsFunc(a.interfaces, func(glob string) bool {
			ok, err := path.Match(glob, l.Name)
			return ok && err == nil
		})
	})
}

// rebalanceWithin is how old a request to rebalance may be, or how far ahead the clock of who asked. One that
// becomes known later, because the API server was away, is not what anybody waits for any more.
const rebalanceWithin = 10 * time.Minute

// rebalanceAsked tells whether the annotation asks for a rebalance now.
func rebalanceAsked(value string, now time.Time) bool {
	at, err := time.Parse(time.RFC3339, value)
	return err == nil && now.Sub(at).Abs() < rebalanceWithin
}
