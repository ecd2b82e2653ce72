package speaker

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	corev1 "k8s.io/api/core/v1"
)

// Tell writes an event for each address that this node became the owner of. An address that it only stands in
// for is none: its owner did not change.
func (s *Speaker) Tell(changes []layer2.Change) {
	for _, c := range changes {
		if c.Claimed {
			for _, e := range s.ownerEvents(c, string(c.Cause)) {
				s.record(e)
			}
		}
	}
	s.queue.Add(item{kind: kindInterfaces}) // they may be what changed
}

// ownerEvents are what the Services that share an address are told of its new owner, and why it is that.
func (s *Speaker) ownerEvents(c layer2.Change, cause string) (events []k8s.Event) {
	reason, message := "OwnerElected", fmt.Sprintf("%s answers for %s on %s", s.config.Node, c.Address, strings.Join(c.Interfaces, ", "))
	if c.From != "" {
		reason, message = "OwnerChanged", message+", "+WhyChanged(cause, c.From, s.barredFor(c.From))
	}
	for _, svc := range s.sharersOf(c.Address) {
		events = append(events, k8s.Event{
			About:   serviceReference(svc),
			Reason:  reason,
			Message: message,
			Still:   func() bool { return s.config.Engine.Owns(c.Address) },
		})
	}
	return events
}

// WhyChanged puts into words why an address was taken over from a node; barred is what that node is barred
// for, if it is.
func WhyChanged(cause, from, barred string) string {
	switch cause {
	case "Lost":
		return fmt.Sprintf("taken over from %s, which was lost", from)
	case "Left":
		return fmt.Sprintf("taken over from %s, whose speaker is gone", from)
	case "Moved":
		if barred != "" {
			return fmt.Sprintf("moved from %s: %s", from, barred)
		}
		return fmt.Sprintf("moved from %s, which may not own it any more", from)
	case "Rebalanced":
		return fmt.Sprintf("given by %s to spread the load", from)
	case "Settled":
		return fmt.Sprintf("for which %s had answered as well", from)
	}
	return "taken over from " + from
}

func serviceReference(svc *corev1.Service) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID}
}
