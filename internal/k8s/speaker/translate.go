package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"sort"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// setService brings the engine in line with a Service, if anything that matters has changed.
func (s *Speaker) setService(key lb.Key) {
	var vips []layer2.VIP
	if object, exists, _ := s.services.GetStore().GetByKey(key.String()); exists {
		vips = s.vipsOf(object.(*corev1.Service))
	}
	old := s.vips[key]
	if len(vips) == 0 {
		delete(s.vips, key)
	} else {
		s.vips[key] = vips
	}
	for _, v := range old {
		if s.holder[v.Address] == key && !slices.Contains(addresses(vips), v.Address) {
			delete(s.holder, v.Address)
			s.config.Engine.Update(func(e *layer2.Elector) { e.RemoveVIP(v.Address) })
			s.handOver(v.Address)
		}
	}
	for _, v := range vips {
		if s.holder[v.Address] == key && slices.ContainsFunc(old, func(o layer2.VIP) bool { return sameVIP(o, v) }) {
			continue
		}
		s.holder[v.Address] = key
		s.config.Engine.Update(func(e *layer2.Elector) { e.SetVIP(v) })
	}
}

// handOver has the other Services looked at that have an address which one has just given up.
func (s *Speaker) handOver(address netip.Addr) {
	for _, svc := range s.servicesWith(address) {
		s.queue.Add(item{kindService, k8s.Key(svc)})
	}
}

// servicesWith returns the Services whose status shows an address.
func (s *Speaker) servicesWith(address netip.Addr) (list []*corev1.Service) {
	objects, err := s.services.GetIndexer().ByIndex(byIP, address.String())
	if err != nil {
		panic(err) // the index is made in New
	}
	for _, o := range objects {
		list = append(list, o.(*corev1.Service))
	}
	return list
}

// holds tells whether an address counts for a Service. Of several that show it (a status edited by hand) it
// counts for the oldest, for every speaker alike.
func (s *Speaker) holds(svc *corev1.Service, address netip.Addr) bool {
	for _, other := range s.servicesWith(address) {
		if order := other.CreationTimestamp.Compare(svc.CreationTimestamp.Time); k8s.Ours(other, s.config.Class) &&
			(order < 0 || (order == 0 && k8s.Key(other).Less(k8s.Key(svc)))) {
			return false
		}
	}
	return true
}

// vipsOf returns what a Service's addresses come to. An address that is in no pool is not ours to announce.
func (s *Speaker) vipsOf(svc *corev1.Service) (vips []layer2.VIP) {
	if !k8s.Ours(svc, s.config.Class) {
		return nil
	}
	key := k8s.Key(svc)
	for _, ip := range k8s.IngressIPs(svc) {
		pool, ok := s.byPool.PoolOf(ip)
		if !ok || !s.holds(svc, ip) {
			continue
		}
		v := layer2.VIP{Address: ip, Service: key}
		for name, a := range s.adverts {
			if a.covers(pool, s.poolLabels[pool], labels.Set(svc.Labels)) {
				v.Scopes = append(v.Scopes, name)
			}
		}
		sort.Strings(v.Scopes)
		if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			v.Endpoints = endpointNodes(s.slicesOf(key), lb.FamilyOf(ip))
		}
		vips = append(vips, v)
	}
	return vips
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

// setNode brings the engine in line with a Node.
func (s *Speaker) setNode(key lb.Key) {
	object, exists, _ := s.nodes.GetStore().GetByKey(key.Name)
	old, known := s.known[key.Name]
	if !exists {
		if !known {
			return
		}
		delete(s.known, key.Name)
		s.config.Engine.Update(func(e *layer2.Elector) { e.RemoveNode(key.Name) })
	} else {
		n := newNode(object.(*corev1.Node))
		if known && n.equal(old) {
			return // a heartbeat
		}
		s.known[key.Name] = n
		s.config.Engine.Update(func(e *layer2.Elector) { e.Bar(key.Name, n.barred) })
		if known && maps.Equal(n.labels, old.labels) {
			s.peersChanged(s.known)
			return
		}
	}
	for _, a := range s.adverts {
		_, now := s.known[key.Name]
		before := known && a.allows(old.labels)
		if now = now && a.allows(s.known[key.Name].labels); now != before {
			scope := a.scope(s.known)
			s.config.Engine.Update(func(e *layer2.Elector) { e.SetScope(scope) })
		}
	}
	s.peersChanged(s.known)
}

// setAdvertisement brings the engine in line with an L2Advertisement, and then looks at all Services: any
// of them may be covered now, or no longer.
func (s *Speaker) setAdvertisement(key lb.Key) {
	object, exists, _ := s.advertisements.GetStore().GetByKey(key.Name)
	if exists {
		if s.readAdvertisement(object.(*v1alpha1.L2Advertisement)) {
			s.setAllServices()
		}
		return
	}
	if _, known := s.adverts[key.Name]; known {
		delete(s.adverts, key.Name)
		s.setAllServices()
		s.config.Engine.Update(func(e *layer2.Elector) { e.RemoveScope(key.Name) })
	}
}

// readAdvertisement takes note of an advertisement. It tells whether it could be read: if not, the last good
// form stays in force.
func (s *Speaker) readAdvertisement(object *v1alpha1.L2Advertisement) bool {
	a, err := newAdvertisement(object)
	if err != nil {
		s.config.Log.Error("an advertisement cannot be read", "advertisement", object.Name, "error", err)
		return false
	}
	s.adverts[object.Name] = a
	scope := a.scope(s.known)
	s.config.Engine.Update(func(e *layer2.Elector) { e.SetScope(scope) })
	return true
}

// setPools takes note of all pools, and then looks at all Services: their addresses may be of another pool.
func (s *Speaker) setPools() {
	s.readPools()
	s.setAllServices()
}

func (s *Speaker) readPools() {
	var pools []lb.Pool
	s.poolLabels = map[string]labels.Set{}
	for _, o := range s.pools.GetStore().List() {
		object := o.(*v1alpha1.IPAddressPool)
		pool, problems := k8s.Pool(object)
		for _, p := range problems {
			s.config.Log.Error("a pool's entry cannot be read", "pool", object.Name, "error", p)
		}
		pools = append(pools, pool)
		s.poolLabels[object.Name] = labels.Set(object.Labels)
	}
	s.byPool.SetPools(pools)
}

func (s *Speaker) setAllServices() {
	for _, key := range s.services.GetStore().ListKeys() {
		if k, err := lb.ParseKey(key); err == nil {
			s.setService(k)
		}
	}
}
