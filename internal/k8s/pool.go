package k8s

import (
	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Pool converts an IPAddressPool. The custom resource definition refuses ranges that cannot be read, but
// an object may be older than the rule that refuses it: such entries are returned as problems in words,
// and the others count.
func Pool(object *v1alpha1.IPAddressPool) (pool lb.Pool, problems []string) {
	pool = lb.Pool{Name: object.Name, Created: object.CreationTimestamp.Time}
	for _, entry := range object.Spec.Addresses {
		r, err := lb.ParseRange(string(entry))
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		pool.Ranges = append(pool.Ranges, r)
	}
	return pool, problems
}
