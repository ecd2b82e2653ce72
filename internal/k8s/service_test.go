package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
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

// conditions are of ours, each given as its type and its message.
func conditions(list ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for c := range slices.Chunk(list, 2) {
			s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: "fairlead.dev/" + c[0], Message: c[1]})
		}
	}
}

func dual(p corev1.IPFamilyPolicy) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
		s.Spec.IPFamilyPolicy = &p
	}
}

// ports are given as "TCP/80".
func ports(list ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for _, p := range list {
			protocol, number, _ := strings.Cut(p, "/")
			n, err := strconv.Atoi(number)
			if err != nil {
				panic(err)
			}
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Protocol: corev1.Protocol(protocol), Port: int32(n)})
		}
	}
}

// addresses are the first n of 192.0.2.0/24, without the very first; many is their list.
func addresses(n int) (list []netip.Addr) {
	for a := netip.MustParseAddr("192.0.2.1"); len(list) < n; a = a.Next() {
		list = append(list, a)
	}
	return list
}

func many(n int) string {
	var list []string
	for _, a := range addresses(n) {
		list = append(list, a.String())
	}
	return strings.Join(list, ",")
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
	v4, v4b, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	key := lb.Key{Namespace: "default", Name: "web"}
	single := func(addresses ...netip.Addr) allocator.Request {
		return allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Addresses: addresses}
	}
	both := func(p lb.FamilyPolicy, addresses ...netip.Addr) allocator.Request {
		return allocator.Request{Service: key, Families: []lb.Family{lb.IPv6, lb.IPv4}, Policy: p, Addresses: addresses}
	}
	tests := []struct {
		name      string
		svc       *corev1.Service
		namespace map[string]string
		want      allocator.Request
		problem   string
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
		{name: "asks for several of a family, in its order", svc: web(annotated(AnnotationIPs, "192.0.2.2,192.0.2.1, 192.0.2.2")), want: single(v4b, v4)},
		{name: "asks for as many as it may", svc: web(annotated(AnnotationIPs, many(16)+",192.0.2.1")), want: single(addresses(16)...)},
		{name: "asks for too many", svc: web(annotated(AnnotationIPs, many(17))),
			problem: "InvalidRequest: fairlead.dev/load-balancer-ips: more than 16 addresses; a Service may ask for 16"},
		{name: "the field is one of the annotation's", svc: web(asked("192.0.2.1"), annotated(AnnotationIPs, "192.0.2.2,192.0.2.1")), want: single(v4b, v4)},
		{name: "the field adds to the annotation", svc: web(asked("192.0.2.9"), annotated(AnnotationIPs, "192.0.2.2,192.0.2.1")),
			problem: "InvalidRequest: spec.loadBalancerIP asks for 192.0.2.9 and fairlead.dev/load-balancer-ips for 192.0.2.2,192.0.2.1; make them agree, or remove one"},
		{name: "an address that no Service can have", svc: web(annotated(AnnotationIPs, "192.0.2.1,224.0.0.1")),
			problem: `InvalidRequest: fairlead.dev/load-balancer-ips: "224.0.0.1" reaches 224.0.0.0/4, multicast, which no Service can have`},
		{name: "a loopback address in the field", svc: web(asked("::1")),
			problem: `InvalidRequest: spec.loadBalancerIP: "::1" reaches ::1/128, loopback, which no Service can have`},
		{name: "a link-local address", svc: web(asked("fe80::1")),
			problem: `InvalidRequest: spec.loadBalancerIP: "fe80::1" reaches fe80::/10, link-local, which no Service can have`},
		{name: "DHCP, as kube-vip has it in the field", svc: web(asked("0.0.0.0")),
			problem: `InvalidRequest: spec.loadBalancerIP: "0.0.0.0" is no address of a Service; to kube-vip it means DHCP, which Fairlead does not speak: ask for an address of a pool, or for none to get any`},
		{name: "a pool", svc: web(annotated(AnnotationPool, "edge")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Pool: "edge", Asked: "edge"}},
		{name: "another pool than when it got what it has", svc: web(annotated(AnnotationPool, "edge"), conditions("Assigned", "", "PoolRequested", "old")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Pool: "edge", Asked: "old"}},
		{name: "a pool, and it asked for none when it got what it has", svc: web(annotated(AnnotationPool, "edge"), conditions("Assigned", "")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Pool: "edge"}},
		{name: "what it has", svc: web(has("192.0.2.1", "192.0.2.1", "2001:db8::1")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Current: []netip.Addr{v4, v6}}},
		{name: "an empty pool", svc: web(annotated(AnnotationPool, " ")),
			problem: "InvalidRequest: fairlead.dev/address-pool is empty; name a pool, or remove it"},
		{name: "labels, its own and its namespace's", svc: web(func(s *corev1.Service) { s.Labels = map[string]string{"app": "web"} }), namespace: map[string]string{"team": "a"},
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Labels: map[string]string{"app": "web"}, NamespaceLabels: map[string]string{"team": "a"}}},
		{name: "a sharing key, and the ports it takes", svc: web(annotated(AnnotationSharing, " key "), ports("TCP/443", "UDP/53", "TCP/80")),
			want: allocator.Request{Service: key, Families: []lb.Family{lb.IPv4}, Sharing: lb.Sharing{Key: "key", Ports: []lb.Port{{Protocol: "TCP", Number: 80}, {Protocol: "TCP", Number: 443}, {Protocol: "UDP", Number: 53}}}}},
		{name: "an empty sharing key", svc: web(annotated(AnnotationSharing, "")),
			problem: "InvalidSharingKey: fairlead.dev/allow-shared-ip is empty; give a key, or remove it"},
		{name: "no family", svc: web(func(s *corev1.Service) { s.Spec.IPFamilies = nil }), problem: "InvalidRequest: spec.ipFamilies is empty"},
		{name: "a family that there is not", svc: web(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{"IPv4", "IPv5"} }),
			problem: `UnknownFamily: spec.ipFamilies has "IPv5", which is neither IPv4 nor IPv6`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := Request(tt.svc, tt.namespace)
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
