package speaker

import (
	"github.com/fairlead-lb/fairlead/internal/lb"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metav1Object returns the metadata that identify an object and that selectors look at.
func metav1Object(o metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), Labels: o.GetLabels(),
	}
}

// endpointNodes returns the nodes on which kube-proxy would serve a Service with externalTrafficPolicy:
// Local, in one address family: those with a ready endpoint. Where there is none anywhere, those with an
// endpoint that still serves while it terminates, as kube-proxy falls back to them.
func endpointNodes(slices []*discoveryv1.EndpointSlice, family lb.Family) map[string]bool {
	ready, serving := map[string]bool{}, map[string]bool{}
	for _, s := range slices {
		if string(s.AddressType) != family.String() {
			continue
		}
		for _, e := range s.Endpoints {
			if e.NodeName == nil {
				continue
			}
			// A condition that is not set is to be taken as true, terminating as false (EndpointConditions).
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready[*e.NodeName] = true
			} else if (e.Conditions.Serving == nil || *e.Conditions.Serving) && e.Conditions.Terminating != nil && *e.Conditions.Terminating {
				serving[*e.NodeName] = true
			}
		}
	}
	if len(ready) == 0 {
		return serving
	}
	return ready
}

// trimSlice keeps of an EndpointSlice where its endpoints are and how they are: their addresses, which are
// most of it, are kube-proxy's business.
func trimSlice(object any) (any, error) {
	s, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return object, nil // a tombstone
	}
	trimmed := &discoveryv1.EndpointSlice{
		TypeMeta: s.TypeMeta, ObjectMeta: metav1Object(s), AddressType: s.AddressType,
		Endpoints: make([]discoveryv1.Endpoint, 0, len(s.Endpoints)),
	}
	trimmed.Labels = map[string]string{discoveryv1.LabelServiceName: s.Labels[discoveryv1.LabelServiceName]}
	for _, e := range s.Endpoints {
		trimmed.Endpoints = append(trimmed.Endpoints, discoveryv1.Endpoint{NodeName: e.NodeName, Conditions: e.Conditions})
	}
	return trimmed, nil
}
