package speaker

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	fairleadfake "github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned/fake"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// vipWorld is a speaker whose watches do not run: a test puts into their stores what they would bring, and
// counts what the engine is told.
type vipWorld struct {
	*Speaker
	t      testing.TB
	told   int
	here   []layer2.Link // this node's interfaces
	events []string
}

func newVIPWorld(t testing.TB) *vipWorld {
	w := &vipWorld{t: t}
	w.Speaker = New(Config{
		Node: "n", Namespace: "fairlead-system", Cluster: &k8s.Cluster{Core: fake.NewClientset(), Fairlead: fairleadfake.NewSimpleClientset()},
		Log: slog.New(slog.DiscardHandler),
	})
	w.tell = func(func(*layer2.Elector)) { w.told++ }
	w.links = func() []layer2.Link { return w.here }
	w.record = func(e k8s.Event) {
		w.events = append(w.events, fmt.Sprintf("%s %s %s: %s", e.About.Kind, e.About.Name, e.Reason, e.Message))
	}
	w.put(w.pools.GetStore(), &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "edge"},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"192.0.2.0/24"}},
	})
	w.readPools()
	return w
}

func (w *vipWorld) put(store cache.Store, object any) {
	w.t.Helper()
	if err := store.Update(object); err != nil {
		w.t.Fatal(err)
	}
}

// advertise has an advertisement cover the Services with a label app.
func (w *vipWorld) advertise(name, app string) {
	a := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.L2AdvertisementSpec{ServiceSelectors: match("app", app)}}
	w.put(w.advertisements.GetStore(), a)
	w.setAdvertisement(lb.Key{Name: name})
}

// service is one that shows addresses. Born tells its age: the lowest is the oldest.
func service(name string, born int, app, key string, addresses ...string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: "u", Labels: map[string]string{"app": app},
			CreationTimestamp: metav1.NewTime(time.Unix(int64(born), 0)),
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	if key != "" {
		svc.Annotations = map[string]string{k8s.AnnotationSharing: key}
	}
	for _, a := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return svc
}

func local(svc *corev1.Service) *corev1.Service {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	return svc
}

// set stores Services and has the speaker look at each. It returns how often the engine was told something.
func (w *vipWorld) set(services ...*corev1.Service) int {
	w.t.Helper()
	w.told = 0
	for _, svc := range services {
		w.put(w.services.GetStore(), svc)
		w.setService(k8s.Key(svc))
	}
	return w.told
}

func (w *vipWorld) remove(svc *corev1.Service) {
	w.t.Helper()
	if err := w.services.GetStore().Delete(svc); err != nil {
		w.t.Fatal(err)
	}
	w.setService(k8s.Key(svc))
}

// endpoints puts a slice of a Service with an endpoint on each node.
func (w *vipWorld) endpoints(service string, nodes ...string) {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: service + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{NodeName: ptr.To(n)})
	}
	w.put(w.slices.GetStore(), s)
	w.setService(lb.Key{Namespace: "default", Name: service})
}

