package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Annotations on Services.
const (
	// AnnotationIPs asks for addresses: a comma list, of one family or both, one of a family or several.
	AnnotationIPs = "fairlead.dev/load-balancer-ips"
	// AnnotationPool asks for a pool by name.
	AnnotationPool = "fairlead.dev/address-pool"
	// AnnotationSharing names the Services that may share an address: those with the same key.
	AnnotationSharing = "fairlead.dev/allow-shared-ip"
)

// aliases are what other systems call the annotations above, so that their users' manifests work as they
// are. Fairlead's own goes first: where it is, no alias is read. An alias that is empty counts as absent, as
// in its own system. Of several the first in this order is read, and the others must not contradict it: which
// of them the Service's owner means, nobody can guess.
//
// What those systems write on Services themselves asks for nothing and is not here, such as
// metallb.io/ip-allocated-from-pool and OpenELB's label eip.openelb.kubesphere.io/v1alpha2. Nor are those that
// choose the system or its protocol, such as lb.kubesphere.io/v1alpha1, for which Kubernetes has
// spec.loadBalancerClass, and Fairlead its advertisements.
//
// Cilium's lbipam.cilium.io/sharing-cross-namespace is not read either. There, Services of different
// namespaces share only if each names the other's namespace in it; here, as in MetalLB, the key alone
// decides. So Services that shared under Cilium go on to share, and one that must not share with another
// namespace's needs a key of its own.
var aliases = map[string][]string{
	AnnotationIPs: {
		"metallb.io/loadBalancerIPs",
		"metallb.universe.tf/loadBalancerIPs", // the older prefix
		"kube-vip.io/loadbalancerIPs",
		"lbipam.cilium.io/ips",
		"io.cilium/lb-ipam-ips", // the older name
		"eip.openelb.kubesphere.io/v1alpha1",
		"eip.porter.kubesphere.io/v1alpha1", // OpenELB, when it was Porter
	},
	AnnotationPool: {
		"metallb.io/address-pool",
		"metallb.universe.tf/address-pool",
		"eip.openelb.kubesphere.io/v1alpha2", // v1alpha1 is an address, this the name of an Eip
		"eip.porter.kubesphere.io/v1alpha2",
	},
	AnnotationSharing: {
		"metallb.io/allow-shared-ip",
		"metallb.universe.tf/allow-shared-ip",
		"lbipam.cilium.io/sharing-key",
		"io.cilium/lb-ipam-sharing-key",
	},
}

// meaning is one of the things that annotations ask for.
type meaning[T any] struct {
	// own is Fairlead's annotation, lacks what to do about an empty one.
	own, lacks string
	parse      func(string) (T, error)
	same       func(T, T) bool
	// unreadable is the reason of a refusal for a value that cannot be parsed.
	unreadable allocator.Reason
}

var (
	addressesMeaning = meaning[[]netip.Addr]{AnnotationIPs, "give an address", parseAddresses, sameAddresses, allocator.ReasonInvalidRequest}
	poolMeaning      = meaning[string]{AnnotationPool, "name a pool", parsePool, equal, allocator.ReasonInvalidRequest}
	sharingMeaning   = meaning[string]{AnnotationSharing, "give a key", parseSharingKey, equal, ReasonInvalidSharingKey}
)

// read returns what annotations ask for and which of them says so, "" if none does. Of what cannot be
// followed there is the refusal alone.
func (m meaning[T]) read(annotations map[string]string) (value T, from string, refused *allocator.Refusal) {
	refuse := func(reason allocator.Reason, format string, args ...any) (T, string, *allocator.Refusal) {
		var none T
		return none, "", &allocator.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	if len(annotations) == 0 {
		return value, "", nil
	}
	if text, ok := annotations[m.own]; ok {
		if strings.TrimSpace(text) == "" {
			return refuse(m.unreadable, "%s is empty; %s, or remove it", m.own, m.lacks)
		}
		value, err := m.parse(text)
		if err != nil {
			return refuse(m.unreadable, "%s: %v", m.own, err)
		}
		return value, m.own, nil
	}
	for _, alias := range aliases[m.own] {
		text := annotations[alias]
		if strings.TrimSpace(text) == "" {
			continue
		}
		v, err := m.parse(text)
		switch {
		case err != nil:
			return refuse(m.unreadable, "%s: %v", alias, err)
		case from == "":
			value, from = v, alias
		case !m.same(value, v):
			return refuse(allocator.ReasonInvalidRequest, "%s says %s and %s says %s; make them agree, or write %s",
				from, strings.TrimSpace(annotations[from]), alias, strings.TrimSpace(text), m.own)
		}
	}
	return value, from, nil
}

func equal(a, b string) bool { return a == b }

func parsePool(name string) (string, error) { return strings.TrimSpace(name), nil }

// mostAddresses is how many addresses a Service may ask for: each costs an entry in its status, and in the
// tables of every speaker and kube-proxy.
const mostAddresses = 16

// parseAddresses reads a comma list. What is in it twice counts once.
func parseAddresses(list string) (ips []netip.Addr, err error) {
	for entry := range strings.SplitSeq(list, ",") {
		ip, err := parseAddress(entry)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ips, ip) {
			continue
		}
		if len(ips) == mostAddresses {
			return nil, fmt.Errorf("more than %d addresses; a Service may ask for %d", mostAddresses, mostAddresses)
		}
		ips = append(ips, ip)
	}
	return ips, nil
}

// parseAddress reads an address that a Service asks for. One that no pool can hold is an error here, since
// it would be waited for in vain.
func parseAddress(s string) (netip.Addr, error) {
	ip, err := lb.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, err
	}
	if ip.IsUnspecified() { // kube-vip's way to ask for DHCP
		return netip.Addr{}, fmt.Errorf("%q is no address of a Service; to kube-vip it means DHCP, which Fairlead does not speak: "+
			"ask for an address of a pool, or for none to get any", strings.TrimSpace(s))
	}
	if _, err := lb.ParseRange(ip.String()); err != nil {
		return netip.Addr{}, err
	}
	return ip, nil
}

// sameAddresses tells whether two lists have the same addresses, in any order.
func sameAddresses(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(ip netip.Addr) bool { return !slices.Contains(b, ip) })
}
