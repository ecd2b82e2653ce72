package manifests_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// target is what a selector may find: its labels, and its ports by name.
type target struct {
	name   string
	labels map[string]string
	ports  map[string]int32
}

// targets are the Pods of the workloads, and the Services.
func targets(objects []runtime.Object) (pods, services []target) {
	pod := func(name string, template corev1.PodTemplateSpec) {
		ports := map[string]int32{}
		for _, p := range template.Spec.Containers[0].Ports {
			ports[p.Name] = p.ContainerPort
		}
		pods = append(pods, target{name, template.Labels, ports})
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			pod(o.Name, o.Spec.Template)
		case *appsv1.DaemonSet:
			pod(o.Name, o.Spec.Template)
		case *corev1.Service:
			ports := map[string]int32{}
			for _, p := range o.Spec.Ports {
				ports[p.Name] = p.Port
			}
			services = append(services, target{o.Name, o.Labels, ports})
		}
	}
	return pods, services
}

// selected is the one target that a selector finds.
func selected(t *testing.T, what string, selector labels.Selector, from []target) target {
	t.Helper()
	var found []target
	for _, x := range from {
		if selector.Matches(labels.Set(x.labels)) {
			found = append(found, x)
		}
	}
	if selector.Empty() || len(found) != 1 {
		t.Fatalf("%s selects %d of %d: %v", what, len(found), len(from), found)
	}
	return found[0]
}

// hasPort sees to it that the port that a monitor or a Service names is one of what it selects.
func hasPort(t *testing.T, what, port string, in target) {
	t.Helper()
	if port == "" || in.ports[port] == 0 {
		t.Errorf("%s is about port %q, %s has %v", what, port, in.name, in.ports)
	}
}

func TestSelectorsSelectWhatIsThere(t *testing.T) {
	for _, tt := range []struct {
		form     string
		monitors int
	}{
		{"base", 0}, {"layer2", 0}, {"bgp", 0}, {"ha", 0}, {"prometheus", 2}, {"tls", 2}, {"full", 2},
	} {
		t.Run(tt.form, func(t *testing.T) {
			objects := objects(t, "--values", render.Values(tt.form))
			pods, services := targets(objects)
			scraped := map[string]bool{}
			for _, o := range objects {
				name := render.Name(o)
				switch o := o.(type) {
				case *unstructured.Unstructured:
					from, endpoints := pods, "podMetricsEndpoints"
					switch o.GetKind() {
					case "PodMonitor":
					case "ServiceMonitor":
						from, endpoints = services, "endpoints"
					default:
						continue
					}
					selector, _, err := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
					if err != nil {
						t.Fatal(err)
					}
					found := selected(t, name, labels.SelectorFromSet(selector), from)
					list, _, _ := unstructured.NestedSlice(o.Object, "spec", endpoints)
					if len(list) != 1 {
						t.Fatalf("%s has %d endpoints", name, len(list))
					}
					hasPort(t, name, list[0].(map[string]any)["port"].(string), found)
					scraped[o.GetName()] = true
				case *corev1.Service:
					found := selected(t, name, labels.SelectorFromSet(o.Spec.Selector), pods)
					hasPort(t, name, o.Spec.Ports[0].TargetPort.StrVal, found)
					if found.ports[o.Spec.Ports[0].TargetPort.StrVal] != o.Spec.Ports[0].Port {
						t.Errorf("%s has port %d, %s %v", name, o.Spec.Ports[0].Port, found.name, found.ports)
					}
				case *policyv1.PodDisruptionBudget:
					found := selected(t, name, asSelector(t, o.Spec.Selector), pods)
					if found.name != o.Name {
						t.Errorf("%s is about %s", name, found.name)
					}
				case *networkingv1.NetworkPolicy:
					found := selected(t, name, asSelector(t, &o.Spec.PodSelector), pods)
					var open []int32
					for _, p := range o.Spec.Ingress[0].Ports {
						open = append(open, p.Port.IntVal)
					}
					if diff := cmp.Diff(slices.Sorted(maps.Values(found.ports)), open); diff != "" {
						t.Errorf("%s is about other ports than %s has (-has +open):\n%s", name, found.name, diff)
					}
				case *appsv1.Deployment:
					found := selected(t, name, asSelector(t, o.Spec.Selector), pods)
					for _, c := range o.Spec.Template.Spec.TopologySpreadConstraints {
						if selected(t, name, asSelector(t, c.LabelSelector), pods).name != found.name {
							t.Errorf("%s spreads others", name)
						}
					}
				case *appsv1.DaemonSet:
					selected(t, name, asSelector(t, o.Spec.Selector), pods)
				}
			}
			if len(scraped) != tt.monitors {
				t.Errorf("scraped by %v, want %d monitors", scraped, tt.monitors)
			}
		})
	}
}

func asSelector(t *testing.T, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}
