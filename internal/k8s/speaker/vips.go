package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"sort"

	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// setService brings the engine in line with a Service: with the addresses that it shows or did show. What
// other Services show is not looked at, unless they show one of these too.
func (s *Speaker) setService(key lb.Key) {
	before := s.shown[key]
	now := s.readService(key)
	for _, address := range sorted(slices.Concat(before, now)) {
		s.setAddress(address)
	}
}

// setAllServices brings the engine in line with all Services, each address once however many share it.
func (s *Speaker) setAllServices() {
	all := slices.Collect(maps.Keys(s.vips))
	for _, text := range s.services.GetStore().ListKeys() {
		if key, err := lb.ParseKey(text); err == nil {
			all = append(all, s.readService(key)...)
		}
	}
	for _, address := range sorted(all) {
		s.setAddress(address)
	}
}

// readService takes note of the addresses that a Service shows, and returns them.
func (s *Speaker) readService(key lb.Key) (addresses []netip.Addr) {
	if object, exists, _ := s.services.GetStore().GetByKey(key.String()); exists {
		addresses = k8s.IngressIPs(object.(*corev1.Service))
	}
	if len(addresses) == 0 {
		delete(s.shown, key)
	} else {
		s.shown[key] = addresses
	}
	return addresses
}

// setAddress brings the engines in line with an address, if anything that matters has changed.
func (s *Speaker) setAddress(address netip.Addr) {
	h, shown := s.holdingOf(address)
	before, known := s.vips[address]
	var now layer2.VIP
	var origins []bgp.Origin
	if shown {
		now = s.vipOf(h)
		origins = originsOf(h, now, s.config.Node, s.routing.adverts)
	}
	switch {
	case shown && known && sameVIP(before, now):
	case shown:
		s.vips[address] = now
		s.tell(func(e *layer2.Elector) { e.SetVIP(now) })
	case known:
		delete(s.vips, address)
		s.tell(func(e *layer2.Elector) { e.RemoveVIP(address) })
	}
	s.setOrigins(address, origins)
}

// holdingOf returns what an address is. One that is in no pool, or that no Service of ours shows, is not ours to
// announce.
func (s *Speaker) holdingOf(address netip.Addr) (h holding, ok bool) {
	pool, ok := s.byPool.PoolOf(address)
	if !ok {
		return holding{}, false
	}
	h = holding{address: address, pool: pool, labels: s.poolLabels[pool], space: s.routing.spaces[pool], sharers: s.sharersOf(address)}
	return h, len(h.sharers) > 0
}

// vipOf returns what an address comes to on layer 2.
//
// It is announced if any of those that share it is to be. The nodes with endpoints are those of the oldest:
// what shares has the same Pods, but a slice of each Service tells of them, and these change one after
// another. To wait until all agree would leave the address without an owner in between.
func (s *Speaker) vipOf(h holding) layer2.VIP {
	oldest := h.sharers[0]
	v := layer2.VIP{Address: h.address, Service: k8s.Key(oldest), Probe: s.probing[h.pool], Inherited: k8s.Inherited(oldest)}
	for name, a := range s.adverts {
		if slices.ContainsFunc(h.sharers, func(svc *corev1.Service) bool { return a.covers(h.pool, h.labels, labels.Set(svc.Labels)) }) {
			v.Scopes = append(v.Scopes, name)
		}
	}
	sort.Strings(v.Scopes)
	if oldest.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		v.Endpoints = endpointNodes(s.slicesOf(v.Service), lb.FamilyOf(h.address))
	}
	return v
}

// sharersOf returns the Services that an address counts for: the oldest of ours that show it, and after it
// those with the same sharing key, by age. Others that show it (a status edited by hand) do not count, for
// every speaker alike. It is safe for concurrent use.
func (s *Speaker) sharersOf(address netip.Addr) []*corev1.Service {
	objects, err := s.services.GetIndexer().ByIndex(byIP, address.String())
	if err != nil {
		panic(err) // the index is made in New
	}
	var list []*corev1.Service
	for _, o := range objects {
		if svc := o.(*corev1.Service); k8s.Ours(svc, s.config.Class) {
			list = append(list, svc)
		}
	}
	if len(list) < 2 {
		return list
	}
	slices.SortFunc(list, func(x, y *corev1.Service) int {
		if order := x.CreationTimestamp.Compare(y.CreationTimestamp.Time); order != 0 {
			return order
		}
		if k8s.Key(x).Less(k8s.Key(y)) {
			return -1
		}
		return 1 // no two have one key
	})
	key := k8s.SharingKey(list[0])
	others := slices.DeleteFunc(list[1:], func(svc *corev1.Service) bool { return key == "" || k8s.SharingKey(svc) != key })
	return list[:1+len(others)]
}

func (s *Speaker) slicesOf(key lb.Key) (list []*discoveryv1.EndpointSlice) {
	objects, err := s.slices.GetIndexer().ByIndex(byService, key.String())
	if err != nil {
		panic(err) // the index is made in New
	}
	for _, o := range objects {
		list = append(list, o.(*discoveryv1.EndpointSlice))
	}
	return list
}

// sameVIP tells whether the election would see no difference.
func sameVIP(a, b layer2.VIP) bool {
	return a.Address == b.Address && a.Service == b.Service && a.Probe == b.Probe && a.Inherited == b.Inherited && slices.Equal(a.Scopes, b.Scopes) &&
		(a.Endpoints == nil) == (b.Endpoints == nil) && maps.Equal(a.Endpoints, b.Endpoints)
}

// sorted returns addresses in order, each once. The engine takes them up in the order in which it is told of
// them, and the same order everywhere makes for fewer differences of opinion.
func sorted(addresses []netip.Addr) []netip.Addr {
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses)
}
