package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// lines shows a view: each peer with its routes, then each address that is not advertised with why.
func (v BGPView) lines() (list []string) {
	if v.Barred != "" {
		list = append(list, fmt.Sprintf("barred: %s", v.Barred))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Peers)) {
		p := v.Peers[name]
		line := name
		if p.Reason != "" {
			line += " " + p.Reason
		}
		if p.Session.Name == "" {
			line += " no session"
		}
		for _, r := range p.Routes {
			line += fmt.Sprintf(" %s/%d", r.Prefix, r.LocalPref)
		}
		list = append(list, line)
	}
	for _, a := range slices.SortedFunc(maps.Keys(v.Addresses), netip.Addr.Compare) {
		if why := v.Addresses[a].Why; why != "" {
			list = append(list, fmt.Sprintf("%s: %s", a, why))
		}
	}
	return list
}

func TestAdvertised(t *testing.T) {
	node := func(name, rack string, ready corev1.ConditionStatus, annotations map[string]string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": rack}, Annotations: annotations},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}},
				Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.11"}}},
		}
	}
	o := Objects{
		Nodes: []*corev1.Node{
			node("a", "1", corev1.ConditionTrue, nil), node("b", "2", corev1.ConditionTrue, nil), node("new", "1", corev1.ConditionFalse, nil),
			node("drained", "1", corev1.ConditionTrue, map[string]string{v1alpha1.AnnotationDrain: ""}),
		},
		Pools: []*v1alpha1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "edge"},
			Spec: v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"198.51.100.0/24", "2001:db8:1::/64"}}}},
		Services: []*corev1.Service{
			service("web", 1, "web", "", "198.51.100.1", "2001:db8:1::1"), service("dns", 2, "dns", "", "198.51.100.2"),
			local(service("mail", 3, "web", "", "198.51.100.3")), local(service("idle", 4, "web", "", "198.51.100.4")),
		},
		Slices: []*discoveryv1.EndpointSlice{{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "mail-x", Labels: map[string]string{discoveryv1.LabelServiceName: "mail"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{NodeName: ptr.To("b")}},
		}},
		Peers: []*v1alpha1.BGPPeer{
			bgpPeer("tor", 1, nil), bgpPeer("twin", 2, nil),
			bgpPeer("rack2", 3, func(s *v1alpha1.BGPPeerSpec) {
				s.PeerAddress, s.DualStackAddressFamily, s.NodeSelectors = "2001:db8::1", true, match("rack", "2")
			}),
			bgpPeer("dual", 6, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.DualStackAddressFamily = "192.0.2.8", true }),
			bgpPeer("bad", 4, func(s *v1alpha1.BGPPeerSpec) { s.MyASN = 0 }),
			bgpPeer("key", 5, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "192.0.2.9"; withSecret("unknown")(s) }),
		},
		BGPAdvertisements: []*v1alpha1.BGPAdvertisement{
			{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.BGPAdvertisementSpec{ServiceSelectors: match("app", "web"), Peers: []string{"tor", "rack2", "dual"}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "dns"}, Spec: v1alpha1.BGPAdvertisementSpec{ServiceSelectors: match("app", "dns"), NodeSelectors: match("rack", "1"),
				LocalPref: ptr.To[int64](200), AggregationLength: ptr.To[int32](24)}},
		},
	}
	views := Advertised("", o, "a", "b", "new", "drained", "nowhere")
	idle, mail := "198.51.100.4: externalTrafficPolicy is Local, and no endpoint is ready on any node",
		"198.51.100.3: externalTrafficPolicy is Local, and no endpoint is ready on the node"
	for name, want := range map[string][]string{
		"a": {"bad InvalidSpec no session", "dual NoNextHop 198.51.100.0/24/200 198.51.100.1/32/100", "key 198.51.100.0/24/200", "tor 198.51.100.0/24/200 198.51.100.1/32/100", "twin Conflicting no session", mail, idle},
		"b": {"bad InvalidSpec no session", "dual NoNextHop 198.51.100.1/32/100 198.51.100.3/32/100", "key", "rack2 198.51.100.1/32/100 198.51.100.3/32/100 2001:db8:1::1/128/100",
			"tor 198.51.100.1/32/100 198.51.100.3/32/100", "twin Conflicting no session",
			"198.51.100.2: no BGPAdvertisement that is for it selects the node", idle},
		"new": {"barred: not Ready, and nobody knows here whether it was since its speaker started", "bad InvalidSpec no session", "dual NoNextHop 198.51.100.0/24/200 198.51.100.1/32/100",
			"key 198.51.100.0/24/200", "tor 198.51.100.0/24/200 198.51.100.1/32/100", "twin Conflicting no session", mail, idle},
		"drained": {"barred: annotation fairlead.dev/drain", "bad InvalidSpec no session", "dual", "key", "tor", "twin Conflicting no session", mail, idle},
		"nowhere": {"barred: there is no such Node", "198.51.100.1: no BGPAdvertisement that is for it selects the node",
			"198.51.100.2: no BGPAdvertisement that is for it selects the node", "198.51.100.3: no BGPAdvertisement that is for it selects the node",
			"198.51.100.4: no BGPAdvertisement that is for it selects the node", "2001:db8:1::1: no BGPAdvertisement that is for it selects the node"},
	} {
		if got := views[name].lines(); !slices.Equal(got, want) {
			t.Errorf("node %s:\n\t%s\nwant\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	o.BGPAdvertisements = nil
	if why := Advertised("", o, "a")["a"].Addresses[netip.MustParseAddr("198.51.100.1")].Why; why != "no BGPAdvertisement is for it" {
		t.Errorf("without advertisements: %q", why)
	}
	if p := views["b"].Peers["rack2"].Session; p.NextHops[0] != netip.MustParseAddr("192.0.2.11") || views["a"].Phase != bgp.Serving || views["drained"].Phase != bgp.Gone {
		t.Errorf("%+v", views)
	}
}

// What one Service costs does not grow with the number of the others.
func BenchmarkServiceAdvertised(b *testing.B) {
	for _, size := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := &bgpWorld{newVIPWorld(b), &fakeBGP{}}
			w.routing.engine = nobody{}
			w.put(w.pools.GetStore(), &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "edge"},
				Spec: v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"198.18.0.0/15"}}})
			w.readPools()
			w.put(w.nodes.GetStore(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
			w.setNode(lb.Key{Name: "n"})
			w.routes("all", v1alpha1.BGPAdvertisementSpec{AggregationLength: ptr.To[int32](24)})
			w.routes("web", v1alpha1.BGPAdvertisementSpec{ServiceSelectors: match("app", "web"), Communities: []v1alpha1.CommunityReference{"no-export"}})
			a := netip.MustParseAddr("198.18.0.0")
			for i := range size {
				w.put(w.services.GetStore(), service(fmt.Sprint("web-", i), i, "web", "", a.String()))
				a = a.Next()
			}
			w.setAllServices()
			web, dns := service("web-7", 7, "web", "", "198.18.0.7"), service("web-7", 7, "dns", "", "198.18.0.7")
			for i := 0; b.Loop(); i++ {
				svc := web
				if i%2 == 0 {
					svc = dns
				}
				w.put(w.services.GetStore(), svc)
				w.setService(k8s.Key(svc))
			}
		})
	}
}
