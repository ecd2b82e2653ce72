package k8s

import (
	"bytes"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ControllerName is what the API server knows the controller by, as the author of what it writes.
const ControllerName = "fairlead-controller"

// Inherited tells whether another system has written the addresses in a Service's status, which may answer for them
// still. The API server notes for each field who changed it last; of that Trim keeps what is read here.
func Inherited(svc *corev1.Service) bool {
	return slices.ContainsFunc(svc.ManagedFields, writesIngress)
}

// TrimAuthors takes from a Service who wrote what of it, but for what Inherited reads.
func TrimAuthors(svc *corev1.Service) {
	i := slices.IndexFunc(svc.ManagedFields, writesIngress)
	if i < 0 {
		svc.ManagedFields = nil
		return
	}
	svc.ManagedFields = []metav1.ManagedFieldsEntry{svc.ManagedFields[i]}
}

// Given tells whether the addresses in a Service's status are what Fairlead gave it. Another's are not, nor those that
// no pool held when Fairlead came upon them.
func Given(svc *corev1.Service) bool {
	c := AssignedCondition(svc)
	return c != nil && c.Reason != string(allocator.ReasonNotAdopted) && !Inherited(svc)
}

// LeftBehind returns the Services that were left behind, in the order in which they adopt what they show.
func LeftBehind(services []*corev1.Service, class string) []*corev1.Service {
	left := slices.DeleteFunc(slices.Clone(services), func(svc *corev1.Service) bool { return !WasLeftBehind(svc, class) })
	ByAge(left)
	return Adopting(left)
}

// WasLeftBehind tells whether a Service that is not ours shows addresses that Fairlead gave it: it was ours before
// --load-balancer-class was changed, and may be again.
func WasLeftBehind(svc *corev1.Service, class string) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && !Ours(svc, class) && len(svc.Status.LoadBalancer.Ingress) > 0 && Given(svc)
}

// writesIngress tells whether somebody else than the controller has written status.loadBalancer.ingress.
func writesIngress(m metav1.ManagedFieldsEntry) bool {
	return m.Manager != ControllerName && m.Subresource == "status" && m.FieldsV1 != nil && bytes.Contains(m.FieldsV1.Raw, []byte(`"f:ingress"`))
}
