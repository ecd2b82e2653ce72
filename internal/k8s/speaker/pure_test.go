package speaker

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

func match(key, value string) []v1alpha1.LabelSelector {
	return []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}}
}

func TestCovers(t *testing.T) {
	poolLabels, serviceLabels := labels.Set{"tier": "edge"}, labels.Set{"app": "web"}
	for _, tt := range []struct {
		name string
		spec v1alpha1.L2AdvertisementSpec
		want bool
	}{
		{"an empty advertisement covers all", v1alpha1.L2AdvertisementSpec{}, true},
		{"a named pool", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"a", "p"}}, true},
		{"other named pools", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"a", "b"}}, false},
		{"a pool by label", v1alpha1.L2AdvertisementSpec{IPAddressPoolSelectors: match("tier", "edge")}, true},
		{"other pools by label", v1alpha1.L2AdvertisementSpec{IPAddressPoolSelectors: match("tier", "core")}, false},
		{"by name although not by label", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"p"}, IPAddressPoolSelectors: match("tier", "core")}, true},
		{"a Service by label", v1alpha1.L2AdvertisementSpec{ServiceSelectors: match("app", "web")}, true},
		{"one of two selectors", v1alpha1.L2AdvertisementSpec{ServiceSelectors: append(match("app", "db"), match("app", "web")...)}, true},
		{"other Services", v1alpha1.L2AdvertisementSpec{ServiceSelectors: match("app", "db")}, false},
		{"the pool but not the Service", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"p"}, ServiceSelectors: match("app", "db")}, false},
		{"an empty selector selects everything", v1alpha1.L2AdvertisementSpec{ServiceSelectors: []v1alpha1.LabelSelector{{}}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := newAdvertisement(&v1alpha1.L2Advertisement{Spec: tt.spec})
			if err != nil {
				t.Fatal(err)
			}
			if got := a.covers("p", poolLabels, serviceLabels); got != tt.want {
				t.Errorf("covers: %v", got)
			}
		})
	}
}