// expect fails the test unless the engine was told of exactly these, each as "address service scopes", with
// "on nodes" where only nodes with an endpoint may answer.
func (w *vipWorld) expect(want ...string) {
	w.t.Helper()
	var got []string
	for _, a := range sorted(slices.Collect(maps.Keys(w.vips))) {
		v := w.vips[a]
		line := fmt.Sprintf("%s %s %s", v.Address, v.Service.Name, strings.Join(v.Scopes, "+"))
		if v.Endpoints != nil {
			line += " on " + strings.Join(slices.Sorted(maps.Keys(v.Endpoints)), "+")
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("the engine was told of\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestVIPs(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	tests := []struct {
		name     string
		services []*corev1.Service
		want     []string
	}{
		{"a Service", []*corev1.Service{service("web", 1, "web", "", a)}, []string{a + " web w"}},
		{"each of a Service's addresses, once", []*corev1.Service{service("web", 1, "web", "", b, a, b)}, []string{a + " web w", b + " web w"}},
		{"one that no advertisement covers", []*corev1.Service{service("other", 1, "other", "", a)}, []string{a + " other "}},
		{"an address in no pool", []*corev1.Service{service("web", 1, "web", "", "198.51.100.1")}, nil},
		{"those that share are announced for both", []*corev1.Service{service("web", 1, "web", "k", a), service("dns", 2, "dns", "k", a)},
			[]string{a + " web d+w"}},
		{"the oldest is not covered, another that shares is", []*corev1.Service{service("other", 1, "other", "k", a), service("dns", 2, "dns", "k", a)},
			[]string{a + " other d"}},
		{"the order in which they become known does not matter", []*corev1.Service{service("dns", 2, "dns", "k", a), service("other", 1, "other", "k", a)},
			[]string{a + " other d"}},
		{"of one age the first by name is the oldest", []*corev1.Service{service("web", 1, "web", "k", a), service("dns", 1, "dns", "k", a)},
			[]string{a + " dns d+w"}},
		{"without a key only the oldest counts", []*corev1.Service{service("web", 1, "web", "", a), service("dns", 2, "dns", "", a)},
			[]string{a + " web w"}},
		{"a younger one of another key does not count", []*corev1.Service{service("web", 1, "web", "k", a), service("dns", 2, "dns", "l", a)},
			[]string{a + " web w"}},
		{"a younger one without a key does not count", []*corev1.Service{service("web", 1, "web", "k", a), service("dns", 2, "dns", "", a)},
			[]string{a + " web w"}},
		{"an older one without a key counts alone", []*corev1.Service{service("web", 1, "web", "", a), service("dns", 2, "dns", "k", a), service("x", 3, "other", "k", a)},
			[]string{a + " web w"}},
		{"a key that cannot be one shares with nobody", []*corev1.Service{service("web", 1, "web", "k\x00", a), service("dns", 2, "dns", "k\x00", a)},
			[]string{a + " web w"}},
		{"of several addresses, one is shared", []*corev1.Service{service("web", 1, "web", "k", a, b), service("dns", 2, "dns", "k", b)},
			[]string{a + " web w", b + " web d+w"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newVIPWorld(t)
			w.advertise("w", "web")
			w.advertise("d", "dns")
			w.set(tt.services...)
			w.expect(tt.want...)
			w.told = 0
			w.setAllServices()
			w.expect(tt.want...)
			if w.told > 0 {
				t.Errorf("a second look at all told the engine %d things", w.told)
			}
		})
	}
}

func TestSharersChange(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	begin := func(t *testing.T) *vipWorld {
		w := newVIPWorld(t)
		w.advertise("w", "web")
		w.advertise("d", "dns")
		w.set(service("web", 1, "web", "k", a), service("dns", 2, "dns", "k", a), service("far", 3, "web", "", b))
		w.expect(a+" web d+w", b+" far w")
		return w
	}
	t.Run("a sharer's labels change", func(t *testing.T) {
		w := begin(t)
		w.set(service("dns", 2, "other", "k", a))
		w.expect(a+" web w", b+" far w")
	})
	t.Run("a sharer's key changes", func(t *testing.T) {
		w := begin(t)
		w.set(service("dns", 2, "dns", "l", a))
		w.expect(a+" web w", b+" far w")
	})
	t.Run("a sharer is added", func(t *testing.T) {
		w := begin(t)
		w.advertise("m", "mail")
		w.expect(a+" web d+w", b+" far w")
		w.set(service("mail", 4, "mail", "k", a))
		w.expect(a+" web d+m+w", b+" far w")
	})
	t.Run("a sharer that makes no difference tells the engine nothing", func(t *testing.T) {
		w := begin(t)
		if told := w.set(service("dns-2", 4, "dns", "k", a)); told > 0 {
			t.Errorf("told %d things", told)
		}
	})
	t.Run("the oldest leaves, and the address stays", func(t *testing.T) {
		w := begin(t)
		w.told = 0
		w.remove(service("web", 1, "web", "k", a))
		w.expect(a+" dns d", b+" far w")
		if w.told != 1 {
			t.Errorf("told %d things: the address is to change hands, not to go and come", w.told)
		}
		w.remove(service("dns", 2, "dns", "k", a))
		w.expect(b + " far w")
	})
	t.Run("the oldest is given another address", func(t *testing.T) {
		w := begin(t)
		w.set(service("web", 1, "web", "k", "192.0.2.3"))
		w.expect(a+" dns d", b+" far w", "192.0.2.3 web w")
	})
	t.Run("the oldest is another's Service now", func(t *testing.T) {
		w := begin(t)
		foreign := service("web", 1, "web", "k", a)
		foreign.Spec.LoadBalancerClass = ptr.To("example.com/other")
		w.set(foreign)
		w.expect(a+" dns d", b+" far w")
	})
	t.Run("ports are the controller's business", func(t *testing.T) {
		w := begin(t)
		clash := service("dns", 2, "dns", "k", a)
		clash.Spec.Ports = []corev1.ServicePort{{Port: 80}}
		if told := w.set(clash); told > 0 {
			t.Errorf("told %d things", told)
		}
	})
	t.Run("an advertisement goes", func(t *testing.T) {
		w := begin(t)
		if err := w.advertisements.GetStore().Delete(&v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "w"}}); err != nil {
			t.Fatal(err)
		}
		w.setAdvertisement(lb.Key{Name: "w"})
		w.expect(a+" web d", b+" far ")
	})
}

