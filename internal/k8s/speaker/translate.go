package speaker

import (
	"maps"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// setNode brings the engines in line with a Node.
func (s *Speaker) setNode(key lb.Key) {
	if s.readNode(key) && key.Name == s.config.Node {
		s.nodeChanged()
	}
}

// readNode takes note of a Node, and brings the layer-2 engine in line with it. It tells whether anything has
// changed that matters.
func (s *Speaker) readNode(key lb.Key) (changed bool) {
	object, exists, _ := s.nodes.GetStore().GetByKey(key.Name)
	old, known := s.known[key.Name]
	if !exists {
		if !known {
			return false
		}
		delete(s.known, key.Name)
		delete(s.unready, key.Name)
		s.unbar(key.Name)
		s.tell(func(e *layer2.Elector) { e.RemoveNode(key.Name) })
		s.review()
	} else {
		n := newNode(object.(*corev1.Node), s.config.DrainCordoned)
		if len(n.addresses) == 0 {
			n.addresses = old.addresses // none is nobody's new address, and a session with another router ID is another session
		}
		if known && n.equal(old) {
			return false // a heartbeat
		}
		s.known[key.Name] = n
		s.unready.set(key.Name, n, !known, time.Now())
		if n.unready != old.unready || (!known && len(s.unready) > 0) {
			s.review() // how many of how many are not Ready matters for all
		} else {
			s.bar(key.Name)
		}
		if known && maps.Equal(n.labels, old.labels) {
			s.peersChanged(s.known)
			return true
		}
	}
	for _, a := range s.adverts {
		n, now := s.known[key.Name]
		before := known && a.allows(old.labels)
		if now = now && a.allows(n.labels); now != before || (now && a.weight(n.labels) != a.weight(old.labels)) {
			scope := a.scope(s.known)
			s.tell(func(e *layer2.Elector) { e.SetScope(scope) })
		}
	}
	if key.Name == s.config.Node {
		s.missInterfaces()
		s.missCapability()
	}
	s.peersChanged(s.known)
	return true
}

// setAdvertisement brings the engine in line with an L2Advertisement, and then looks at all Services: any
// of them may be covered now, or no longer.
func (s *Speaker) setAdvertisement(key lb.Key) {
	object, exists, _ := s.advertisements.GetStore().GetByKey(key.Name)
	if exists {
		advertisement := object.(*v1alpha1.L2Advertisement)
		if s.readAdvertisement(advertisement) {
			s.setAllServices()
		}
		if value := advertisement.Annotations[v1alpha1.AnnotationRebalance]; value != s.rebalanced[key.Name] {
			s.rebalanced[key.Name] = value
			if rebalanceAsked(value, time.Now()) {
				s.rebalance(key.Name)
			}
		}
		s.missInterfaces()
		s.missCapability()
		return
	}
	if _, known := s.adverts[key.Name]; known {
		delete(s.adverts, key.Name)
		delete(s.rebalanced, key.Name)
		delete(s.missed, key.Name)
		delete(s.unbound, key.Name)
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
	s.poolLabels, s.probing = map[string]labels.Set{}, map[string]bool{}
	s.routing.spaces = map[string]*netipx.IPSet{}
	for _, o := range s.pools.GetStore().List() {
		object := o.(*v1alpha1.IPAddressPool)
		pool, problems := k8s.Pool(object)
		for _, p := range problems {
			s.config.Log.Error("a pool's entry cannot be read", "pool", object.Name, "error", p)
		}
		pools = append(pools, pool)
		s.poolLabels[object.Name] = labels.Set(object.Labels)
		s.probing[object.Name] = object.Spec.ConflictDetection
		s.routing.spaces[object.Name] = k8s.PoolSpace(pool)
	}
	s.byPool.SetPools(pools)
}
