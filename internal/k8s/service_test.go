package k8s

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ptr[T any](v T) *T { return &v }

// web is a Service as the API server stores it.
func web(change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type:           corev1.ServiceTypeLoadBalancer,
			IPFamilies:     []corev1.IPFamily{corev1.IPv4Protocol},
			IPFamilyPolicy: ptr(corev1.IPFamilyPolicySingleStack),
		},
	}
	for _, c := range change {
		c(svc)
	}
	return svc
}

func annotated(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations[key] = value }
}

func asked(ip string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerIP = ip }
}

func has(ips ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
	}
}

func dual(p corev1.IPFamilyPolicy) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
		s.Spec.IPFamilyPolicy = &p
	}
}

func TestOurs(t *testing.T) {
	tests := []struct {
		name  string
		kind  corev1.ServiceType
		of    *string
		class string
		want  bool
	}{
		{"no class anywhere", corev1.ServiceTypeLoadBalancer, nil, "", true},
		{"our own class, without a flag", corev1.ServiceTypeLoadBalancer, ptr(DefaultClass), "", true},
		{"another's class, without a flag", corev1.ServiceTypeLoadBalancer, ptr("example.com/other"), "", false},
		{"an empty class is a class", corev1.ServiceTypeLoadBalancer, ptr(""), "", false},
		{"the class of the flag", corev1.ServiceTypeLoadBalancer, ptr("internal"), "internal", true},
		{"no class, with a flag", corev1.ServiceTypeLoadBalancer, nil, "internal", false},
		{"our own class, with a flag", corev1.ServiceTypeLoadBalancer, ptr(DefaultClass), "internal", false},
		{"another type", corev1.ServiceTypeClusterIP, nil, "", false},
		{"another type of our class", corev1.ServiceTypeNodePort, ptr("internal"), "internal", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := web(func(s *corev1.Service) { s.Spec.Type, s.Spec.LoadBalancerClass = tt.kind, tt.of })
			if got := Ours(svc, tt.class); got != tt.want {
				t.Errorf("Ours = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	key := lb.Key{Namespace: "default", Name: "web"}
	single := func(addresses ...netip.Addr) allocator.Request {
		return allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Addresses: addresses}
	}
	both := func(p lb.FamilyPolicy, addresses ...netip.Addr) allocator.Request {
		return allocator.Request{Service: key, Families: []lb.Family{lb.IPv6, lb.IPv4}, Policy: p, Addresses: addresses}
	}
	tests := []struct {
		name    string
		svc     *corev1.Service
		want    allocator.Request
		problem string
	}{
		{name: "a bare Service", svc: web(), want: single()},
		{name: "prefers both families, in its order", svc: web(dual(corev1.IPFamilyPolicyPreferDualStack)), want: both(lb.PreferDualStack)},
		{name: "requires both families", svc: web(dual(corev1.IPFamilyPolicyRequireDualStack)), want: both(lb.RequireDualStack)},
		{name: "asks by the field", svc: web(asked("192.0.2.1")), want: single(v4)},
		{name: "asks by the annotation", svc: web(annotated(AnnotationIPs, " 192.0.2.1 ")), want: single(v4)},
		{name: "asks for one of each family", svc: web(dual(corev1.IPFamilyPolicyRequireDualStack), annotated(AnnotationIPs, "192.0.2.1, 2001:DB8::1")),
			want: both(lb.RequireDualStack, v4, v6)},
		{name: "asks twice for the same", svc: web(annotated(AnnotationIPs, "192.0.2.1,192.0.2.1")), want: single(v4)},
		{name: "field and annotation agree", svc: web(asked("192.0.2.1"), annotated(AnnotationIPs, "192.0.2.1")), want: single(v4)},
		{name: "field and annotation disagree", svc: web(asked("192.0.2.9"), annotated(AnnotationIPs, "192.0.2.1")),
			problem: "InvalidRequest: spec.loadBalancerIP asks for 192.0.2.9 and fairlead.dev/load-balancer-ips for 192.0.2.1; make them agree, or remove one"},
		{name: "a field that is no address", svc: web(asked("web.example")),
			problem: `InvalidRequest: spec.loadBalancerIP: "web.example" is not an IP address`},
		{name: "an annotation that is no address", svc: web(annotated(AnnotationIPs, "192.0.2.1;192.0.2.2")),
			problem: `InvalidRequest: fairlead.dev/load-balancer-ips: "192.0.2.1;192.0.2.2" is not an IP address`},
		{name: "an empty annotation", svc: web(annotated(AnnotationIPs, "")),
			problem: "InvalidRequest: fairlead.dev/load-balancer-ips is empty; give an address, or remove it"},
		{name: "two addresses of a family", svc: web(annotated(AnnotationIPs, "192.0.2.1,192.0.2.2")),
			problem: "InvalidRequest: fairlead.dev/load-balancer-ips asks for 192.0.2.1 and 192.0.2.2; a Service has one IPv4 address"},
		{name: "a pool", svc: web(annotated(AnnotationPool, "edge")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Pool: "edge"}},
		{name: "what it has", svc: web(has("192.0.2.1", "192.0.2.1", "2001:db8::1")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Current: []netip.Addr{v4, v6}}},
		{name: "sharing is refused, not ignored", svc: web(annotated(AnnotationSharing, "key"), has("192.0.2.1")),
			problem: "NotSupported: fairlead.dev/allow-shared-ip is not supported by this release yet; remove it"},
		{name: "another system's way to ask for an address", svc: web(annotated("metallb.io/loadBalancerIPs", "192.0.2.1"), has("192.0.2.9")),
			problem: "NotSupported: metallb.io/loadBalancerIPs is not supported by this release yet; write fairlead.dev/load-balancer-ips instead"},
		{name: "another system's way to ask for a pool", svc: web(annotated("eip.openelb.kubesphere.io/v1alpha2", "edge")),
			problem: "NotSupported: eip.openelb.kubesphere.io/v1alpha2 is not supported by this release yet; write fairlead.dev/address-pool instead"},
		{name: "another system's way to share", svc: web(annotated("lbipam.cilium.io/sharing-key", "key")),
			problem: "NotSupported: lbipam.cilium.io/sharing-key is not supported by this release yet; remove it"},
		{name: "our way goes before another system's", svc: web(annotated("metallb.io/loadBalancerIPs", "192.0.2.9"), annotated(AnnotationIPs, "192.0.2.1")),
			want: single(v4)},
		{name: "what another system has noted asks for nothing", svc: web(annotated("metallb.io/ip-allocated-from-pool", "edge")), want: single()},
		{name: "no family", svc: web(func(s *corev1.Service) { s.Spec.IPFamilies = nil }), problem: "InvalidRequest: spec.ipFamilies is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := Request(tt.svc)
			if tt.problem != "" {
				if len(problems) != 1 || fmt.Sprintf("%s: %s", problems[0].Reason, problems[0].Message) != tt.problem {
					t.Errorf("problems = %v, want %q", problems, tt.problem)
				}
				if got.Service != key || len(got.Current) != len(IngressIPs(tt.svc)) {
					t.Errorf("the request %+v does not say whose it is and what it has", got)
				}
				return
			}
			if len(problems) > 0 {
				t.Errorf("problems = %v", problems)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoAliasIsIgnored(t *testing.T) {
	for _, a := range aliases {
		_, problems := Request(web(annotated(a.alias, "x")))
		if len(problems) != 1 || problems[0].Reason != ReasonNotSupported || !strings.Contains(problems[0].Message, a.alias) {
			t.Errorf("%s: problems = %v", a.alias, problems)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("192.0.2.1,2001:db8::1", "192.0.2.1", "edge")
	f.Add(",", "::ffff:192.0.2.1", "")
	f.Add(" 192.0.2.1 ,192.0.2.1", "fe80::1%eth0", strings.Repeat("x", 300))
	f.Fuzz(func(t *testing.T, ips, field, pool string) {
		r, problems := Request(web(dual(corev1.IPFamilyPolicyPreferDualStack), annotated(AnnotationIPs, ips), asked(field), annotated(AnnotationPool, pool)))
		if len(problems) > 0 {
			return
		}
		seen := map[lb.Family]bool{}
		for _, ip := range r.Addresses {
			if !ip.IsValid() || seen[lb.FamilyOf(ip)] {
				t.Errorf("addresses %v: more than one of a family, without a problem", r.Addresses)
			}
			seen[lb.FamilyOf(ip)] = true
		}
	})
}
