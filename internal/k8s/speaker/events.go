package speaker

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	corev1 "k8s.io/api/core/v1"
)

// Tell writes an event for each address that this node became the owner of.
func (s *Speaker) Tell(changes []layer2.Change) {
	for _, c := range changes {
		if !c.Claimed {
			continue
		}
		object, exists, _ := s.services.GetStore().GetByKey(c.Service.String())
		if !exists {
			continue
		}
		svc := object.(*corev1.Service)
		e := k8s.Event{
			About: corev1.ObjectReference{
				APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID,
			},
			Reason:  "OwnerElected",
			Message: fmt.Sprintf("%s answers for %s on %s", s.config.Node, c.Address, strings.Join(c.Interfaces, ", ")),
		}
		address := c.Address
		e.Still = func() bool { return s.config.Engine.Owns(address) }
		if c.From != "" {
			e.Reason = "OwnerChanged"
			e.Message += ", taken over from " + c.From
		}
		s.config.Events.Record(e)
	}
}
