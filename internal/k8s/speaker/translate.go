package speaker

import (
	"maps"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// setNode brings the engine in line with a Node.
func (s *Speaker) setNode(key lb.Key) {
	object, exists, _ := s.nodes.GetStore().GetByKey(key.Name)
	old, known := s.known[key.Name]
	if !exists {
		if !known {
			return
		}
		delete(s.known, key.Name)
		s.tell(func(e *layer2.Elector) { e.RemoveNode(key.Name) })
	} else {
		n := newNode(object.(*corev1.Node))
		if known && n.equal(old) {
			return // a heartbeat
		}
		s.known[key.Name] = n
		s.tell(func(e *layer2.Elector) { e.Bar(key.Name, n.barred) })
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
			s.tell(func(e *layer2.Elector) { e.SetScope(scope) })
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
		s.tell(func(e *layer2.Elector) { e.RemoveScope(key.Name) })
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
	s.tell(func(e *layer2.Elector) { e.SetScope(scope) })
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
