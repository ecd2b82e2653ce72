// Package manifests_test reads what would be created, in each form in which Fairlead is installed.
package manifests_test

import (
	"slices"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// objects are those of a form of the chart.
func objects(t *testing.T, args ...string) []runtime.Object {
	t.Helper()
	text, err := render.Template(args...)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := render.Objects(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// podTemplates are those of the manifest's workloads, by name.
func podTemplates(t *testing.T, args ...string) map[string]corev1.PodSpec {
	t.Helper()
	pods := map[string]corev1.PodSpec{}
	for _, obj := range objects(t, args...) {
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
		"fairlead-speaker":    {"NET_RAW"},
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
			if nonRoot := pod.SecurityContext.RunAsNonRoot; nonRoot == nil || !*nonRoot {
				t.Error("may run as root")
			}
			if len(pod.Tolerations) == 0 || pod.PriorityClassName == "" {
				t.Error("waits for a better node, or goes before others")
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
				if c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
					t.Errorf("why container %s ended is in no status", c.Name)
				}
				if len(c.Resources.Requests) != 2 || len(c.Resources.Limits) > 0 {
					t.Errorf("container %s requests %v, limited to %v", c.Name, c.Resources.Requests, c.Resources.Limits)
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
	if pods["fairlead-controller"].HostNetwork {
		t.Error("the controller is on the host's network")
	}
}

func TestACapabilityComesWithWhatNeedsIt(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want []corev1.Capability
	}{
		{"nothing asked for", nil, []corev1.Capability{"NET_RAW"}},
		{"addresses are put on interfaces", []string{"--set", "speaker.bindAddress=true"}, []corev1.Capability{"NET_RAW", "NET_ADMIN"}},
		{"routers are waited for", []string{"--set", "speaker.passivePeers=true"}, []corev1.Capability{"NET_RAW", "NET_BIND_SERVICE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := podTemplates(t, tt.args...)["fairlead-speaker"].Containers[0].SecurityContext.Capabilities.Add
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNobodyReadsSecretsForLayer2(t *testing.T) {
	for _, obj := range objects(t, "--values", render.Values("layer2")) {
		var rules []rbacv1.PolicyRule
		switch obj := obj.(type) {
		case *rbacv1.Role:
			rules = obj.Rules
		case *rbacv1.ClusterRole:
			rules = obj.Rules
		}
		for _, r := range rules {
			if slices.Contains(r.Resources, "secrets") && !slices.Equal(r.Verbs, []string{"create"}) {
				t.Errorf("%s: Secrets in %v", render.Name(obj), r)
			}
		}
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
