// Package manifests_test reads what kubectl apply -f manifests/fairlead.yaml would create.
package manifests_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects decodes the manifest as an API server with strict field validation does.
func objects(t *testing.T) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, apiextensionsv1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()

	data, err := os.ReadFile("fairlead.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var objs []runtime.Object
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objs
		}
		if err != nil {
			t.Fatal(err)
		}
		obj, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("decoding: %v\n%s", err, doc)
		}
		objs = append(objs, obj)
	}
}

// podTemplates are those of the manifest's workloads, by name.
func podTemplates(t *testing.T) map[string]corev1.PodSpec {
	pods := map[string]corev1.PodSpec{}
	for _, obj := range objects(t) {
		switch obj := obj.(type) {
		case *appsv1.Deployment:
			pods[obj.Name] = obj.Spec.Template.Spec
		case *appsv1.DaemonSet:
			pods[obj.Name] = obj.Spec.Template.Spec
		}
	}
	return pods
}

func TestPodsHaveNoMorePrivilegeThanTheyNeed(t *testing.T) {
	added := map[string][]corev1.Capability{
		"fairlead-controller": nil,
		"fairlead-speaker":    {"NET_RAW", "NET_ADMIN", "NET_BIND_SERVICE"},
	}
	pods := podTemplates(t)
	if len(pods) != len(added) {
		t.Fatalf("%d workloads, want %d", len(pods), len(added))
	}
	for name, pod := range pods {
		t.Run(name, func(t *testing.T) {
			if pod.HostPID || pod.HostIPC {
				t.Error("shares the host's processes")
			}
			if p := pod.SecurityContext.SeccompProfile; p == nil || p.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Error("has no seccomp profile")
			}
			for _, v := range pod.Volumes {
				if v.HostPath != nil {
					t.Errorf("mounts %s of the host", v.HostPath.Path)
				}
			}
			for _, c := range pod.Containers {
				sc := c.SecurityContext
				if sc.Privileged != nil || sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
					t.Errorf("container %s may gain privileges", c.Name)
				}
				if sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem {
					t.Errorf("container %s may write to its root", c.Name)
				}
				if diff := cmp.Diff([]corev1.Capability{"ALL"}, sc.Capabilities.Drop); diff != "" {
					t.Errorf("capabilities dropped (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(added[name], sc.Capabilities.Add); diff != "" {
					t.Errorf("capabilities added (-want +got):\n%s", diff)
				}
			}
		})
	}
	if nonRoot := pods["fairlead-controller"].SecurityContext.RunAsNonRoot; nonRoot == nil || !*nonRoot {
		t.Error("the controller may run as root")
	}
	if pods["fairlead-controller"].HostNetwork {
		t.Error("the controller is on the host's network")
	}
}

// MetalLB's speaker and controller listen on 7472, 7473 and 7946, and a user on the way here runs both.
func TestPortsDoNotCollideWithMetalLB(t *testing.T) {
	for name, pod := range podTemplates(t) {
		for _, c := range pod.Containers {
			for _, p := range c.Ports {
				if slices.Contains([]int32{7472, 7473, 7946}, p.ContainerPort) {
					t.Errorf("%s has port %d", name, p.ContainerPort)
				}
			}
		}
	}
}

// Nothing is granted by a wildcard, nothing may be deleted. Secrets are read by name, but for the speaker: which of them
// hold passwords of routers, users decide.
func TestRulesGrantLittle(t *testing.T) {
	check := func(t *testing.T, rules []rbacv1.PolicyRule, secrets ...string) {
		for _, r := range rules {
			if slices.Contains(slices.Concat(r.APIGroups, r.Resources, r.Verbs), "*") {
				t.Errorf("wildcard in %v", r)
			}
			for _, verb := range r.Verbs {
				if verb == "delete" || verb == "deletecollection" || verb == "escalate" || verb == "bind" || verb == "impersonate" {
					t.Errorf("%s in %v", verb, r)
				}
			}
			if slices.Contains(r.Resources, "secrets") && len(r.ResourceNames) == 0 && !slices.Equal(r.Verbs, []string{"create"}) && !slices.Equal(r.Verbs, secrets) {
				t.Errorf("any Secret may be read by %v", r)
			}
		}
	}
	for _, obj := range objects(t) {
		switch obj := obj.(type) {
		case *rbacv1.ClusterRole:
			t.Run(obj.Name+" in the cluster", func(t *testing.T) {
				check(t, obj.Rules)
				for _, r := range obj.Rules {
					if slices.Contains(r.Resources, "secrets") {
						t.Errorf("Secrets of every namespace in %v", r)
					}
				}
			})
		case *rbacv1.Role:
			var secrets []string
			if obj.Name == "fairlead-speaker" && obj.Namespace == "fairlead-system" {
				secrets = []string{"list", "watch"}
			}
			t.Run(obj.Name+" in "+obj.Namespace, func(t *testing.T) { check(t, obj.Rules, secrets...) })
		}
	}
}

// A watch that is refused keeps the process from ever being ready. Of what a component only reads it may change
// nothing.
func TestEachMayReadWhatItWatches(t *testing.T) {
	tests := map[string][]string{ // resource, and the group if it has one
		"fairlead-controller": {"services", "namespaces", "ipaddresspools.fairlead.dev", "l2advertisements.fairlead.dev", "speakers.fairlead.dev",
			"bgppeers.fairlead.dev", "bgpadvertisements.fairlead.dev", "bfdprofiles.fairlead.dev", "communities.fairlead.dev"},
		"fairlead-speaker": {"services", "nodes", "endpointslices.discovery.k8s.io", "ipaddresspools.fairlead.dev",
			"l2advertisements.fairlead.dev", "speakers.fairlead.dev",
			"bgppeers.fairlead.dev", "bgpadvertisements.fairlead.dev", "bfdprofiles.fairlead.dev", "communities.fairlead.dev"},
	}
	for _, obj := range objects(t) {
		role, ok := obj.(*rbacv1.ClusterRole)
		if !ok {
			continue
		}
		verbs := map[string][]string{}
		for _, r := range role.Rules {
			for _, resource := range r.Resources {
				name := resource
				if r.APIGroups[0] != "" {
					name += "." + r.APIGroups[0]
				}
				verbs[name] = append(verbs[name], r.Verbs...)
			}
		}
		for _, resource := range tests[role.Name] {
			if !slices.Contains(verbs[resource], "list") || !slices.Contains(verbs[resource], "watch") {
				t.Errorf("%s may not watch %s", role.Name, resource)
			}
		}
		for _, resource := range []string{"namespaces", "nodes", "l2advertisements.fairlead.dev", "ipaddresspools.fairlead.dev", "services"} {
			if slices.ContainsFunc(verbs[resource], func(v string) bool { return v != "get" && v != "list" && v != "watch" }) {
				t.Errorf("%s may do %v with %s", role.Name, verbs[resource], resource)
			}
		}
		delete(tests, role.Name)
	}
	if len(tests) > 0 {
		t.Errorf("no role for %v", tests)
	}
}
