package speaker

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// node is what matters of a Node.
type node struct {
	labels labels.Set
	// barred says why the node must not own addresses; empty if it may.
	barred string
	// addresses at which the node's speaker is reached, its InternalIPs.
	addresses []netip.Addr
}

func newNode(object *corev1.Node) node {
	n := node{labels: labels.Set(object.Labels), barred: barred(object)}
	for _, a := range object.Status.Addresses {
		if ip, err := lb.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			n.addresses = append(n.addresses, ip)
		}
	}
	return n
}

func (n node) equal(other node) bool {
	return maps.Equal(n.labels, other.labels) && n.barred == other.barred && slices.Equal(n.addresses, other.addresses)
}

// barred returns why a node must own no address: what its administrator or its network says.
func barred(object *corev1.Node) string {
	if _, ok := object.Labels[corev1.LabelNodeExcludeBalancers]; ok {
		return "label " + corev1.LabelNodeExcludeBalancers
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
	return &corev1.Node{
		TypeMeta:   n.TypeMeta,
		ObjectMeta: metav1Object(n),
		Status:     corev1.NodeStatus{Addresses: n.Status.Addresses, Conditions: n.Status.Conditions},
	}, nil
}
