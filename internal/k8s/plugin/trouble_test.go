package plugin

import (
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A name with a typo is an error, and no empty list; what may not be read is not held to be absent.
func TestAbsent(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}
	speaker := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	whole := &Snapshot{Nodes: []*corev1.Node{node}, Speakers: []*v1alpha1.Speaker{speaker}, Services: []*corev1.Service{svc}}
	tests := []struct {
		name     string
		snapshot *Snapshot
		node     string
		services []lb.Key
		want     string
	}{
		{"nothing is named", whole, "", nil, ""},
		{"all that is named is there", whole, "node1", []lb.Key{{Namespace: "shop", Name: "web"}}, ""},
		{"a node that is gone has its Speaker still", whole, "gone", nil, ""},
		{"there is no such node", whole, "nod1", nil, "there is no Node nod1; kubectl get nodes lists those that there are"},
		{"there is no such Service", whole, "", []lb.Key{{Namespace: "default", Name: "web"}},
			"there is no Service default/web; kubectl fairlead services -A lists those that there are"},
		{"what could not be read may be there", &Snapshot{Unread: []string{"Services", "Nodes"}}, "node1", []lb.Key{{Namespace: "shop", Name: "web"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.snapshot.Absent(tt.node, tt.services); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
