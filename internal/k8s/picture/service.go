package picture

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serviceOf is a Service as the page shows it. What there is to say of an address, about says.
func serviceOf(svc *corev1.Service, about func(netip.Addr) page.Address) page.Service {
	s := page.Service{
		Namespace: svc.Namespace, Name: svc.Name, Created: millis(svc.CreationTimestamp.Time),
		Local: svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	for _, a := range k8s.IngressIPs(svc) {
		s.Addresses = append(s.Addresses, about(a))
	}
	assigned := k8s.AssignedCondition(svc)
	switch {
	case assigned != nil && assigned.Status == metav1.ConditionTrue:
		s.Status = page.Assigned
	case len(s.Addresses) > 0:
		s.Status = page.Partial
	default:
		s.Status = page.Pending
	}
	if assigned == nil {
		s.Reason, s.Message, s.Since = "Undecided", "no controller has looked at it yet", s.Created
		return s
	}
	s.Reason, s.Message, s.Since = assigned.Reason, assigned.Message, millis(assigned.LastTransitionTime.Time)
	return s
}

// millis is a time as the page has it, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func millisOf(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return millis(t.Time)
}
