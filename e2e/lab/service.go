package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// BackedService is a dual-stack Service of type LoadBalancer in the namespace default, whose port 80 is the
// BackendPort of its endpoints, over TCP and UDP. The caller may edit it and then Expose it.
func BackedService(name string) *corev1.Service {
	target := intstr.FromInt32(BackendPort)
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Annotations: map[string]string{}, Labels: map[string]string{"app": name}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false),
			IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyRequireDualStack),
			Ports: []corev1.ServicePort{
				{Name: "tcp", Port: 80, TargetPort: target, Protocol: corev1.ProtocolTCP},
				{Name: "udp", Port: 80, TargetPort: target, Protocol: corev1.ProtocolUDP},
			},
		},
	}
}

// Expose makes a Service without a selector and has these hosts be its endpoints, unless both are there. Unlike Pods
// they need no node: see Serve.
func (l *Lab) Expose(ctx context.Context, s *corev1.Service, hosts ...*Host) error {
	made, err := l.Kubernetes.CoreV1().Services(s.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the Service %s: %w", s.Name, err)
	}
	for family, addressOf := range map[discoveryv1.AddressType]func(*Host) netip.Addr{
		discoveryv1.AddressTypeIPv4: func(h *Host) netip.Addr { return h.V4 },
		discoveryv1.AddressTypeIPv6: func(h *Host) netip.Addr { return h.V6 },
	} {
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Name:   s.Name + "-" + strings.ToLower(string(family)),
				Labels: map[string]string{discoveryv1.LabelServiceName: s.Name, discoveryv1.LabelManagedBy: "lab"},
			},
			AddressType: family,
		}
		if err == nil { // it goes with its Service
			slice.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: made.Name, UID: made.UID}}
		}
		for _, h := range hosts {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{addressOf(h).String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			})
		}
		for _, p := range s.Spec.Ports {
			slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{
				Name: ptr.To(p.Name), Port: ptr.To(p.TargetPort.IntVal), Protocol: ptr.To(p.Protocol),
			})
		}
		_, err := l.Kubernetes.DiscoveryV1().EndpointSlices(s.Namespace).Create(ctx, slice, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making the endpoints of the Service %s: %w", s.Name, err)
		}
	}
	return nil
}
