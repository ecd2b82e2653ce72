package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	fairleadfake "github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned/fake"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// service is one of type LoadBalancer that asks for an IPv4 address and shows addresses.
func service(namespace, name string, shows ...string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, ip := range shows {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	return svc
}

func sharing(svc *corev1.Service, port int32) *corev1.Service {
	svc.Annotations[k8s.AnnotationSharing], svc.Spec.Ports[0].Port = "key", port
	return svc
}

func pool(name string, addresses ...v1alpha1.AddressRange) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
}

// selecting is a pool for namespaces with the label team=web.
func selecting(p *v1alpha1.IPAddressPool) *v1alpha1.IPAddressPool {
	p.Spec.ServiceAllocation = &v1alpha1.ServiceAllocation{
		NamespaceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"team": "web"}}}}
	return p
}

type clients struct {
	core     *fake.Clientset
	fairlead *fairleadfake.Clientset
}

func cluster(objects ...runtime.Object) (*k8s.Cluster, clients) {
	var core, ours []runtime.Object
	for _, o := range objects {
		switch o.(type) {
		case *v1alpha1.IPAddressPool, *v1alpha1.L2Advertisement, *v1alpha1.Speaker, *v1alpha1.BGPPeer, *v1alpha1.BGPAdvertisement,
			*v1alpha1.BFDProfile, *v1alpha1.Community:
			ours = append(ours, o)
		default:
			core = append(core, o)
		}
	}
	c := clients{fake.NewSimpleClientset(core...), fairleadfake.NewSimpleClientset(ours...)}
	return &k8s.Cluster{Core: c.core, Fairlead: c.fairlead}, c
}

// forbid refuses a verb, in a namespace or in all for "*".
func (c clients) forbid(verb, resource, namespace string) {
	react := func(a clienttesting.Action) (bool, runtime.Object, error) {
		return namespace == "*" || a.GetNamespace() == namespace, nil, apierrors.NewForbidden(
			schema.GroupResource{Resource: resource}, "", fmt.Errorf("User %q cannot %s resource %q", "eve", verb, resource))
	}
	c.core.PrependReactor(verb, resource, react)
	c.fairlead.PrependReactor(verb, resource, react)
}

