package k8s

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"
)

// BGPAdvertisement is a BGPAdvertisement as it was read: the speaker, the controller and the plugin go by the
// same rules.
type BGPAdvertisement struct {
	Name  string
	Pools PoolSelection
	// Length is that of the prefixes in which addresses are advertised, by family.
	Length    [2]int
	LocalPref uint32
	// Communities are values, well-known names and aliases, as they were written.
	Communities []string
	// Peers to advertise to, by name, sorted; nil for all.
	Peers           []string
	services, nodes []labels.Selector
}

// ReadBGPAdvertisement reads a BGPAdvertisement. The custom resource definition refuses what cannot be read, but
// an object may be older than the rule that refuses it.
func ReadBGPAdvertisement(object *v1alpha1.BGPAdvertisement) (*BGPAdvertisement, error) {
	spec := &object.Spec
	a := &BGPAdvertisement{Name: object.Name, Length: [2]int{32, 128}, LocalPref: bgp.DefaultLocalPref}
	var err error
	if a.Pools, err = selectPools(spec.IPAddressPools, spec.IPAddressPoolSelectors); err != nil {
		return nil, err
	}
	if a.services, err = CompileSelectors("serviceSelectors", spec.ServiceSelectors); err != nil {
		return nil, err
	}
	if a.nodes, err = CompileSelectors("nodeSelectors", spec.NodeSelectors); err != nil {
		return nil, err
	}
	for family, length := range [2]*int32{lb.IPv4: spec.AggregationLength, lb.IPv6: spec.AggregationLengthV6} {
		if length == nil {
			continue
		}
		if *length < 1 || int(*length) > a.Length[family] {
			return nil, fmt.Errorf("an aggregation length of %d is none that %s prefixes can have", *length, lb.Family(family))
		}
		a.Length[family] = int(*length)
	}
	if p := spec.LocalPref; p != nil {
		if *p < 0 || *p > 1<<32-1 {
			return nil, fmt.Errorf("spec.localPref: %d is none that LOCAL_PREF can have", *p)
		}
		a.LocalPref = uint32(*p)
	}
	for _, c := range spec.Communities {
		a.Communities = append(a.Communities, string(c))
	}
	if len(spec.Peers) > 0 {
		a.Peers = slices.Clone(spec.Peers)
		slices.Sort(a.Peers)
		a.Peers = slices.Compact(a.Peers)
	}
	return a, nil
}

// Covers tells whether an address of a pool, of a Service with these labels, is to be advertised.
func (a *BGPAdvertisement) Covers(pool string, poolLabels, serviceLabels labels.Set) bool {
	return a.Pools.Selects(pool, poolLabels) &&
		(len(a.services) == 0 || slices.ContainsFunc(a.services, func(s labels.Selector) bool { return s.Matches(serviceLabels) }))
}

// Allows tells whether a node with these labels is to be a next hop.
func (a *BGPAdvertisement) Allows(nodeLabels labels.Set) bool {
	return len(a.nodes) == 0 || slices.ContainsFunc(a.nodes, func(s labels.Selector) bool { return s.Matches(nodeLabels) })
}

// Attributes returns what its routes carry, and which of its communities are neither a value, nor a well-known
// name, nor an alias: they are left out.
func (a *BGPAdvertisement) Attributes(aliases Aliases) (attributes bgp.Attributes, unknown []string) {
	attributes.LocalPref = a.LocalPref
	for _, text := range a.Communities {
		if attributes.AddCommunity(aliases.value(text)) != nil {
			unknown = append(unknown, text)
		}
	}
	return attributes, unknown
}

// Prefix returns the prefix in which an address of a pool is advertised: the aggregate, if the pool has all of it;
// else the address by itself, since nobody said that the rest of it is reached here. Space is the pool's
// PoolSpace.
func (a *BGPAdvertisement) Prefix(address netip.Addr, space *netipx.IPSet) netip.Prefix {
	length := a.Length[lb.FamilyOf(address)]
	if length < address.BitLen() {
		if aggregate := netip.PrefixFrom(address, length).Masked(); space.ContainsPrefix(aggregate) {
			return aggregate
		}
	}
	return netip.PrefixFrom(address, address.BitLen())
}

// Misfit returns the first aggregate that a pool has only a part of, and tells whether there is one: the addresses
// in it are advertised each by itself.
func (a *BGPAdvertisement) Misfit(space *netipx.IPSet) (netip.Prefix, bool) {
	// Of no two ranges of a set does one begin where the other ends: so what the set has of an aggregate that is
	// cut begins or ends inside it.
	for _, r := range space.Ranges() {
		length := a.Length[lb.FamilyOf(r.From())]
		first, last := netip.PrefixFrom(r.From(), length).Masked(), netip.PrefixFrom(r.To(), length).Masked()
		switch {
		case !space.ContainsPrefix(first):
			return first, true
		case !space.ContainsPrefix(last):
			return last, true
		}
	}
	return netip.Prefix{}, false
}

// PoolSpace returns the addresses that a pool lists. Those that it excludes count as well: they are nobody
// else's.
func PoolSpace(pool lb.Pool) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, r := range pool.Ranges {
		b.AddRange(r)
	}
	set, err := b.IPSet()
	if err != nil { // of a range that is none
		return &netipx.IPSet{}
	}
	return set
}
