package plugin

import (
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// SnapshotOf is what objects of files have of Services of type LoadBalancer, Fairlead's pools and namespaces.
func SnapshotOf(sources []migrate.Source) *Snapshot {
	s := &Snapshot{Namespaces: map[string]map[string]string{}, Time: time.Now()}
	for _, source := range sources {
		kind, _ := source.Object["kind"].(string)
		version, _ := source.Object["apiVersion"].(string)
		into := func(object any) bool {
			return runtime.DefaultUnstructuredConverter.FromUnstructured(source.Object, object) == nil
		}
		switch version + " " + kind {
		case "v1 Service":
			if svc := new(corev1.Service); into(svc) && svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
				defaultFamilies(svc)
				s.Services = append(s.Services, svc)
			}
		case "v1 Namespace":
			if n := new(corev1.Namespace); into(n) {
				s.Namespaces[n.Name] = nonNil(n.Labels)
			}
		case v1alpha1.SchemeGroupVersion.String() + " IPAddressPool":
			if p := new(v1alpha1.IPAddressPool); into(p) {
				s.Pools = append(s.Pools, p)
			}
		}
	}
	return s
}

// defaultFamilies has a Service that was never applied ask for what the API server would have it ask for: the
// families of the addresses that it has, or IPv4.
func defaultFamilies(svc *corev1.Service) {
	if svc.Namespace == "" {
		svc.Namespace = "default"
	}
	if len(svc.Spec.IPFamilies) > 0 {
		return
	}
	for _, ip := range k8s.IngressIPs(svc) {
		family := corev1.IPv4Protocol
		if lb.FamilyOf(ip) == lb.IPv6 {
			family = corev1.IPv6Protocol
		}
		if len(svc.Spec.IPFamilies) == 0 || svc.Spec.IPFamilies[0] != family && len(svc.Spec.IPFamilies) == 1 {
			svc.Spec.IPFamilies = append(svc.Spec.IPFamilies, family)
		}
	}
	switch len(svc.Spec.IPFamilies) {
	case 0:
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	case 2:
		if svc.Spec.IPFamilyPolicy == nil {
			prefer := corev1.IPFamilyPolicyPreferDualStack
			svc.Spec.IPFamilyPolicy = &prefer
		}
	}
}
