package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// workloads are what the lab does not install: it runs the product's processes itself.
var workloads = []schema.GroupKind{
	{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "DaemonSet"}, {Group: "apps", Kind: "StatefulSet"},
	{Group: "batch", Kind: "Job"}, {Group: "batch", Kind: "CronJob"}, {Kind: "Pod"},
	{Group: "policy", Kind: "PodDisruptionBudget"}, {Group: "autoscaling", Kind: "HorizontalPodAutoscaler"},
}

// ApplyFile applies every object of a YAML file, workloads left out, as `kubectl apply --server-side` does,
// and waits until the API server serves the custom resources that it defines.
func (l *Lab) ApplyFile(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("applying a manifest: %w", err)
	}
	if err := l.Apply(ctx, text); err != nil {
		return fmt.Errorf("applying %s: %w", path, err)
	}
	return nil
}

// Apply applies YAML documents in the order in which they need each other: namespaces and definitions come
// first, and the rest once the definitions are served.
func (l *Lab) Apply(ctx context.Context, text []byte) error {
	return ApplyTo(ctx, l.RESTConfig(), l.Kubernetes, text)
}

// ApplyTo applies YAML documents to any cluster, but no workloads: no kubelet runs them in a lab.
func ApplyTo(ctx context.Context, config *rest.Config, core kubernetes.Interface, text []byte) error {
	objects, err := decodeManifest(text)
	if err != nil {
		return err
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return slices.Contains(workloads, o.GroupVersionKind().GroupKind())
	})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a dynamic client: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(core.Discovery()))
	apply := func(kinds func(kind string) bool) error {
		for _, o := range objects {
			if !kinds(o.GetKind()) {
				continue
			}
			if err := applyObject(ctx, client, mapper, o); err != nil {
				return err
			}
		}
		return nil
	}
	if err := apply(func(kind string) bool { return kind == kindNamespace || kind == kindDefinition }); err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() == kindDefinition {
			if err := awaitServed(ctx, client, core, o.GetName()); err != nil {
				return err
			}
		}
	}
	return apply(func(kind string) bool { return kind != kindNamespace && kind != kindDefinition })
}

const (
	kindNamespace  = "Namespace"
	kindDefinition = "CustomResourceDefinition"
)

func decodeManifest(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			return nil, fmt.Errorf("reading YAML document %d: %w", len(objects)+1, err)
		}
		if len(o.Object) == 0 {
			continue // a comment, or nothing, between two separators
		}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, fmt.Errorf("reading YAML document %d: it has no kind or no name", len(objects)+1)
		}
		objects = append(objects, o)
	}
}

func applyObject(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		mapper.Reset() // a definition may have come since
		mapping, err = mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", kind.Kind, o.GetName(), err)
	}
	var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := o.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		resource = client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "fairlead-lab", Force: true})
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", kind.Kind, o.GetName(), err)
	}
	return nil
}

// awaitServed waits until custom resources can be written and are found by discovery.
func awaitServed(ctx context.Context, client dynamic.Interface, cluster kubernetes.Interface, name string) error {
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	return wait(ctx, "the custom resource "+name+" to be served", func(ctx context.Context) (bool, error) {
		o, err := client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		established := slices.ContainsFunc(conditions, func(c any) bool {
			m, _ := c.(map[string]any)
			return m["type"] == "Established" && m["status"] == "True"
		})
		if !established || len(versions) == 0 {
			return false, fmt.Errorf("it is not Established: %v", conditions)
		}
		version, _ := versions[0].(map[string]any)
		served, err := cluster.Discovery().ServerResourcesForGroupVersion(fmt.Sprintf("%s/%s", group, version["name"]))
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
		return slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == plural }), nil
	})
}

// manifests are the files that install the product.
func (l *Lab) manifests() ([]string, error) {
	if l.config.Manifests != nil {
		return l.config.Manifests, nil
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return []string{filepath.Join(root, "manifests", "fairlead.yaml")}, nil
}
