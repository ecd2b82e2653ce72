package plugin

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

// foreign reads what another load balancer has in the cluster.
type foreign struct {
	client     dynamic.Interface
	discovery  discovery.DiscoveryInterface
	system     migrate.System
	found      []migrate.Source
	namespaces []string // where something of the system's is
	unread     []string // what may not be read
}

// LoadSources reads the objects that configure another load balancer, what runs it, and the Services. Unread is
// what of it could not be read: the rest is there.
func LoadSources(ctx context.Context, o *Options, version string, system migrate.System) (found []migrate.Source, unread error, err error) {
	config, err := o.config().ClientConfig()
	if err != nil {
		return nil, nil, configError(err)
	}
	config.UserAgent = fmt.Sprintf("kubectl-fairlead/%s (%s/%s)", version, runtime.GOOS, runtime.GOARCH)
	config.QPS = -1
	s := &foreign{system: system, namespaces: []string{system.Namespace()}}
	if s.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, nil, fmt.Errorf("preparing the client of %s: %w", config.Host, err)
	}
	if s.discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, nil, fmt.Errorf("preparing the client of %s: %w", config.Host, err)
	}
	if o.Namespace != "" {
		s.namespaces = []string{o.Namespace}
	}
	if err := s.load(ctx); err != nil {
		return nil, nil, err
	}
	if len(s.unread) > 0 {
		slices.Sort(s.unread) // the API server names kinds in any order
		unread = fmt.Errorf("you may not read these, and what is in them is missing: %s", strings.Join(s.unread, ", "))
	}
	return s.found, unread, nil
}

func (s *foreign) load(ctx context.Context) error {
	if err := s.groups(ctx); err != nil {
		return err
	}
	for _, resource := range []string{"daemonsets", "deployments", "statefulsets"} {
		err := s.list(ctx, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: resource}, "", metav1.ListOptions{}, s.runs)
		if err != nil {
			return err
		}
	}
	if s.system == migrate.KubeVIP { // on control planes it is a static Pod
		err := s.list(ctx, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "kube-system", metav1.ListOptions{}, func(o map[string]any) bool {
			owners, _, _ := unstructured.NestedSlice(o, "metadata", "ownerReferences")
			return s.runs(o) && !slices.ContainsFunc(owners, func(r any) bool {
				m, _ := r.(map[string]any)
				return m["kind"] == "DaemonSet" || m["kind"] == "ReplicaSet"
			})
		})
		if err != nil {
			return err
		}
	}
	for _, namespace := range s.namespaces {
		for _, name := range s.system.ConfigMaps() {
			if err := s.get(ctx, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, namespace, name); err != nil {
				return err
			}
		}
	}
	return s.list(ctx, schema.GroupVersionResource{Version: "v1", Resource: "services"}, "", metav1.ListOptions{FieldSelector: k8s.LoadBalancers}, nil)
}

func (s *foreign) runs(o map[string]any) bool { return migrate.Runs(s.system, o) }

// groups lists every kind that the system has defined, also those that the converter does not know.
func (s *foreign) groups(ctx context.Context) error {
	all, err := s.discovery.ServerGroups()
	if err != nil {
		return trouble("the kinds that there are", err)
	}
	for _, g := range all.Groups {
		if !s.system.Owns(g.Name) {
			continue
		}
		listed := map[string]bool{}
		for _, v := range g.Versions { // the preferred goes first
			resources, err := s.discovery.ServerResourcesForGroupVersion(v.GroupVersion)
			if err != nil {
				return trouble("the kinds of "+v.GroupVersion, err)
			}
			for _, r := range resources.APIResources {
				if listed[r.Name] || !slices.Contains(r.Verbs, "list") || migrate.StatusOnly(r.Kind) {
					continue
				}
				listed[r.Name] = true
				err := s.list(ctx, schema.GroupVersionResource{Group: g.Name, Version: v.Version, Resource: r.Name}, "", metav1.ListOptions{}, nil)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// list takes the objects of a kind, in a namespace or in all for "": those alone that want, if it is not nil. Who may
// not list all namespaces may perhaps list that of the system, which is where the system looks itself.
func (s *foreign) list(ctx context.Context, of schema.GroupVersionResource, namespace string, o metav1.ListOptions, want func(map[string]any) bool) error {
	err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (kruntime.Object, error) {
		return s.client.Resource(of).Namespace(namespace).List(ctx, o)
	}, o, func(object kruntime.Object) {
		if u, ok := object.(*unstructured.Unstructured); ok && (want == nil || want(u.Object)) {
			s.take(u)
		}
	})
	if apierrors.IsForbidden(err) && namespace == "" && of.Resource != "services" {
		for _, n := range slices.Clone(s.namespaces) {
			if again := s.list(ctx, of, n, o, want); again != nil {
				return again
			}
		}
		return nil
	}
	what := of.Resource
	if namespace != "" {
		what += " in namespace " + namespace
	}
	return s.outcome(what, err)
}

func (s *foreign) get(ctx context.Context, of schema.GroupVersionResource, namespace, name string) error {
	o, err := s.client.Resource(of).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		s.take(o)
	}
	return s.outcome(of.Resource+" "+namespace+"/"+name, err)
}

func (s *foreign) take(u *unstructured.Unstructured) {
	u.SetManagedFields(nil)
	s.found = append(s.found, migrate.Source{Object: u.Object})
	if n := u.GetNamespace(); n != "" && u.GetKind() != "Service" && !slices.Contains(s.namespaces, n) {
		s.namespaces = append(s.namespaces, n)
	}
}

// outcome goes on without what may not be read, and stops at an API server that does not answer.
func (s *foreign) outcome(what string, err error) error {
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		s.unread = append(s.unread, what)
		return nil
	}
	return trouble(what, err)
}
