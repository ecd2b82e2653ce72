package plugin

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// advertising is what is advertised over BGP. What is to be, and with which attributes, the speakers' own code says;
// which sessions are up, the speakers' statuses.
type advertising struct {
	*roster
	services map[netip.Addr][]*corev1.Service // see byAddress
	pools    *allocator.Allocator
	adverts  []*k8s.BGPAdvertisement // by name
	labels   map[string]labels.Set   // of pools
	names    map[string]string       // of communities, by their values
}

func newAdvertising(s *Snapshot) *advertising {
	v := &advertising{
		roster: newRoster(s), services: s.byAddress(), pools: allocator.New(), labels: map[string]labels.Set{}, names: map[string]string{},
	}
	v.pools.SetPools(poolValues(s.Pools))
	for _, p := range s.Pools {
		v.labels[p.Name] = labels.Set(p.Labels)
	}
	for _, object := range s.BGPAdvertisements {
		if a, err := k8s.ReadBGPAdvertisement(object); err == nil {
			v.adverts = append(v.adverts, a)
		}
	}
	slices.SortFunc(v.adverts, func(x, y *k8s.BGPAdvertisement) int { return cmp.Compare(x.Name, y.Name) })
	aliases, _ := k8s.ReadCommunities(s.Communities)
	for _, alias := range slices.Backward(slices.Sorted(maps.Keys(aliases))) { // the first name by order stays
		var a bgp.Attributes
		if a.AddCommunity(aliases[alias]) == nil {
			for _, value := range values(a) {
				v.names[value] = alias
			}
		}
	}
	return v
}

// values are communities as they are written.
func values(a bgp.Attributes) (texts []string) {
	for _, c := range a.Communities {
		texts = append(texts, c.String())
	}
	for _, c := range a.LargeCommunities {
		texts = append(texts, c.String())
	}
	return texts
}

// covering are the names of the BGPAdvertisements that are for an address, on whatever nodes.
func (v *advertising) covering(a netip.Addr) (names []string) {
	pool, ok := v.pools.PoolOf(a)
	if !ok {
		return nil
	}
	for _, x := range v.adverts {
		if slices.ContainsFunc(v.services[a], func(svc *corev1.Service) bool {
			return x.Covers(pool, v.labels[pool], labels.Set(svc.Labels))
		}) {
			names = append(names, x.Name)
		}
	}
	return names
}

// widest is the widest prefix that an address may be advertised in.
func (v *advertising) widest(a netip.Addr) netip.Prefix {
	length := a.BitLen()
	for _, x := range v.adverts {
		length = min(length, x.Length[lb.FamilyOf(a)])
	}
	return netip.PrefixFrom(a, length).Masked()
}

// views are what the speakers' code makes of the objects for nodes: of the Services, those that may have a say in how
// these addresses are advertised.
func (v *advertising) views(nodes []string, addresses []netip.Addr) map[string]speaker.BGPView {
	near := map[netip.Prefix]bool{}
	for _, a := range addresses {
		near[v.widest(a)] = true
	}
	s := v.s
	services := slices.DeleteFunc(slices.Clone(s.Services), func(svc *corev1.Service) bool {
		return !slices.ContainsFunc(k8s.IngressIPs(svc), func(a netip.Addr) bool { return near[v.widest(a)] })
	})
	return speaker.Advertised(s.Class, speaker.Objects{
		Nodes: s.Nodes, Pools: s.Pools, Advertisements: s.Advertisements, Services: services, Slices: s.Slices,
		Peers: s.Peers, BGPAdvertisements: s.BGPAdvertisements, Profiles: s.Profiles, Communities: s.Communities,
	}, nodes...)
}
