package k8s

import (
	"bytes"
	"slices"

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

// writesIngress tells whether somebody else than the controller has written status.loadBalancer.ingress.
func writesIngress(m metav1.ManagedFieldsEntry) bool {
	return m.Manager != ControllerName && m.Subresource == "status" && m.FieldsV1 != nil && bytes.Contains(m.FieldsV1.Raw, []byte(`"f:ingress"`))
}
