package speaker

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
)

// missInterfaces tells of the advertisements that name interfaces and select this node, which has none of
// them: once for each generation of an advertisement, and not before the interfaces are known.
func (s *Speaker) missInterfaces() {
	links := s.links()
	if len(links) == 0 {
		return
	}
	for name, a := range s.adverts {
		if a.reaches(links) {
			continue
		}
		s.miss(name, a, s.missed, "NoInterface", fmt.Sprintf("node %s has no interface that matches spec.interfaces, %s: it answers for none of these addresses",
			s.config.Node, k8s.Shorten(strings.Join(a.interfaces, ", "))))
	}
}

// missCapability tells of the advertisements that have addresses put on this node's interfaces, where that is not allowed.
func (s *Speaker) missCapability() {
	if !s.config.CannotBind {
		return
	}
	for name, a := range s.adverts {
		if !a.bind {
			continue
		}
		s.miss(name, a, s.unbound, "NoCapability", fmt.Sprintf("node %s cannot have these addresses on its interfaces: its speaker is without the capability NET_ADMIN; "+
			"install with speaker.bindAddress=true (chart), or add it to the DaemonSet's securityContext; it answers for them all the same", s.config.Node))
	}
}

// miss tells of what an advertisement that selects this node lacks here, once for each generation of it.
func (s *Speaker) miss(name string, a *advertisement, told map[string]int64, reason, message string) {
	n, known := s.known[s.config.Node]
	object, exists, _ := s.advertisements.GetStore().GetByKey(name)
	if !known || !exists || !a.allows(n.labels) {
		return
	}
	o := object.(*v1alpha1.L2Advertisement)
	if generation, ok := told[name]; ok && generation == o.Generation {
		return
	}
	told[name] = o.Generation
	s.config.Log.Warn(message, "advertisement", name)
	s.record(k8s.Event{
		About: corev1.ObjectReference{
			APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "L2Advertisement", Name: name, UID: o.UID, ResourceVersion: o.ResourceVersion,
		},
		Warning: true, Reason: reason, Message: message,
	})
}
