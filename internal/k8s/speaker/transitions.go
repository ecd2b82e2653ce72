package speaker

import (
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	corev1 "k8s.io/api/core/v1"
)

// tell writes events about what is new since it was last called: addresses that foreign hosts use, nodes that
// are suppressed, and nodes that are not any more. It is called at most once a second, so that what comes and
// goes within one is not told.
func (s *Status) tell(now layer2.Status) {
	for _, c := range conflictsOf(s.told, now) {
		for _, svc := range s.sharersOf(c.Address) {
			s.record(conflictEvent(s.node, c, svc))
		}
	}
	suppressed, reusable := dampingOf(s.told, now)
	for _, d := range suppressed {
		s.tellNode(d.Node, true, "NodeSuppressed", fmt.Sprintf(
			"was lost too often: it is given no addresses until %s, later if it is lost again, unless no other node may own them",
			d.Reuse.UTC().Format(time.RFC3339)))
	}
	for _, name := range reusable {
		s.tellNode(name, false, "NodeReusable", "may own addresses again: it was not lost for long enough")
	}
	s.told = now
}

// conflictsOf are the addresses that foreign hosts use now and did not before. Which host it is does not
// count: one that changes its hardware address all the time would be told of all the time.
func conflictsOf(before, now layer2.Status) (list []layer2.ConflictReport) {
	for _, c := range now.Conflicts {
		if !slices.ContainsFunc(before.Conflicts, func(b layer2.ConflictReport) bool { return b.Address == c.Address && b.Detected == c.Detected }) {
			list = append(list, c)
		}
	}
	return list
}

// conflictEvent tells a Service of a host that uses its address.
func conflictEvent(node string, c layer2.ConflictReport, svc *corev1.Service) k8s.Event {
	message := fmt.Sprintf("%s is in use by %s (seen by %s on %s)", c.Address, c.HardwareAddr, node, c.Interface)
	if c.Detected {
		message += ": it is not announced, and set aside"
	} else {
		message += " as well: clients may reach that host instead"
	}
	return k8s.Event{About: serviceReference(svc), Warning: true, Reason: "AddressConflict", Message: message}
}

// dampingOf are the nodes that are suppressed now and were not before, and the other way round.
func dampingOf(before, now layer2.Status) (suppressed []layer2.Damped, reusable []string) {
	has := func(list []layer2.Damped, name string) bool {
		return slices.ContainsFunc(list, func(d layer2.Damped) bool { return d.Node == name })
	}
	for _, d := range now.Damped {
		if !has(before.Damped, d.Node) {
			suppressed = append(suppressed, d)
		}
	}
	for _, d := range before.Damped {
		if !has(now.Damped, d.Node) {
			reusable = append(reusable, d.Node)
		}
	}
	return suppressed, reusable
}

// tellNode writes an event about a node, if this speaker is the one to do it: all of them see the same. It is
// the first of those that take part but for the node itself, which may be away.
func (s *Status) tellNode(name string, warning bool, reason, message string) {
	others := slices.DeleteFunc(slices.Clone(s.members()), func(m string) bool { return m == name })
	object, exists, _ := s.nodes.GetByKey(name)
	if len(others) == 0 || others[0] != s.node || !exists {
		return
	}
	node := object.(*corev1.Node)
	s.record(k8s.Event{
		About:   corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: node.UID},
		Warning: warning, Reason: reason, Message: message,
	})
}
