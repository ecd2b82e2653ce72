package picture

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeOf is a node as the page shows it. Object is nil if the cluster has no such node any more, speaker if none has
// ever run there. Suppressing are the speakers that suppress the node.
func nodeOf(name string, object *corev1.Node, speaker *v1alpha1.Speaker, suppressing map[string]v1alpha1.SuppressedNode) page.Node {
	n := page.Node{Name: name, Why: "the cluster has no such node any more", Suppressed: suppressionOf(suppressing)}
	if object != nil {
		n.Ready, n.Why = readiness(object)
		n.Holds = holdsOf(object)
	}
	n.Speaker, n.SpeakerWhy = speakerState(speaker)
	if speaker == nil {
		return n
	}
	n.Version = speaker.Status.Version
	if g := speaker.Status.Gossip; g != nil {
		n.Members = int(g.Members)
	}
	if l2 := speaker.Status.Layer2; l2 != nil {
		n.Owned, n.StandingIn, n.Listed = int(l2.Owned), int(l2.StandingIn), len(l2.Addresses)
	}
	return n
}

func readiness(object *corev1.Node) (ready bool, why string) {
	for _, c := range object.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			return true, ""
		}
		return false, cmp.Or(c.Message, c.Reason, "its condition Ready is "+string(c.Status))
	}
	return false, "it has not said yet whether it is ready"
}

// holdsOf are what keeps a node from owning addresses. The speakers go by the same; see internal/k8s/speaker.
func holdsOf(object *corev1.Node) (holds []page.Hold) {
	add := func(kind, why string) { holds = append(holds, page.Hold{Kind: kind, Why: why}) }
	if value, ok := object.Annotations[v1alpha1.AnnotationDrain]; ok && value != "false" {
		add(page.Draining, "annotation "+v1alpha1.AnnotationDrain)
	}
	if _, ok := object.Labels[corev1.LabelNodeExcludeBalancers]; ok {
		add(page.Excluded, "label "+corev1.LabelNodeExcludeBalancers)
	}
	if slices.ContainsFunc(object.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService }) {
		add(page.OutOfService, "taint "+corev1.TaintNodeOutOfService)
	}
	for _, c := range object.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			add(page.NetworkUnavailable, cmp.Or(c.Message, "condition NetworkUnavailable"))
		}
	}
	if object.Spec.Unschedulable {
		add(page.Cordoned, "cordoned: this matters if the speakers run with --drain-cordoned")
	}
	return holds
}

// speakerState is how a node's speaker is, and why it is not as it should be.
func speakerState(speaker *v1alpha1.Speaker) (state, why string) {
	if speaker == nil {
		return page.None, "no speaker has run on this node"
	}
	c := meta.FindStatusCondition(speaker.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case c == nil:
		return page.Starting, "it has not said yet whether it is ready"
	case c.Status == metav1.ConditionTrue:
		return page.Running, ""
	}
	state, known := map[string]string{"Stopped": page.Stopped, "Lost": page.Lost, "Alone": page.Alone}[c.Reason]
	if !known {
		state = page.Starting
	}
	return state, c.Message
}

// suppressionOf is what speakers say of a node: the latest end and the highest penalty.
func suppressionOf(suppressing map[string]v1alpha1.SuppressedNode) *page.Suppression {
	if len(suppressing) == 0 {
		return nil
	}
	s := &page.Suppression{By: slices.Sorted(maps.Keys(suppressing))}
	for _, x := range suppressing {
		s.Until, s.Penalty = max(s.Until, millis(x.ReuseTime.Time)), max(s.Penalty, int(x.Penalty))
	}
	return s
}
