package privilege

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// uninstalled is how many Services have addresses then. kubectl deletes the controller's rights soon after the namespace:
// here it gets through with more than a hundred. docs/security.md says what to do where there are thousands.
const uninstalled = 50

// TestUninstall does what `kubectl delete -f manifests/fairlead.yaml` does, while Services have addresses, one of them on
// an interface. It is the last test: the lab is of no use then.
func TestUninstall(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	defer func() {
		w.Stop()
		present = nil
	}()
	networks := w.networks(ctx, t)
	if err := w.Apply(ctx, fmt.Appendf(nil, onNode1+`
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: many}
spec: {addresses: ["198.18.128.0/17"], retention: 1h}
`, ", bindAddress: true")); err != nil {
		t.Fatal(err)
	}
	if err := w.announced(ctx, "bound", "192.0.2.151"); err != nil {
		t.Fatal(err)
	}
	var names []string
	var group errgroup.Group
	for range uninstalled {
		name := w.name("kept")
		names = append(names, name)
		group.Go(func() error { return w.service(ctx, name) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	before := map[string]corev1.Service{}
	await(ctx, t, "addresses", 20*time.Second, func() error {
		for name, s := range w.services(ctx, t) {
			if before[name] = s; slices.Contains(names, name) && len(s.Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("%s has none", name)
			}
		}
		return nil
	})
	await(ctx, t, "the address on the interface", 15*time.Second, func() error {
		text, err := w.Node(1).Run(ctx, "ip", "-o", "address", "show")
		return errors.Join(err, contains(text, "192.0.2.151/32"))
	})

	began := time.Now()
	w.deleteManifest(ctx, t)
	await(ctx, t, "the end of the namespace", 40*time.Second, func() error {
		_, err := w.Kubernetes.CoreV1().Namespaces().Get(ctx, lab.ProductNamespace, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
	t.Logf("uninstalled after %s", time.Since(began).Round(10*time.Millisecond))
	log := since(w.Controllers[0], 0)
	t.Log(log[strings.LastIndex(log, "the namespace is being deleted"):])

	for name, s := range w.services(ctx, t) {
		was, known := before[name]
		if !known || !slices.Contains(names, name) {
			continue
		}
		if len(s.Status.LoadBalancer.Ingress) > 0 || len(s.Status.Conditions) > 0 {
			t.Errorf("Service %s has the status %+v", name, s.Status)
		}
		if !reflect.DeepEqual(was.Spec, s.Spec) || !reflect.DeepEqual(was.Annotations, s.Annotations) || !reflect.DeepEqual(was.Labels, s.Labels) || len(s.Finalizers) > 0 {
			t.Errorf("Service %s was changed:\n%+v\n%+v", name, was, s)
		}
	}
	await(ctx, t, "the end of all objects", 20*time.Second, func() error { return w.left(ctx) })
	await(ctx, t, "the nodes' networks to be as they were", 25*time.Second, func() error {
		for i, now := range w.networks(ctx, t) {
			if now != networks[i] {
				return fmt.Errorf("node%d was\n%sand is\n%s", i+1, networks[i], now)
			}
		}
		return nil
	})
}

// services are all in the namespace default, by name.
func (w *world) services(ctx context.Context, t *testing.T) map[string]corev1.Service {
	t.Helper()
	list, err := w.Kubernetes.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]corev1.Service{}
	for _, s := range list.Items {
		services[s.Name] = s
	}
	return services
}

// networks are the addresses and routes of each node.
func (w *world) networks(ctx context.Context, t *testing.T) (list []string) {
	t.Helper()
	for _, n := range w.Nodes {
		addresses, err := n.Run(ctx, "sh", "-c", "ip -br address show; ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//' | sort")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, addresses)
	}
	return list
}

// deleteManifest deletes every object of manifests/fairlead.yaml in the file's order, without waiting for any of them to be
// gone, as kubectl does. The Pods are told to stop when what made them is deleted.
func (w *world) deleteManifest(ctx context.Context, t *testing.T) {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "manifests", "fairlead.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.Kubernetes.Discovery()))
	var stopping errgroup.Group
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		o := &unstructured.Unstructured{}
		if err == nil {
			err = yaml.Unmarshal(document, &o.Object)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) == 0 {
			continue
		}
		switch o.GetKind() {
		case "Deployment":
			stopping.Go(func() error { return w.Controllers[0].Stop(ctx) })
			continue
		case "DaemonSet":
			for _, n := range w.Nodes {
				stopping.Go(func() error { return n.Speaker.Stop(ctx) })
			}
			continue
		}
		mapping, err := mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		if err == nil {
			err = client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("deleting %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if err := stopping.Wait(); err != nil {
		t.Error(err)
	}
}

// left returns an error that names what is there still of Fairlead, of any kind but events, which the API server forgets.
func (w *world) left(ctx context.Context) error {
	lists, err := discovery.ServerPreferredResources(w.Kubernetes.Discovery())
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		return err
	}
	var names []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || r.Kind == "Event" {
				continue
			}
			objects, err := client.Resource(gv.WithResource(r.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return fmt.Errorf("listing %s: %w", r.Name, err)
			}
			for _, o := range objects.Items {
				if strings.Contains(o.GetName()+o.GetNamespace()+fmt.Sprint(o.GetLabels(), o.GetFinalizers()), "fairlead") {
					names = append(names, r.Name+"/"+o.GetName())
				}
			}
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("there are %s", strings.Join(names, ", "))
	}
	return nil
}