func TestScope(t *testing.T) {
	a, err := newAdvertisement(&v1alpha1.L2Advertisement{
		ObjectMeta: metav1.ObjectMeta{Name: "ad"},
		Spec:       v1alpha1.L2AdvertisementSpec{NodeSelectors: match("edge", "yes"), Interfaces: []v1alpha1.InterfacePattern{"eth*"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := a.scope(map[string]node{"a": {labels: labels.Set{"edge": "yes"}}, "b": {labels: labels.Set{"edge": "no"}}, "c": {}})
	if s.Name != "ad" || !maps.Equal(s.Nodes, map[string]bool{"a": true}) || !slices.Equal(s.Interfaces, []string{"eth*"}) {
		t.Errorf("scope %+v", s)
	}
	bad := []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}}}
	for name, spec := range map[string]v1alpha1.L2AdvertisementSpec{
		"nodeSelectors":          {NodeSelectors: bad},
		"preferredNodeSelectors": {PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{{Weight: 1, Preference: bad[0]}}},
	} {
		if _, err := newAdvertisement(&v1alpha1.L2Advertisement{Spec: spec}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("an operator that does not exist was read: %v", err)
		}
	}
}

func TestPreferredNodes(t *testing.T) {
	a, err := newAdvertisement(&v1alpha1.L2Advertisement{
		ObjectMeta: metav1.ObjectMeta{Name: "ad"},
		Spec: v1alpha1.L2AdvertisementSpec{
			NodeSelectors: match("edge", "yes"), BindAddress: true,
			PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{
				{Weight: 10, Preference: match("rack", "1")[0]}, {Weight: 5, Preference: match("uplink", "fast")[0]},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := a.scope(map[string]node{
		"both":    {labels: labels.Set{"edge": "yes", "rack": "1", "uplink": "fast"}},
		"one":     {labels: labels.Set{"edge": "yes", "uplink": "fast"}},
		"none":    {labels: labels.Set{"edge": "yes"}},
		"not one": {labels: labels.Set{"rack": "1", "uplink": "fast"}},
	})
	if want := map[string]int32{"both": 15, "one": 5}; !maps.Equal(s.Weights, want) || !s.Bind {
		t.Errorf("weights %v, want %v; bind %v", s.Weights, want, s.Bind)
	}
}

func TestRebalanceAsked(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"just now", "2026-01-02T12:00:00Z", true},
		{"in another zone", "2026-01-02T14:00:00+02:00", true},
		{"a few minutes ago", "2026-01-02T11:50:01Z", true},
		{"by a clock that is ahead", "2026-01-02T12:01:00Z", true},
		{"long ago", "2026-01-02T11:50:00Z", false},
		{"by a clock that is far ahead", "2027-01-02T12:00:00Z", false},
		{"not asked", "", false},
		{"not a time", "yes please", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := rebalanceAsked(tt.value, now); got != tt.want {
				t.Error(got)
			}
		})
	}
}

func TestEndpointNodes(t *testing.T) {
	slice := func(family lb.Family, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressType(family.String()), Endpoints: endpoints}
	}
	on := func(node string, ready, serving, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
	}
	yes, no := ptr.To(true), ptr.To(false)
	for _, tt := range []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		want   []string
	}{
		{"no slice", nil, nil},
		{"ready endpoints, of several slices", []*discoveryv1.EndpointSlice{slice(lb.IPv4, on("a", yes, yes, no)), slice(lb.IPv4, on("b", yes, nil, nil))}, []string{"a", "b"}},
		{"a condition that is not set means ready", []*discoveryv1.EndpointSlice{slice(lb.IPv4, on("a", nil, nil, nil))}, []string{"a"}},
		{"endpoints that are not ready do not count", []*discoveryv1.EndpointSlice{slice(lb.IPv4, on("a", no, no, no), on("b", yes, yes, no))}, []string{"b"}},
		{"another family's do not count", []*discoveryv1.EndpointSlice{slice(lb.IPv6, on("a", yes, yes, no))}, nil},
		{"one that terminates does not count beside a ready one", []*discoveryv1.EndpointSlice{slice(lb.IPv4, on("a", no, yes, yes), on("b", yes, yes, no))}, []string{"b"}},
		{"those that serve while they terminate, if there is no other", []*discoveryv1.EndpointSlice{slice(lb.IPv4, on("a", no, yes, yes), on("b", no, no, yes))}, []string{"a"}},
		{"an endpoint without a node", []*discoveryv1.EndpointSlice{slice(lb.IPv4, discoveryv1.Endpoint{})}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := slices.Sorted(maps.Keys(endpointNodes(tt.slices, lb.IPv4))); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNode(t *testing.T) {
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", Labels: map[string]string{"a": "b"}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.1"},
				{Type: corev1.NodeExternalIP, Address: "198.51.100.1"}, {Type: corev1.NodeInternalIP, Address: "2001:db8::1"}},
		},
	}
	n := newNode(object, false)
	if n.barred != "" || len(n.addresses) != 2 {
		t.Errorf("%+v", n)
	}
	nodes := map[string]node{"self": n, "b": {addresses: []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3")}},
		"c": {addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}}
	if got := fmt.Sprint(peers(nodes, "self", lb.IPv4)); got != "[192.0.2.2 192.0.2.3]" {
		t.Errorf("peers %s", got)
	}
}

