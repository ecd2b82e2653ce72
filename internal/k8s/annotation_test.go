package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// summary is what a request asks for, in a line, or its problems.
func summary(r allocator.Request, problems []allocator.Refusal) string {
	var parts []string
	for _, p := range problems {
		parts = append(parts, fmt.Sprintf("%s: %s", p.Reason, p.Message))
	}
	if len(parts) == 0 {
		for _, a := range r.Addresses {
			parts = append(parts, a.String())
		}
		if r.Pool != "" {
			parts = append(parts, "pool "+r.Pool)
		}
		if r.Sharing.Key != "" {
			parts = append(parts, "key "+r.Sharing.Key)
		}
	}
	return strings.Join(parts, ", ")
}

func TestEachAliasIsRead(t *testing.T) {
	values := map[string][2]string{ // what to write, and what it comes to
		AnnotationIPs:     {"192.0.2.1, 2001:db8::1", "192.0.2.1, 2001:db8::1"},
		AnnotationPool:    {" edge ", "pool edge"},
		AnnotationSharing: {" key to the house ", "key key to the house"},
	}
	for own, list := range aliases {
		for _, name := range append([]string{own}, list...) {
			t.Run(name, func(t *testing.T) {
				svc := web(dual(corev1.IPFamilyPolicyPreferDualStack), annotated(name, values[own][0]))
				if got := summary(Request(svc, nil)); got != values[own][1] {
					t.Errorf("asks for %q, want %q", got, values[own][1])
				}
				if name == own {
					return
				}
				for _, empty := range []string{"", " \n"} {
					if got := summary(Request(web(annotated(name, empty)), nil)); got != "" {
						t.Errorf("empty, it asks for %q", got)
					}
				}
			})
		}
	}
}