// Those that share have the same Pods, but each has slices of its own, and these change one after another.
func TestSharersEndpoints(t *testing.T) {
	const a = "192.0.2.1"
	w := newVIPWorld(t)
	w.advertise("w", "web")
	w.set(local(service("web", 1, "web", "k", a)), local(service("quic", 2, "web", "k", a)))
	w.expect(a + " web w on ")
	w.endpoints("web", "n1", "n2")
	w.endpoints("quic", "n1", "n2")
	w.expect(a + " web w on n1+n2")
	w.told = 0
	w.endpoints("quic", "n2", "n3")
	w.expect(a + " web w on n1+n2")
	if w.told > 0 {
		t.Errorf("told %d things of a slice that is not the oldest's", w.told)
	}
	w.endpoints("web", "n2", "n3")
	w.expect(a + " web w on n2+n3")
	w.endpoints("quic", "n3")
	w.remove(service("web", 1, "web", "k", a))
	w.expect(a + " quic w on n3")
}

// What one Service costs does not grow with the number of the others.
func TestOneServiceTouchesNoOther(t *testing.T) {
	w := newVIPWorld(t)
	w.advertise("w", "web")
	for i := range 100 {
		w.set(service(fmt.Sprint("web-", i), i, "web", "", fmt.Sprint("192.0.2.", i)))
	}
	if told := w.set(service("web-7", 7, "other", "", "192.0.2.7")); told != 1 {
		t.Errorf("one Service's labels told the engine %d things", told)
	}
	if told := w.set(service("web-7", 7, "other", "", "192.0.2.7")); told != 0 {
		t.Errorf("no change told the engine %d things", told)
	}
}

func TestOwnerEventsReachAllThatShare(t *testing.T) {
	const a = "192.0.2.1"
	w := newVIPWorld(t)
	w.set(service("web", 1, "web", "k", a), service("dns", 2, "dns", "k", a), service("alien", 3, "web", "", a))
	var got []string
	for _, from := range []string{"", "m"} {
		c := layer2.Change{Address: netip.MustParseAddr(a), Claimed: true, From: from, Interfaces: []string{"eth0"}}
		for _, e := range w.ownerEvents(c, "") {
			got = append(got, fmt.Sprintf("%s %s: %s", e.About.Name, e.Reason, e.Message))
		}
	}
	want := []string{
		"web OwnerElected: n answers for 192.0.2.1 on eth0",
		"dns OwnerElected: n answers for 192.0.2.1 on eth0",
		"web OwnerChanged: n answers for 192.0.2.1 on eth0, taken over from m",
		"dns OwnerChanged: n answers for 192.0.2.1 on eth0, taken over from m",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestWhyAnAddressMoved(t *testing.T) {
	for _, tt := range []struct{ name, cause, barred, want string }{
		{"its node was lost", "Lost", "", "taken over from m, which was lost"},
		{"its speaker did not come back", "Left", "", "taken over from m, whose speaker is gone"},
		{"its node is drained", "Moved", "annotation fairlead.dev/drain", "moved from m: annotation fairlead.dev/drain"},
		{"its node is not selected any more", "Moved", "", "moved from m, which may not own it any more"},
		{"a rebalance", "Rebalanced", "", "given by m to spread the load"},
		{"two owners met", "Settled", "", "for which m had answered as well"},
		{"a cause that is not known here", "Other", "x", "taken over from m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := WhyChanged(tt.cause, "m", tt.barred); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A pool says whether the segment is asked before an address is announced, also for addresses that are known.
func TestProbe(t *testing.T) {
	w := newVIPWorld(t)
	w.advertise("w", "web")
	w.set(service("web", 1, "web", "", "192.0.2.1"))
	if w.vips[netip.MustParseAddr("192.0.2.1")].Probe {
		t.Error("probes unasked")
	}
	w.told = 0
	w.put(w.pools.GetStore(), &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "edge"},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"192.0.2.0/24"}, ConflictDetection: true},
	})
	w.setPools()
	if !w.vips[netip.MustParseAddr("192.0.2.1")].Probe || w.told != 1 {
		t.Errorf("told %d things, %+v", w.told, w.vips)
	}
}
