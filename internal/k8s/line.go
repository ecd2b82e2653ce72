package k8s

import (
	"cmp"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AssignedCondition returns our condition on a Service, nil if it has none.
func AssignedCondition(svc *corev1.Service) *metav1.Condition {
	return meta.FindStatusCondition(svc.Status.Conditions, v1alpha1.ServiceConditionAssigned)
}

// poolRequested returns the pool that a Service asked for when it got what its status shows, empty for any. Ours is false if
// it is not known, since what the status shows is another load balancer's.
func poolRequested(svc *corev1.Service) (pool string, ours bool) {
	if c := meta.FindStatusCondition(svc.Status.Conditions, v1alpha1.ServiceConditionPoolRequested); c != nil {
		return c.Message, true
	}
	return "", AssignedCondition(svc) != nil
}

// ByAge sorts Services, the oldest first.
func ByAge(services []*corev1.Service) {
	slices.SortFunc(services, func(x, y *corev1.Service) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
}

// Adopting returns Services, given by age, in the order in which they adopt what their statuses show: the oldest first,
// and those whose requests cannot be followed last.
func Adopting(services []*corev1.Service) (order []*corev1.Service) {
	var last []*corev1.Service
	for _, svc := range services {
		if _, problems := Request(svc, nil); len(problems) > 0 {
			last = append(last, svc)
		} else {
			order = append(order, svc)
		}
	}
	return append(order, last...)
}

// InLine returns Services, given by age, in the order in which to decide them when all have adopted what they
// show, so that those who wait stand in line as they did in the memory of the controller before: who has an
// address goes first, since it has more to lose than one that never had any; then who waits, the longest
// first, by the time in the condition; then who is new. Of one second the oldest goes first.
func InLine(services []*corev1.Service) []*corev1.Service {
	place := func(svc *corev1.Service) (rank int, since time.Time) {
		switch c := AssignedCondition(svc); {
		case c != nil && c.Status != metav1.ConditionTrue:
			return 1, c.LastTransitionTime.Time
		case len(svc.Status.LoadBalancer.Ingress) > 0:
			return 0, since
		}
		return 2, since
	}
	line := slices.Clone(services)
	slices.SortStableFunc(line, func(x, y *corev1.Service) int {
		xr, xs := place(x)
		yr, ys := place(y)
		return cmp.Or(cmp.Compare(xr, yr), xs.Compare(ys))
	})
	return line
}
