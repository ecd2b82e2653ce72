package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// With externalTrafficPolicy Local a node is a next hop while it has a ready endpoint. One whose endpoints all terminate
// leaves at once, and they drain; where all of all nodes do, they serve on, as kube-proxy does.
func TestLocal(t *testing.T) {
	ctx, w := start(t, time.Minute)
	r := w.routers[lab.FRR]
	const name = "local"
	prefixes := w.service(ctx, t, name)
	t.Cleanup(func() { w.removeService(context.WithoutCancel(ctx), t, name) })
	s, err := w.Kubernetes.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	if _, err := w.Kubernetes.CoreV1().Services(namespace).Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.everything(ctx, t, r, "")
	ready := discoveryv1.EndpointConditions{Ready: ptr.To(true)}
	terminating := discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
	for _, step := range []struct {
		name      string
		endpoints map[int]discoveryv1.EndpointConditions // by number of the node
		hops      []int
	}{
		{"two nodes have one", map[int]discoveryv1.EndpointConditions{1: ready, 2: ready}, []int{1, 2}},
		{"that of one terminates", map[int]discoveryv1.EndpointConditions{1: terminating, 2: ready}, []int{2}},
		{"both do", map[int]discoveryv1.EndpointConditions{1: terminating, 2: terminating}, []int{1, 2}},
		{"a third node has a ready one", map[int]discoveryv1.EndpointConditions{1: terminating, 2: terminating, 3: ready}, []int{3}},
		{"nobody has one", nil, nil},
		{"one has one again", map[int]discoveryv1.EndpointConditions{3: ready}, []int{3}},
	} {
		for _, slice := range []string{name + "-ipv4", name + "-ipv6"} {
			client := w.Kubernetes.DiscoveryV1().EndpointSlices(namespace)
			object, err := client.Get(ctx, slice, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			object.Endpoints = nil
			for number, conditions := range step.endpoints {
				node := w.Node(number)
				address := node.V4
				if object.AddressType == discoveryv1.AddressTypeIPv6 {
					address = node.V6
				}
				object.Endpoints = append(object.Endpoints, discoveryv1.Endpoint{
					Addresses: []string{address.String()}, NodeName: ptr.To(node.Name), Conditions: conditions,
				})
			}
			if _, err := client.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range prefixes {
			var want []netip.Addr
			for _, number := range step.hops {
				want = append(want, hop(w.Node(number), p))
			}
			measure.Eventually(ctx, t, fmt.Sprintf("%s: next hops %v", step.name, want), 5*time.Second, func() error {
				got, err := r.NextHops(p)
				slices.SortFunc(got, netip.Addr.Compare)
				if err == nil && !slices.Equal(got, want) {
					err = fmt.Errorf("they are %v", got)
				}
				return err
			})
		}
	}
}
