package plugin

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// cluster has objects, and serves the kinds of MetalLB in two versions.
func clusterOf(t *testing.T, yaml string) (*foreign, *dynamicfake.FakeDynamicClient) {
	t.Helper()
	read, err := migrate.Read("test", strings.NewReader(yaml))
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, s := range read {
		objects = append(objects, &unstructured.Unstructured{Object: s.Object})
	}
	kinds := map[schema.GroupVersionResource]string{
		{Group: "apps", Version: "v1", Resource: "daemonsets"}:                     "DaemonSetList",
		{Group: "apps", Version: "v1", Resource: "deployments"}:                    "DeploymentList",
		{Group: "apps", Version: "v1", Resource: "statefulsets"}:                   "StatefulSetList",
		{Version: "v1", Resource: "configmaps"}:                                    "ConfigMapList",
		{Version: "v1", Resource: "services"}:                                      "ServiceList",
		{Version: "v1", Resource: "pods"}:                                          "PodList",
		{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}:      "IPAddressPoolList",
		{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"}:            "BGPPeerList",
		{Group: "metallb.io", Version: "v1beta1", Resource: "bgppeers"}:            "BGPPeerList",
		{Group: "metallb.io", Version: "v1beta1", Resource: "futures"}:             "FutureList",
		{Group: "metallb.io", Version: "v1beta1", Resource: "configurationstates"}: "ConfigurationStateList",
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
	resource := func(name, kind string) metav1.APIResource {
		return metav1.APIResource{Name: name, Kind: kind, Namespaced: true, Verbs: metav1.Verbs{"list", "get"}}
	}
	d := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}
	d.Resources = []*metav1.APIResourceList{
		{GroupVersion: "metallb.io/v1beta2", APIResources: []metav1.APIResource{resource("bgppeers", "BGPPeer")}},
		{GroupVersion: "metallb.io/v1beta1", APIResources: []metav1.APIResource{resource("bgppeers", "BGPPeer"), resource("ipaddresspools", "IPAddressPool"),
			resource("futures", "Future"), resource("configurationstates", "ConfigurationState")}},
		{GroupVersion: "other.io/v1", APIResources: []metav1.APIResource{resource("others", "Other")}},
	}
	return &foreign{client: client, discovery: d, system: migrate.MetalLB, namespaces: []string{"metallb-system"}}, client
}

const metalLBCluster = `
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: edge, namespace: lb}, spec: {addresses: [192.0.2.0/28]}}
---
{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: router, namespace: lb}}
---
{apiVersion: metallb.io/v1beta1, kind: Future, metadata: {name: tomorrow, namespace: lb}}
---
{apiVersion: metallb.io/v1beta1, kind: ConfigurationState, metadata: {name: controller, namespace: lb}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: config, namespace: lb}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: unrelated, namespace: lb}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: speaker, namespace: lb}, spec: {template: {spec: {containers: [{image: "quay.io/metallb/speaker:v0.15.2"}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: shop}, spec: {template: {spec: {containers: [{image: nginx}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer}}
`

// titles are what was read, sorted.
func (s *foreign) titles() (titles []string) {
	for _, source := range s.found {
		u := unstructured.Unstructured{Object: source.Object}
		titles = append(titles, u.GetAPIVersion()+" "+u.GetKind()+" "+u.GetNamespace()+"/"+u.GetName())
	}
	slices.Sort(titles)
	return titles
}

func TestReadsWhatAnotherSystemHas(t *testing.T) {
	s, client := clusterOf(t, metalLBCluster)
	if err := s.load(t.Context()); err != nil || len(s.unread) > 0 {
		t.Fatal(err, s.unread)
	}
	want := []string{"apps/v1 DaemonSet lb/speaker", "metallb.io/v1beta1 Future lb/tomorrow", "metallb.io/v1beta1 IPAddressPool lb/edge",
		"metallb.io/v1beta2 BGPPeer lb/router", "v1 ConfigMap lb/config", "v1 Service shop/web"}
	if got := s.titles(); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	for _, a := range client.Actions() {
		if v := a.GetVerb(); v != "list" && v != "get" {
			t.Errorf("it did %s %s", v, a.GetResource().Resource)
		}
	}
}

// One who may read the system's namespace alone gets what is there, and is told what is missing.
func TestReadsWhatOneMay(t *testing.T) {
	s, client := clusterOf(t, metalLBCluster)
	s.namespaces = []string{"lb"}
	client.PrependReactor("list", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetNamespace() != "" && a.GetResource().Resource != "futures" || a.GetResource().Resource == "services" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", nil)
	})
	if err := s.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.titles(); !slices.Contains(got, "metallb.io/v1beta1 IPAddressPool lb/edge") || slices.Contains(got, "metallb.io/v1beta1 Future lb/tomorrow") {
		t.Errorf("read %q", got)
	}
	if want := []string{"futures in namespace lb"}; !slices.Equal(s.unread, want) {
		t.Errorf("unread are %q, want %q", s.unread, want)
	}
}

