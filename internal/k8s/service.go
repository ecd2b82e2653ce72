package k8s

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// DefaultClass is the spec.loadBalancerClass that names Fairlead.
const DefaultClass = "fairlead.dev/fairlead"

// ReasonUnknownFamily refuses a family of spec.ipFamilies that is neither IPv4 nor IPv6.
const ReasonUnknownFamily allocator.Reason = "UnknownFamily"

// Key names an object.
func Key(o interface {
	GetNamespace() string
	GetName() string
}) lb.Key {
	return lb.Key{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Ours tells whether a Service is for us to serve. Class is --load-balancer-class: empty stands for
// Services without a class and those of DefaultClass.
func Ours(svc *corev1.Service, class string) bool {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	of := svc.Spec.LoadBalancerClass
	if class == "" {
		return of == nil || *of == DefaultClass
	}
	return of != nil && *of == class
}

// IngressIPs returns the addresses in a Service's status.
func IngressIPs(svc *corev1.Service) []netip.Addr {
	var ips []netip.Addr
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if ip, err := lb.ParseAddr(ingress.IP); err == nil {
			ips = append(ips, ip)
		}
	}
	return ips
}

// Request says what a Service asks for. NamespaceLabels are those of its namespace. If there are problems,
// the rest of the request is not to be followed: the Service keeps what it has until they are resolved.
func Request(svc *corev1.Service, namespaceLabels map[string]string) (allocator.Request, []allocator.Refusal) {
	r := allocator.Request{Service: Key(svc), Labels: svc.Labels, NamespaceLabels: namespaceLabels}
	for _, ip := range IngressIPs(svc) {
		if !slices.Contains(r.Current, ip) {
			r.Current = append(r.Current, ip)
		}
	}
	var problems []allocator.Refusal
	refuse := func(reason allocator.Reason, format string, args ...any) {
		problems = append(problems, allocator.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}
	note := func(problem *allocator.Refusal) {
		if problem != nil {
			problems = append(problems, *problem)
		}
	}

	for _, f := range svc.Spec.IPFamilies {
		switch f {
		case corev1.IPv4Protocol:
			r.Families = append(r.Families, lb.IPv4)
		case corev1.IPv6Protocol:
			r.Families = append(r.Families, lb.IPv6)
		default:
			refuse(ReasonUnknownFamily, "spec.ipFamilies has %q, which is neither IPv4 nor IPv6", f)
		}
	}
	if len(svc.Spec.IPFamilies) == 0 {
		refuse(allocator.ReasonInvalidRequest, "spec.ipFamilies is empty")
	}
	if policy := svc.Spec.IPFamilyPolicy; policy != nil {
		switch *policy {
		case corev1.IPFamilyPolicyPreferDualStack:
			r.Policy = lb.PreferDualStack
		case corev1.IPFamilyPolicyRequireDualStack:
			r.Policy = lb.RequireDualStack
		}
	}

	key, _, problem := sharingMeaning.read(svc.Annotations)
	note(problem)
	r.Sharing = sharing(svc, key)
	if problem != nil { // whoever shares with it must go on to keep off its ports
		r.Sharing.Ports, r.KeyUnknown = portsOf(svc), true
	}
	r.Pool, _, problem = poolMeaning.read(svc.Annotations)
	note(problem)
	pool, ours := poolRequested(svc)
	if r.Asked = pool; !ours {
		r.Asked = r.Pool // who comes from another load balancer keeps what it has, whatever pool that is of here
	}
	annotated, from, problem := addressesMeaning.read(svc.Annotations)
	note(problem)
	r.Addresses = annotated
	if field := svc.Spec.LoadBalancerIP; field != "" {
		// The field holds one address, and tools that write several annotate them all and put the first here. So
		// the field may repeat one of the annotation's, and not add to them.
		ip, err := parseAddress(field)
		switch {
		case err != nil:
			refuse(allocator.ReasonInvalidRequest, "spec.loadBalancerIP: %v", err)
		case from != "" && !slices.Contains(annotated, ip):
			refuse(allocator.ReasonInvalidRequest, "spec.loadBalancerIP asks for %s and %s for %s; make them agree, or remove one",
				ip, from, svc.Annotations[from])
		case from == "":
			r.Addresses = []netip.Addr{ip}
		}
	}
	return r, problems
}