func TestAliases(t *testing.T) {
	type annotations map[string]string
	tests := []struct {
		name        string
		annotations annotations
		field       string
		want        string
	}{
		{"none", nil, "", ""},
		{"MetalLB", annotations{"metallb.io/loadBalancerIPs": "192.0.2.1", "metallb.io/address-pool": "edge", "metallb.io/allow-shared-ip": "true"}, "",
			"192.0.2.1, pool edge, key true"},
		{"MetalLB by its older prefix", annotations{"metallb.universe.tf/loadBalancerIPs": "192.0.2.1", "metallb.universe.tf/address-pool": "edge", "metallb.universe.tf/allow-shared-ip": "true"}, "",
			"192.0.2.1, pool edge, key true"},
		{"kube-vip's provider writes the list and the field", annotations{"kube-vip.io/loadbalancerIPs": "192.0.2.1,2001:db8::1"}, "192.0.2.1",
			"192.0.2.1, 2001:db8::1"},
		{"kube-vip for DHCP", annotations{"kube-vip.io/loadbalancerIPs": "0.0.0.0"}, "",
			`InvalidRequest: kube-vip.io/loadbalancerIPs: "0.0.0.0" is no address of a Service; to kube-vip it means DHCP, which Fairlead does not speak: ask for an address of a pool, or for none to get any`},
		{"kube-vip for DHCP in IPv6", annotations{"kube-vip.io/loadbalancerIPs": "::"}, "",
			`InvalidRequest: kube-vip.io/loadbalancerIPs: "::" is no address of a Service; to kube-vip it means DHCP, which Fairlead does not speak: ask for an address of a pool, or for none to get any`},
		{"kube-vip with a name for DNS", annotations{"kube-vip.io/loadbalancerIPs": "web.example"}, "",
			`InvalidRequest: kube-vip.io/loadbalancerIPs: "web.example" is not an IP address`},
		{"Cilium", annotations{"lbipam.cilium.io/ips": "192.0.2.1", "lbipam.cilium.io/sharing-key": "1234", "lbipam.cilium.io/sharing-cross-namespace": "*"}, "",
			"192.0.2.1, key 1234"},
		{"Cilium by its older names", annotations{"io.cilium/lb-ipam-ips": "192.0.2.1", "io.cilium/lb-ipam-sharing-key": "1234"}, "", "192.0.2.1, key 1234"},
		{"OpenELB", annotations{"lb.kubesphere.io/v1alpha1": "openelb", "protocol.openelb.kubesphere.io/v1alpha1": "layer2", "eip.openelb.kubesphere.io/v1alpha1": "192.0.2.1", "eip.openelb.kubesphere.io/v1alpha2": "edge"}, "",
			"192.0.2.1, pool edge"},
		{"OpenELB, when it was Porter", annotations{"lb.kubesphere.io/v1alpha1": "porter", "eip.porter.kubesphere.io/v1alpha1": "192.0.2.1", "eip.porter.kubesphere.io/v1alpha2": "edge"}, "",
			"192.0.2.1, pool edge"},
		{"what another system has noted asks for nothing", annotations{"metallb.io/ip-allocated-from-pool": "edge", "kube-vip.io/requestedIP": "192.0.2.1", "layer2.openelb.kubesphere.io/v1alpha1": "n1"}, "", ""},

		{"ours goes before others'", annotations{AnnotationIPs: "192.0.2.1", "metallb.io/loadBalancerIPs": "192.0.2.9", AnnotationPool: "edge", "metallb.io/address-pool": "core"}, "",
			"192.0.2.1, pool edge"},
		{"ours goes before others' that cannot be read", annotations{AnnotationIPs: "192.0.2.1", "kube-vip.io/loadbalancerIPs": "0.0.0.0", AnnotationSharing: "a", "metallb.io/allow-shared-ip": "\x00"}, "",
			"192.0.2.1, key a"},
		{"ours is empty, and that is no way to fall back", annotations{AnnotationPool: "", "metallb.io/address-pool": "core"}, "",
			"InvalidRequest: fairlead.dev/address-pool is empty; name a pool, or remove it"},
		{"an empty one of another counts as absent", annotations{"metallb.io/loadBalancerIPs": "", "kube-vip.io/loadbalancerIPs": "192.0.2.1"}, "", "192.0.2.1"},
		{"two that agree, in the order of the first", annotations{"metallb.io/loadBalancerIPs": "192.0.2.1,2001:db8::1", "kube-vip.io/loadbalancerIPs": "2001:DB8::1, 192.0.2.1"}, "",
			"192.0.2.1, 2001:db8::1"},
		{"two that contradict each other on addresses", annotations{"kube-vip.io/loadbalancerIPs": "192.0.2.2", "metallb.io/loadBalancerIPs": "192.0.2.1"}, "",
			"InvalidRequest: metallb.io/loadBalancerIPs says 192.0.2.1 and kube-vip.io/loadbalancerIPs says 192.0.2.2; make them agree, or write fairlead.dev/load-balancer-ips"},
		{"one that has more addresses than another", annotations{"metallb.io/loadBalancerIPs": "192.0.2.1", "lbipam.cilium.io/ips": "192.0.2.1,2001:db8::1"}, "",
			"InvalidRequest: metallb.io/loadBalancerIPs says 192.0.2.1 and lbipam.cilium.io/ips says 192.0.2.1,2001:db8::1; make them agree, or write fairlead.dev/load-balancer-ips"},
		{"two that contradict each other on the pool", annotations{"eip.openelb.kubesphere.io/v1alpha2": "b", "metallb.io/address-pool": "a"}, "",
			"InvalidRequest: metallb.io/address-pool says a and eip.openelb.kubesphere.io/v1alpha2 says b; make them agree, or write fairlead.dev/address-pool"},
		{"two that contradict each other on the key", annotations{"lbipam.cilium.io/sharing-key": "b", "metallb.io/allow-shared-ip": "a"}, "",
			"InvalidRequest: metallb.io/allow-shared-ip says a and lbipam.cilium.io/sharing-key says b; make them agree, or write fairlead.dev/allow-shared-ip"},
		{"the second cannot be read", annotations{"metallb.io/loadBalancerIPs": "192.0.2.1", "lbipam.cilium.io/ips": "x"}, "",
			`InvalidRequest: lbipam.cilium.io/ips: "x" is not an IP address`},
		{"the field says something else", annotations{"metallb.io/loadBalancerIPs": "192.0.2.1"}, "192.0.2.2",
			"InvalidRequest: spec.loadBalancerIP asks for 192.0.2.2 and metallb.io/loadBalancerIPs for 192.0.2.1; make them agree, or remove one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := web(dual(corev1.IPFamilyPolicyPreferDualStack), asked(tt.field))
			svc.Annotations = tt.annotations
			if got := summary(Request(svc, nil)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Whatever is written, there is a problem in words or a request that can be followed.
func FuzzRequest(f *testing.F) {
	f.Add("192.0.2.1,2001:db8::1", "192.0.2.1", "edge", "", "", "", "key", "", uint8(0), true)
	f.Add(",", "::ffff:192.0.2.1", "", "0.0.0.0", "a", "b", "a\x00", "\xff", uint8(255), false)
	f.Add(" 192.0.2.1 ,192.0.2.1", "fe80::1%eth0", strings.Repeat("x", 300), "192.0.2.1", " ", "", strings.Repeat("k", 254), "\u200b", uint8(7), true)
	f.Add("", "", "", "", "edge", "edge", "", "key to\tthe house", uint8(3), true)
	f.Fuzz(func(t *testing.T, ips, field, pool, otherIPs, otherPool, thirdPool, key, otherKey string, has uint8, local bool) {
		svc := web(dual(corev1.IPFamilyPolicyPreferDualStack), asked(field), ports("TCP/80", "UDP/53"))
		// One bit of has for each annotation that is there at all.
		for i, a := range [][2]string{
			{AnnotationIPs, ips}, {AnnotationPool, pool}, {AnnotationSharing, key}, {"kube-vip.io/loadbalancerIPs", otherIPs},
			{"metallb.io/address-pool", otherPool}, {"eip.openelb.kubesphere.io/v1alpha2", thirdPool}, {"lbipam.cilium.io/sharing-key", otherKey},
		} {
			if has>>i&1 == 1 {
				svc.Annotations[a[0]] = a[1]
			}
		}
		if local {
			svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			svc.Spec.Selector = map[string]string{"app": "web"}
		}
		r, problems := Request(svc, nil)
		if again, _ := Request(svc, nil); summary(again, nil) != summary(r, nil) {
			t.Errorf("asks for %s and then for %s", summary(r, nil), summary(again, nil))
		}
		if r.Sharing.Key != SharingKey(svc) {
			t.Errorf("key %q, and on its own %q", r.Sharing.Key, SharingKey(svc))
		}
		for _, p := range problems {
			if p.Reason == "" || p.Message == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		if len(r.Addresses) > mostAddresses || len(r.Addresses) != len(sortedAddresses(r.Addresses)) {
			t.Errorf("addresses %v: too many, or one of them twice", r.Addresses)
		}
		for _, ip := range r.Addresses {
			if _, err := lb.ParseRange(ip.String()); err != nil || ip.Is4In6() || ip.Zone() != "" {
				t.Errorf("%s can be in no pool (%v)", ip, err)
			}
		}
		if r.Pool != strings.TrimSpace(r.Pool) {
			t.Errorf("pool %q", r.Pool)
		}
		k := r.Sharing.Key
		if len(k) > mostKeyBytes || k != strings.TrimSpace(k) || strings.ContainsFunc(k, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("key %q", k)
		}
		if shares := k != ""; shares != (len(r.Sharing.Ports) == 2) || (shares && local) != (r.Sharing.Backends != "") {
			t.Errorf("sharing %+v", r.Sharing)
		}
		if r.Addresses == nil && (has&1 == 1 || field != "") {
			t.Errorf("%q and %q ask for nothing, without a problem", ips, field)
		}
	})
}

func sortedAddresses(list []netip.Addr) []netip.Addr {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}
