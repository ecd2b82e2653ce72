package picture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fairlead-lb/fairlead/internal/page"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
)

// segment is what an L2Advertisement is for.
type segment struct {
	pools    k8s.PoolSelection
	services []labels.Selector
}

// covers tells whether it is for an address of a pool, of a Service with these labels.
func (s segment) covers(pool string, poolLabels, serviceLabels labels.Set) bool {
	return s.pools.Selects(pool, poolLabels) &&
		(len(s.services) == 0 || slices.ContainsFunc(s.services, func(l labels.Selector) bool { return l.Matches(serviceLabels) }))
}

// readConfig reads the configuration anew if what it says has changed, not only its status: then everything that
// depends on it is to be looked at.
func (l *look) readConfig(changed map[thing]struct{}) {
	var advertising, peering bool
	for t := range changed {
		switch t.kind {
		case pool, l2Advertisement, bgpAdvertisement, bgpPeer:
		default:
			continue
		}
		if version := l.version(t); l.seen[t] != version {
			if l.seen[t] = version; version == "" {
				delete(l.seen, t)
			}
			peering = peering || t.kind == bgpPeer
			advertising = advertising || t.kind != bgpPeer
		}
	}
	if advertising {
		l.readPools()
		l.readAdvertisements()
		l.due.services, l.due.pools, l.due.routes = l.keys(service), l.keys(pool), true
	}
	if peering {
		l.readPeers()
		l.due.sessions, l.due.routes = l.keys(node), true
	}
}

// version tells two versions of what an object says apart; empty if the object is gone.
func (p *picture) version(t thing) string {
	object, exists, _ := p.objects[t.kind].GetByKey(t.name)
	if !exists {
		return ""
	}
	o, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	version := fmt.Sprintf("%s/%d", o.GetUID(), o.GetGeneration())
	if t.kind == pool { // advertisements select by its labels
		version += "/" + labels.Set(o.GetLabels()).String()
	}
	return version
}

func (p *picture) readPools() {
	var values []lb.Pool
	clear(p.labels)
	for _, o := range p.objects[pool].List() {
		object := o.(*v1alpha1.IPAddressPool)
		value, _ := k8s.Pool(object)
		values = append(values, value)
		p.labels[object.Name] = object.Labels
	}
	p.pools.SetPools(values)
}

func (p *picture) readAdvertisements() {
	p.segments, p.routes = nil, nil
	for _, o := range p.objects[l2Advertisement].List() {
		object := o.(*v1alpha1.L2Advertisement)
		pools, err := k8s.SelectPools(object)
		if err != nil {
			continue // its condition says so
		}
		services, err := k8s.CompileSelectors("serviceSelectors", object.Spec.ServiceSelectors)
		if err == nil {
			p.segments = append(p.segments, segment{pools, services})
		}
	}
	for _, o := range p.objects[bgpAdvertisement].List() {
		if a, err := k8s.ReadBGPAdvertisement(o.(*v1alpha1.BGPAdvertisement)); err == nil {
			p.routes = append(p.routes, a)
		}
	}
	slices.SortFunc(p.routes, func(x, y *k8s.BGPAdvertisement) int { return cmp.Compare(x.Name, y.Name) })
}

func (p *picture) readPeers() {
	p.peers = nil
	for _, o := range p.objects[bgpPeer].List() {
		if read, err := k8s.ReadBGPPeer(o.(*v1alpha1.BGPPeer)); err == nil {
			p.peers = append(p.peers, read)
		}
	}
	k8s.BGPPeersByAge(p.peers)
}

// modes are those of the advertisements that select a pool.
func (p *picture) modes(name string) (modes []string) {
	if slices.ContainsFunc(p.segments, func(s segment) bool { return s.pools.Selects(name, p.labels[name]) }) {
		modes = append(modes, page.Layer2)
	}
	if slices.ContainsFunc(p.routes, func(a *k8s.BGPAdvertisement) bool { return a.Pools.Selects(name, p.labels[name]) }) {
		modes = append(modes, page.BGP)
	}
	return modes
}

// about is what there is to say of an address of a Service with these labels.
func (p *picture) about(a netip.Addr, serviceLabels labels.Set) page.Address {
	shown := page.Address{Address: a.String()}
	if of, ok := p.pools.PoolOf(a); ok {
		shown.Pool = of
		shown.Layer2 = slices.ContainsFunc(p.segments, func(s segment) bool { return s.covers(of, p.labels[of], serviceLabels) })
		for _, r := range p.routes {
			if r.Covers(of, p.labels[of], serviceLabels) {
				shown.Routes = append(shown.Routes, r.Name)
			}
		}
	}
	p.owner(a, &shown)
	return shown
}
