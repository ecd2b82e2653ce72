package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// node is what matters of a Node.
type node struct {
	labels labels.Set
	// barred says why the node must not own addresses, by what the Node says of itself; empty if it may.
	barred string
	// drained is true if it is to own only what no other node may.
	drained bool
	// ready is true while the condition Ready is True.
	ready bool
	// unready is true while the condition Ready is False or Unknown, which it has been since then by the clock
	// of who wrote it.
	unready bool
	since   time.Time
	// addresses at which the node's speaker is reached, its InternalIPs.
	addresses []netip.Addr
}

// newNode reads a Node; cordoned nodes are drained if drainCordoned says so.
func newNode(object *corev1.Node, drainCordoned bool) node {
	n := node{labels: labels.Set(object.Labels)}
	if n.barred = barred(object); n.barred == "" {
		n.barred = drained(object, drainCordoned)
		n.drained = n.barred != ""
	}
	for _, c := range object.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if n.ready = c.Status == corev1.ConditionTrue; !n.ready {
			n.unready, n.since = true, c.LastTransitionTime.Time
		}
	}
	for _, a := range object.Status.Addresses {
		if ip, err := lb.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			n.addresses = append(n.addresses, ip)
		}
	}
	return n
}

func (n node) equal(other node) bool {
	return maps.Equal(n.labels, other.labels) && n.barred == other.barred && n.drained == other.drained &&
		n.ready == other.ready && n.unready == other.unready && slices.Equal(n.addresses, other.addresses)
}

// drained returns why a node is to own only what no other may, because its administrator says so.
func drained(object *corev1.Node, drainCordoned bool) string {
	if value, ok := object.Annotations[v1alpha1.AnnotationDrain]; ok && value != "false" {
		return "annotation " + v1alpha1.AnnotationDrain
	}
	if drainCordoned && object.Spec.Unschedulable {
		return "cordoned"
	}
	return ""
}

// barred returns why a node must own no address: what its administrator or its network says.
func barred(object *corev1.Node) string {
	if _, ok := object.Labels[corev1.LabelNodeExcludeBalancers]; ok {
		return "label " + corev1.LabelNodeExcludeBalancers
	}
	for _, t := range object.Spec.Taints {
		if t.Key == corev1.TaintNodeOutOfService {
			return "taint " + corev1.TaintNodeOutOfService
		}
	}
	for _, c := range object.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			return "condition NetworkUnavailable"
		}
	}
	return ""
}

// peers returns where the other nodes' speakers may be reached, in one family, sorted.
func peers(nodes map[string]node, self string, family lb.Family) (list []netip.Addr) {
	for name, n := range nodes {
		for _, a := range n.addresses {
			if name != self && lb.FamilyOf(a) == family {
				list = append(list, a)
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// trimNode takes from a Node what is not read here: as a rule its list of images, most of it.
func trimNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil // a tombstone
	}
	trimmed := k8s.TrimNode(n, func(c corev1.NodeCondition) corev1.NodeCondition {
		return corev1.NodeCondition{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}
	})
	trimmed.Status.Addresses = n.Status.Addresses
	return trimmed, nil
}
