package k8s

import (
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostRetained bounds the list in a pool's status, which has to fit into an object. What is beyond it
// is retained too, but not over a restart.
const mostRetained = 4096

// RetainedStatus writes down what a pool retains, so that a controller that starts finds it again. Of too
// many, those that wait longest from now on are written.
func RetainedStatus(list []allocator.Retained) (status []v1alpha1.RetainedAddress) {
	if len(list) > mostRetained {
		list = slices.SortedFunc(slices.Values(list), func(x, y allocator.Retained) int { return y.Until.Compare(x.Until) })[:mostRetained]
		slices.SortFunc(list, func(x, y allocator.Retained) int { return x.Address.Compare(y.Address) })
	}
	for _, r := range list {
		status = append(status, v1alpha1.RetainedAddress{
			Address: r.Address.String(), Namespace: r.Service.Namespace, Name: r.Service.Name,
			Until: metav1.NewTime(r.Until.UTC().Truncate(time.Second)), // an object has no fractions of a second
		})
	}
	return status
}

// Retained is the inverse of RetainedStatus. What cannot be read is left out. No wait is longer than the pool has
// it from now on, whatever the clock of the controller that wrote it, or the hand that did.
func Retained(pool *v1alpha1.IPAddressPool, now time.Time) (list []allocator.Retained) {
	var retention time.Duration
	if pool.Spec.Retention != nil {
		retention = pool.Spec.Retention.Duration
	}
	for _, r := range pool.Status.Retained {
		addr, err := lb.ParseAddr(r.Address)
		if err != nil {
			continue
		}
		until := r.Until.Time
		if most := now.Add(retention); until.After(most) {
			until = most
		}
		list = append(list, allocator.Retained{
			Address: addr, Service: lb.Key{Namespace: r.Namespace, Name: r.Name}, Pool: pool.Name, Until: until,
		})
	}
	return list
}