func TestSwitch(t *testing.T) {
	const pools = `
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: edge, namespace: lb}, spec: {addresses: [192.0.2.0/28]}}
---
{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: team, namespace: lb}, spec: {addresses: [198.51.100.0/28], serviceAllocation: {namespaceSelectors: [{matchLabels: {team: a}}]}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: a}}}
---
`
	tests := []struct {
		name     string
		services string
		class    string // Fairlead's
		served   string // the other system's
		want     string
		status   int
	}{
		{"keeps an address that a pool has", serviceYAML("web", "", "", "192.0.2.3"), "", "", "web kept 192.0.2.3 192.0.2.3", 0},
		{"keeps an address of a pool for its namespace", serviceYAML("web", "", "", "198.51.100.3"), "", "", "web kept 198.51.100.3 198.51.100.3", 0},
		{"loses an address that no pool has", serviceYAML("web", "", "", "203.0.113.3"), "", "", "web lost 203.0.113.3 - the status has 203.0.113.3, which no pool holds", 1},
		{"waits on, and is no change", serviceYAML("web", "metallb.io/address-pool: nowhere", "", ""), "", "", "web pending - - there is no pool \"nowhere\"", 0},
		{"gets one at last", serviceYAML("web", "", "", ""), "", "", "web assigned - 198.51.100.0", 0},
		{"of a class that Fairlead is not to serve", serviceYAML("web", "", "loadBalancerClass: metallb.io/metallb", "192.0.2.3"), "", "metallb.io/metallb",
			"web lost 192.0.2.3 - Fairlead does not serve the class metallb.io/metallb: install it with loadBalancerClass: metallb.io/metallb", 1},
		{"of a class that Fairlead is to serve", serviceYAML("web", "", "loadBalancerClass: metallb.io/metallb", "192.0.2.3"), "metallb.io/metallb", "metallb.io/metallb",
			"web kept 192.0.2.3 192.0.2.3", 0},
		{"of another's class", serviceYAML("web", "", "loadBalancerClass: example.com/lb", "192.0.2.3"), "", "", "web elsewhere 192.0.2.3 192.0.2.3 neither system is known to serve its class example.com/lb", 0},
		{"without a class, where both serve one", serviceYAML("web", "", "", "192.0.2.3"), "metallb.io/metallb", "metallb.io/metallb",
			"web elsewhere 192.0.2.3 192.0.2.3 it has no class, and neither system serves such", 0},
		{"shared by a key", serviceYAML("one", "metallb.universe.tf/allow-shared-ip: k", "", "192.0.2.3") + serviceYAML("two", "metallb.universe.tf/allow-shared-ip: k", "port: 81", "192.0.2.3"), "", "",
			"one kept 192.0.2.3 192.0.2.3\ntwo kept 192.0.2.3 192.0.2.3", 0},
		{"shared without one", serviceYAML("one", "", "", "192.0.2.3") + serviceYAML("two", "", "port: 81", "192.0.2.3"), "", "",
			"two moved 192.0.2.3 198.51.100.0 192.0.2.3 is a/one's too; Services share an address if all have one key in fairlead.dev/allow-shared-ip", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sources, err := migrate.Read("test", strings.NewReader(pools+tt.services))
			if err != nil {
				t.Fatal(err)
			}
			made, err := migrate.Convert(migrate.MetalLB, sources).Pools()
			if err != nil {
				t.Fatal(err)
			}
			s := SnapshotOf(sources)
			s.Class = tt.class
			sw, err := MakeSwitch(s, made, tt.served)
			if err != nil {
				t.Fatal(err)
			}
			if sw.ExitStatus() != tt.status {
				t.Errorf("exit status %d, want %d", sw.ExitStatus(), tt.status)
			}
			var got []string
			for _, row := range sw.Services {
				got = append(got, strings.TrimSpace(strings.Join([]string{row.Name, string(row.Change), orDash(strings.Join(row.Now, ",")), orDash(strings.Join(row.Then, ",")), row.Why}, " ")))
			}
			for i, want := range strings.Split(tt.want, "\n") {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
					break
				}
			}
			var b bytes.Buffer
			if err := WriteSwitch(&b, sw, Format{Width: 80}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
					t.Errorf("wider than 80 columns: %s", line)
				}
			}
		})
	}
}

// serviceYAML is a Service of namespace a in YAML. A spec that is a port replaces port 80.
func serviceYAML(name, annotation, spec, address string) string {
	port := "80"
	if p, ok := strings.CutPrefix(spec, "port: "); ok {
		port, spec = p, ""
	}
	if spec != "" {
		spec = ", " + spec
	}
	if address != "" {
		address = "{ip: " + address + "}"
	}
	return "\n---\n{apiVersion: v1, kind: Service, metadata: {name: " + name + ", namespace: a, annotations: {" + annotation + "}}, spec: {type: LoadBalancer, ports: [{port: " + port + "}]" +
		spec + "}, status: {loadBalancer: {ingress: [" + address + "]}}}"
}