func TestLoad(t *testing.T) {
	web := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"team": "web"}}}
	objects := func() []runtime.Object {
		return []runtime.Object{web, selecting(pool("edge", "192.0.2.1")), sharing(service("web", "a", "192.0.2.1"), 80),
			sharing(service("shop", "b", "192.0.2.1"), 443), service("shop", "c"), speakerOf("node1", "192.0.2.1"), nodes("node1")[0],
			&v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main"}}}
	}
	services := func(c *k8s.Cluster) (string, []string, error) {
		s, err := LoadServicesOf(context.Background(), c, "", "web")
		if err != nil {
			return "", nil, err
		}
		var out strings.Builder
		_ = WriteServices(&out, ServicesIn(Services(s), "web"), Format{})
		return out.String(), s.Notes, nil
	}
	explain := func(name lb.Key) func(c *k8s.Cluster) (string, []string, error) {
		return func(c *k8s.Cluster) (string, []string, error) {
			e, notes, err := LoadExplanation(context.Background(), c, "", name)
			if err != nil {
				return "", notes, err
			}
			var out strings.Builder
			_ = WriteExplanation(&out, e, Format{})
			return out.String(), notes, err
		}
	}
	plan := func(c *k8s.Cluster) (string, []string, error) {
		p, notes, err := LoadPlan(context.Background(), c, "", []Manifest{{Pool: pool("more", "192.0.2.2"), Source: "file"}}, nil)
		if err != nil {
			return "", notes, err
		}
		return p.Summary.String(), notes, err
	}
	owners := func(c *k8s.Cluster) (string, []string, error) {
		s, err := LoadSegment(context.Background(), c, "")
		if err != nil {
			return "", nil, err
		}
		var out strings.Builder
		_ = WriteOwners(&out, Owners(s), Format{})
		return out.String(), s.Notes, err
	}
	address := func(c *k8s.Cluster) (string, []string, error) {
		e, notes, err := LoadAddressExplanation(context.Background(), c, "", netip.MustParseAddr("192.0.2.1"))
		if err != nil {
			return "", notes, err
		}
		var out strings.Builder
		_ = WriteAddressExplanation(&out, e, Format{})
		return out.String(), notes, err
	}
	tests := []struct {
		name             string
		run              func(*k8s.Cluster) (string, []string, error)
		forbid           [3]string
		want, note, fail string
	}{
		{name: "a namespace's Services show who shares with them elsewhere", run: services, want: "192.0.2.1 (shared by 2)"},
		{name: "and go without, where other namespaces may not be read", run: services, forbid: [3]string{"list", "services", ""},
			want: "web        a     192.0.2.1  edge", note: "you may not read Services in all namespaces"},
		{name: "pools that may not be listed", run: services, forbid: [3]string{"list", "ipaddresspools", "*"},
			want: "192.0.2.1 (shared by 2)  ?      Undecided",
			note: `you may not read IPAddressPools: ipaddresspools is forbidden: User "eve" cannot list resource "ipaddresspools": which pools`},
		{name: "Services that may not be listed", run: services, forbid: [3]string{"list", "services", "web"},
			fail: "you may not read Services in namespace web: services is forbidden"},
		{name: "an explanation reads the one namespace's labels", run: explain(lb.Key{Namespace: "web", Name: "a"}),
			forbid: [3]string{"list", "namespaces", "*"}, want: "edge  has it"},
		{name: "and says what is unknown without them", run: explain(lb.Key{Namespace: "shop", Name: "c"}), forbid: [3]string{"get", "namespaces", "*"},
			want: "edge  unknown  selects namespaces by their labels, and those of namespace shop could not be read",
			note: "you may not read namespace shop: "},
		{name: "an explanation of nothing", run: explain(lb.Key{Namespace: "shop", Name: "z"}), fail: "there is no Service shop/z"},
		{name: "an explanation without the Services of all namespaces is what the Service itself says", run: explain(lb.Key{Namespace: "shop", Name: "c"}),
			forbid: [3]string{"list", "services", ""}, want: "The condition is what the controller says;", note: "you may not read Services in all namespaces"},
		{name: "and so without the pools", run: explain(lb.Key{Namespace: "shop", Name: "c"}),
			forbid: [3]string{"list", "ipaddresspools", "*"}, want: "has        no address", note: "you may not read IPAddressPools"},
		{name: "owners", run: owners, want: "192.0.2.1  shop/b +1  node1  eth0\n"},
		{name: "owners without the Services are what speakers say alone", run: owners, forbid: [3]string{"list", "services", "*"},
			want: "192.0.2.1  -        node1  eth0\n", note: "you may not read Services in all namespaces"},
		{name: "owners without the Nodes", run: owners, forbid: [3]string{"list", "nodes", "*"}, want: "192.0.2.1  shop/b +1  node1  eth0\n",
			note: `you may not read Nodes: nodes is forbidden: User "eve" cannot list resource "nodes": who may own which address is unknown`},
		{name: "there are no owners without the Speakers", run: owners, forbid: [3]string{"list", "speakers", "*"}, fail: "you may not read Speakers"},
		{name: "an address", run: address, want: "node1  owns it  1"},
		{name: "an address without the advertisements", run: address, forbid: [3]string{"list", "l2advertisements", "*"},
			want: "Which nodes may own it is unknown, without the L2Advertisements.", note: "you may not read L2Advertisements"},
		{name: "a plan", run: plan, want: "3 Services: 2 kept, 0 moved, 0 lost, 0 pending, 1 newly assigned."},
		{name: "a plan without the labels of namespaces", run: plan, forbid: [3]string{"list", "namespaces", "*"},
			want: "3 Services: 2 kept", note: "you may not read namespaces: namespaces is forbidden"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, clients := cluster(objects()...)
			if tt.forbid[0] != "" {
				clients.forbid(tt.forbid[0], tt.forbid[1], tt.forbid[2])
			}
			got, notes, err := tt.run(c)
			if tt.fail != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fail) {
					t.Fatalf("error %v, want %q", err, tt.fail)
				}
				return
			}
			if err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("%v\n%s\nwant %q", err, got, tt.want)
			}
			if said := strings.Join(notes, "\n"); (tt.note == "") != (said == "") || !strings.Contains(said, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

// Labels of namespaces are no user's business where no pool asks for them.
func TestNamespacesAreReadOnlyIfNeeded(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1"), service("web", "a"))
	clients.forbid("*", "namespaces", "*")
	if _, notes, err := LoadPlan(t.Context(), c, "", nil, []string{"edge"}); err != nil || len(notes) > 0 {
		t.Errorf("%v, notes %q", err, notes)
	}
	_, notes, err := LoadPlan(t.Context(), c, "", []Manifest{{Pool: selecting(pool("edge", "192.0.2.1")), Source: "file"}}, nil)
	if err != nil || len(notes) != 1 {
		t.Errorf("%v, notes %q", err, notes)
	}
}

// Speakers are no user's business where no pool detects conflicts, and a list of 500 of them takes its time.
func TestConflictsAreReadOnlyIfNeeded(t *testing.T) {
	detecting := pool("edge", "192.0.2.1-192.0.2.2")
	detecting.Spec.ConflictDetection = true
	finder := speakerOf("node1")
	finder.Status.Layer2.Conflicts = []v1alpha1.AddressConflict{{Address: "192.0.2.1", HardwareAddress: "02:00:00:00:00:09", Interface: "eth0", Detected: true}}
	for _, tt := range []struct {
		name       string
		living     *v1alpha1.IPAddressPool
		apply      []Manifest
		forbid     bool
		want, note string
	}{
		{name: "no pool detects conflicts", living: pool("edge", "192.0.2.1-192.0.2.2"), forbid: true, want: "edge  yes     would give 192.0.2.1"},
		{name: "a pool does", living: detecting, want: "edge  yes     would give 192.0.2.2"},
		{name: "a pool does, and Speakers may not be read", living: detecting, forbid: true, want: "edge  yes     would give 192.0.2.1",
			note: `you may not read Speakers: speakers is forbidden: User "eve" cannot list resource "speakers": which addresses are set aside is unknown`},
		{name: "a pool is to", living: pool("edge", "192.0.2.1-192.0.2.2"), apply: []Manifest{{Pool: detecting, Source: "file"}}, forbid: true,
			note: "you may not read Speakers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, clients := cluster(tt.living, service("web", "a"), finder)
			if tt.forbid {
				clients.forbid("list", "speakers", "*")
			}
			var out strings.Builder
			var notes []string
			var err error
			if tt.apply != nil {
				_, notes, err = LoadPlan(t.Context(), c, "", tt.apply, nil)
			} else {
				var e *Explanation
				if e, notes, err = LoadExplanation(t.Context(), c, "", lb.Key{Namespace: "web", Name: "a"}); err == nil {
					err = WriteExplanation(&out, e, Format{})
				}
			}
			if err != nil || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%v\n%s\nwant %q", err, &out, tt.want)
			}
			if said := strings.Join(notes, "\n"); (tt.note == "") != (said == "") || !strings.Contains(said, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

// What client-go says of an API server that does not help is put in words, in a line.
func TestTrouble(t *testing.T) {
	answer := func(code int, reason metav1.StatusReason, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"custom resource definitions are missing", answer(404, metav1.StatusReasonNotFound, "the server could not find the requested resource"),
			"the cluster has no IPAddressPools: are Fairlead's custom resource definitions installed?"},
		{"credentials are wrong", answer(401, metav1.StatusReasonUnauthorized, "Unauthorized"), "the API server does not accept your credentials: Unauthorized"},
		{"rights are missing", answer(403, metav1.StatusReasonForbidden, "forbidden: no"), "you may not read IPAddressPools: forbidden: no"},
		{"the server is ill", answer(500, metav1.StatusReasonInternalError, "etcd is away"), "reading IPAddressPools: etcd is away"},
		{"the answer takes too long", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer in time"},
		{"the server is not there", nil, "cannot be reached: dial tcp 127.0.0.1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			if tt.answer == nil {
				server.Close()
			}
			o := Options{Kubeconfig: kubeconfig(t, server.URL, "shop"), RequestTimeout: "2s"}
			c, err := o.Connect("test")
			if err != nil {
				t.Fatal(err)
			}
			_, err = LoadPools(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if err := trouble("Services", context.Canceled); err == nil || err.Error() != "interrupted" {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if err := trouble("Services", errors.New("x509: certificate has expired")); err == nil ||
		err.Error() != "the API server cannot be reached: x509: certificate has expired" {
		t.Errorf("with an expired certificate: %v", err)
	}
}

func kubeconfig(t *testing.T, server, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: %q}}],
users: [{name: a, user: {}}], contexts: [{name: a, context: {cluster: a, user: a, namespace: %s}}, {name: b, context: {cluster: a, user: a}}]}`,
		server, namespace)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOptions(t *testing.T) {
	path := kubeconfig(t, "http://127.0.0.1:1", "shop")
	tests := []struct {
		name, env       string
		o               Options
		namespace, fail string
	}{
		{name: "the namespace is the context's", o: Options{Kubeconfig: path}, namespace: "shop"},
		{name: "$KUBECONFIG counts without the flag", env: path, namespace: "shop"},
		{name: "another context", o: Options{Kubeconfig: path, Context: "b"}, namespace: "default"},
		{name: "-n goes first", o: Options{Kubeconfig: path, Namespace: "web"}, namespace: "web"},
		{name: "a context that does not exist", o: Options{Kubeconfig: path, Context: "z"}, fail: `context "z" does not exist`},
		{name: "a time that is none", o: Options{Kubeconfig: path, RequestTimeout: "5x"}, fail: `--request-timeout "5x" is not a time`},
		{name: "seconds without a unit", o: Options{Kubeconfig: path, RequestTimeout: "5"}, namespace: "shop"},
		{name: "no cluster at all", env: "/nowhere", fail: "no cluster is configured: set KUBECONFIG, or give --kubeconfig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			t.Setenv("HOME", t.TempDir())
			_, err := tt.o.Connect("test")
			if tt.fail != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fail) {
					t.Errorf("error %v, want %q", err, tt.fail)
				}
				return
			}
			namespace, nerr := tt.o.CurrentNamespace()
			if err != nil || nerr != nil || namespace != tt.namespace {
				t.Errorf("namespace %q (%v, %v), want %q", namespace, err, nerr, tt.namespace)
			}
		})
	}
}

// Addresses that wait are taken from pools' statuses, unless their wait is over.
func TestRetained(t *testing.T) {
	p := pool("edge", "192.0.2.1-192.0.2.2")
	p.Spec.Retention = &metav1.Duration{Duration: time.Hour}
	p.Status.Retained = []v1alpha1.RetainedAddress{
		{Address: "192.0.2.1", Namespace: "web", Name: "gone", Until: metav1.NewTime(now.Add(time.Minute))},
		{Address: "192.0.2.2", Namespace: "web", Name: "long-gone", Until: metav1.NewTime(now.Add(-time.Minute))},
	}
	s := &Snapshot{Services: []*corev1.Service{service("web", "new"), service("web", "gone")}, Pools: []*v1alpha1.IPAddressPool{p}, Time: now}
	got := map[string]string{}
	for _, name := range []string{"new", "gone"} {
		e, err := Explain(s, lb.Key{Namespace: "web", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		got[name] = e.Families[0].Pools[0].Why
	}
	want := map[string]string{"new": "would give 192.0.2.2", "gone": "would give 192.0.2.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// forbidWatch refuses to watch a kind.
func (c clients) forbidWatch(resource string) {
	react := func(clienttesting.Action) (bool, watch.Interface, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", fmt.Errorf("User %q cannot watch resource %q", "eve", resource))
	}
	c.core.PrependWatchReactor(resource, react)
	c.fairlead.PrependWatchReactor(resource, react)
}
