package speaker

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// setRoutes brings the engine in line with a BGPAdvertisement, and then looks at all Services: any of them may be
// covered now, or no longer.
func (s *Speaker) setRoutes(key lb.Key) {
	object, exists, _ := s.routing.advertisements.GetStore().GetByKey(key.Name)
	if exists && !s.readRoutes(object.(*v1alpha1.BGPAdvertisement)) {
		return
	}
	if !exists {
		s.routing.adverts = slices.DeleteFunc(s.routing.adverts, func(a *routeAdvert) bool { return a.Name == key.Name })
	}
	s.setAllServices()
}

// readRoutes takes note of an advertisement. It tells whether it could be read: if not, the last good form stays
// in force.
func (s *Speaker) readRoutes(object *v1alpha1.BGPAdvertisement) bool {
	read, err := k8s.ReadBGPAdvertisement(object)
	if err != nil {
		s.config.Log.Error("an advertisement cannot be read", "advertisement", object.Name, "error", err)
		return false
	}
	r := s.routing
	a := &routeAdvert{BGPAdvertisement: read}
	a.attributes, _ = read.Attributes(r.aliases) // the controller tells of those that there are not
	n, known := s.known[s.config.Node]
	a.here = known && a.Allows(n.labels)
	i, found := slices.BinarySearchFunc(r.adverts, a.Name, func(x *routeAdvert, name string) int { return strings.Compare(x.Name, name) })
	if found {
		r.adverts[i] = a
	} else {
		r.adverts = slices.Insert(r.adverts, i, a)
	}
	return true
}

// setCommunities takes note of all Communities. It looks at the Services if what is advertised differs.
func (s *Speaker) setCommunities() {
	s.readCommunities()
	changed := false
	for _, a := range s.routing.adverts {
		attributes, _ := a.Attributes(s.routing.aliases)
		changed = changed || !attributes.Equal(a.attributes)
		a.attributes = attributes
	}
	if changed {
		s.setAllServices()
	}
}

func (s *Speaker) readCommunities() {
	var objects []*v1alpha1.Community
	for _, o := range s.routing.communities.GetStore().List() {
		objects = append(objects, o.(*v1alpha1.Community))
	}
	s.routing.aliases, _ = k8s.ReadCommunities(objects)
}

// setOrigins tells the engine why an address is advertised, if that has changed.
func (s *Speaker) setOrigins(address netip.Addr, now []bgp.Origin) {
	r := s.routing
	before := r.origins[address]
	if slices.EqualFunc(before, now, sameOrigin) {
		return
	}
	if len(now) == 0 {
		delete(r.origins, address)
	} else {
		r.origins[address] = now
	}
	r.engine.SetOrigins(address, now)
}
