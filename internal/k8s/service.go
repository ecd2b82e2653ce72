package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// DefaultClass is the spec.loadBalancerClass that names Fairlead.
const DefaultClass = "fairlead.dev/fairlead"

// Annotations on Services.
const (
	// AnnotationIPs asks for addresses: a comma list, one of a family.
	AnnotationIPs = "fairlead.dev/load-balancer-ips"
	// AnnotationPool asks for a pool by name.
	AnnotationPool = "fairlead.dev/address-pool"
	// AnnotationSharing asks for an address that other Services have too.
	AnnotationSharing = "fairlead.dev/allow-shared-ip"
)

// aliases are what other systems call the annotations above. A later release will read them; until then
// a Service that has one is refused, since it asks for something that it would not get. One that says the
// same to Fairlead, too, is not: Fairlead's own annotation goes first. What those systems write on Services
// themselves, like metallb.io/ip-allocated-from-pool, asks for nothing and is not here.
var aliases = []struct {
	alias string
	// instead is Fairlead's annotation of the same meaning, empty if this release has none.
	instead string
}{
	{"metallb.io/loadBalancerIPs", AnnotationIPs},
	{"metallb.io/address-pool", AnnotationPool},
	{"metallb.io/allow-shared-ip", ""},
	{"metallb.universe.tf/loadBalancerIPs", AnnotationIPs}, // the older prefix
	{"metallb.universe.tf/address-pool", AnnotationPool},
	{"metallb.universe.tf/allow-shared-ip", ""},
	{"kube-vip.io/loadbalancerIPs", AnnotationIPs},
	{"lbipam.cilium.io/ips", AnnotationIPs},
	{"lbipam.cilium.io/sharing-key", ""},
	{"io.cilium/lb-ipam-ips", AnnotationIPs}, // the older names
	{"io.cilium/lb-ipam-sharing-key", ""},
	{"eip.openelb.kubesphere.io/v1alpha1", AnnotationIPs}, // an address; v1alpha2 is the name of an Eip
	{"eip.openelb.kubesphere.io/v1alpha2", AnnotationPool},
	{"eip.porter.kubesphere.io/v1alpha1", AnnotationIPs}, // OpenELB, when it was Porter
	{"eip.porter.kubesphere.io/v1alpha2", AnnotationPool},
}

// ReasonNotSupported refuses what a later release will do.
const ReasonNotSupported allocator.Reason = "NotSupported"

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

// Request says what a Service asks for. If there are problems, the rest of the request is not to be
// followed: the Service keeps what it has until they are resolved.
func Request(svc *corev1.Service) (allocator.Request, []allocator.Refusal) {
	r := allocator.Request{
		Service: Key(svc),
		Pool:    strings.TrimSpace(svc.Annotations[AnnotationPool]),
	}
	for _, ip := range IngressIPs(svc) {
		if !slices.Contains(r.Current, ip) {
			r.Current = append(r.Current, ip)
		}
	}
	var problems []allocator.Refusal
	refuse := func(reason allocator.Reason, format string, args ...any) {
		problems = append(problems, allocator.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}

	for _, f := range svc.Spec.IPFamilies {
		switch f {
		case corev1.IPv4Protocol:
			r.Families = append(r.Families, lb.IPv4)
		case corev1.IPv6Protocol:
			r.Families = append(r.Families, lb.IPv6)
		default:
			refuse(allocator.ReasonInvalidRequest, "spec.ipFamilies has %q, which is neither IPv4 nor IPv6", f)
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

	if _, ok := svc.Annotations[AnnotationSharing]; ok {
		refuse(ReasonNotSupported, "%s is not supported by this release yet; remove it", AnnotationSharing)
	}
	for _, a := range aliases {
		_, has := svc.Annotations[a.alias]
		_, replaced := svc.Annotations[a.instead]
		switch {
		case !has:
		case a.instead == "":
			refuse(ReasonNotSupported, "%s is not supported by this release yet; remove it", a.alias)
		case !replaced:
			refuse(ReasonNotSupported, "%s is not supported by this release yet; write %s instead", a.alias, a.instead)
		}
	}
	annotated, problem := requestedIPs(svc.Annotations)
	if problem != "" {
		refuse(allocator.ReasonInvalidRequest, "%s", problem)
	}
	r.Addresses = annotated
	if field := svc.Spec.LoadBalancerIP; field != "" {
		ip, err := lb.ParseAddr(field)
		switch {
		case err != nil:
			refuse(allocator.ReasonInvalidRequest, "spec.loadBalancerIP: %v", err)
		case len(annotated) > 0 && !slices.Contains(annotated, ip):
			refuse(allocator.ReasonInvalidRequest, "spec.loadBalancerIP asks for %s and %s for %s; make them agree, or remove one",
				ip, AnnotationIPs, svc.Annotations[AnnotationIPs])
		case len(annotated) == 0:
			r.Addresses = []netip.Addr{ip}
		}
	}
	return r, problems
}

func requestedIPs(annotations map[string]string) (ips []netip.Addr, problem string) {
	list, ok := annotations[AnnotationIPs]
	if !ok {
		return nil, ""
	}
	if strings.TrimSpace(list) == "" {
		return nil, AnnotationIPs + " is empty; give an address, or remove it"
	}
	var byFamily [2]netip.Addr
	for entry := range strings.SplitSeq(list, ",") {
		ip, err := lb.ParseAddr(entry)
		if err != nil {
			return nil, fmt.Sprintf("%s: %v", AnnotationIPs, err)
		}
		f := lb.FamilyOf(ip)
		if had := byFamily[f]; had.IsValid() && had != ip {
			return nil, fmt.Sprintf("%s asks for %s and %s; a Service has one %s address", AnnotationIPs, had, ip, f)
		} else if had == ip {
			continue
		}
		byFamily[f] = ip
		ips = append(ips, ip)
	}
	return ips, ""
}
