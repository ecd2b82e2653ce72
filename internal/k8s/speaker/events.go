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
		if c.Claimed {
			for _, e := range s.ownerEvents(c) {
				s.config.Events.Record(e)
			}
		}
	}
}

// ownerEvents are what the Services that share an address are told of its new owner.
func (s *Speaker) ownerEvents(c layer2.Change) (events []k8s.Event) {
	reason, message := "OwnerElected", fmt.Sprintf("%s answers for %s on %s", s.config.Node, c.Address, strings.Join(c.Interfaces, ", "))
	if c.From != "" {
		reason, message = "OwnerChanged", message+", taken over from "+c.From
	}
	for _, svc := range s.sharersOf(c.Address) {
		events = append(events, k8s.Event{
			About: corev1.ObjectReference{
				APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID,
			},
			Reason:  reason,
			Message: message,
			Still:   func() bool { return s.config.Engine.Owns(c.Address) },
		})
	}
	return events
}