func TestNodesThatMustOwnNothing(t *testing.T) {
	annotated := func(value string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Annotations = map[string]string{v1alpha1.AnnotationDrain: value, "other": "x"} }
	}
	tainted := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "other"}, {Key: key, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}}
		}
	}
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Status.Conditions = []corev1.NodeCondition{{Type: kind, Status: status}} }
	}
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	for _, tt := range []struct {
		name          string
		change        func(*corev1.Node)
		drainCordoned bool
		want          string
		unready       bool
	}{
		{"a node", func(*corev1.Node) {}, true, "", false},
		{"the exclude label, whatever its value", func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} },
			false, "label node.kubernetes.io/exclude-from-external-load-balancers", false},
		{"the drain annotation", annotated("true"), false, "annotation fairlead.dev/drain", false},
		{"the drain annotation, empty", annotated(""), false, "annotation fairlead.dev/drain", false},
		{"the drain annotation, taken back", annotated("false"), false, "", false},
		{"cordoned, which is about Pods", cordoned, false, "", false},
		{"cordoned, where that drains", cordoned, true, "cordoned", false},
		{"out of service", tainted(corev1.TaintNodeOutOfService), false, "taint node.kubernetes.io/out-of-service", false},
		{"other taints", tainted(corev1.TaintNodeUnschedulable), true, "", false},
		{"no network", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue), false, "condition NetworkUnavailable", false},
		{"a network of which nothing is known", condition(corev1.NodeNetworkUnavailable, corev1.ConditionUnknown), false, "", false},
		{"not Ready, which must last", condition(corev1.NodeReady, corev1.ConditionFalse), false, "", true},
		{"not heard of, which must last", condition(corev1.NodeReady, corev1.ConditionUnknown), false, "", true},
		{"Ready", condition(corev1.NodeReady, corev1.ConditionTrue), false, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}}
			tt.change(object)
			n := newNode(object, tt.drainCordoned)
			if n.barred != tt.want || n.unready != tt.unready {
				t.Errorf("barred for %q, not Ready %v", n.barred, n.unready)
			}
			trimmed := must(trimNode(object)).(*corev1.Node)
			if again := newNode(trimmed, tt.drainCordoned); !n.equal(again) || trimmed.UID != "u" {
				t.Errorf("trimmed %+v, want %+v", again, n)
			}
		})
	}
}

func must(o any, err error) any {
	if err != nil {
		panic(err)
	}
	return o
}

func TestTrimSlice(t *testing.T) {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-x", Namespace: "ns", Labels: map[string]string{discoveryv1.LabelServiceName: "web", "more": "x"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"198.18.0.1"}, NodeName: ptr.To("a")}},
	}
	trimmed := must(trimSlice(s)).(*discoveryv1.EndpointSlice)
	if serviceOf(trimmed) != (lb.Key{Namespace: "ns", Name: "web"}) || len(trimmed.Endpoints[0].Addresses) > 0 || len(s.Endpoints[0].Addresses) == 0 {
		t.Errorf("trimmed %+v", trimmed)
	}
}

// Long lists are cut where the custom resource definition ends, and say so; the counts stay true.
func TestSpeakerStatus(t *testing.T) {
	engine := layer2.Status{
		Links: []layer2.Link{{Interface: lb.Interface{Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}},
		Owned: map[netip.Addr]layer2.Owned{},
	}
	a := netip.MustParseAddr("2001:db8::")
	for range 300 {
		a = a.Next()
		engine.Owned[a] = layer2.Owned{Service: lb.Key{Namespace: "default", Name: "web"}, Interfaces: []string{"eth0"}}
	}
	first := netip.MustParseAddr("2001:db8::1")
	engine.Owned[first] = layer2.Owned{Interfaces: slices.Repeat([]string{"eth0"}, 100)}
	s := speakerStatus(engine, members(200))
	if got := len(s.Layer2.Addresses[0].Interfaces); got != 32 || len(engine.Owned[first].Interfaces) != 100 {
		t.Errorf("%d interfaces of an address", got)
	}
	if s.Layer2.Owned != 300 || len(s.Layer2.Addresses) != mostAddresses || !s.Layer2.Truncated || s.Layer2.Addresses[0].Address != "2001:db8::1" {
		t.Errorf("layer 2: %d of %d, first %+v", len(s.Layer2.Addresses), s.Layer2.Owned, s.Layer2.Addresses[0])
	}
	if s.Gossip.Members != 200 || len(s.Gossip.Names) != mostMembers || !s.Gossip.Truncated {
		t.Errorf("gossip: %d of %d", len(s.Gossip.Names), s.Gossip.Members)
	}
	if got := fmt.Sprint(s.Interfaces); got != "[{eth0 02:00:00:00:00:01 [192.0.2.1/24]}]" {
		t.Errorf("interfaces %s", got)
	}
}
