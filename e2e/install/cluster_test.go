package install

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/ptr"
	sigsyaml "sigs.k8s.io/yaml"
)

// cluster is the lab's API server, asked as kubectl does, and all that it has warned of.
type cluster struct {
	*lab.Lab
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper

	mu       sync.Mutex
	warnings []string
}

func newCluster(t *testing.T, l *lab.Lab) *cluster {
	t.Helper()
	c := &cluster{Lab: l, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(l.Kubernetes.Discovery()))}
	config := l.RESTConfig()
	config.WarningHandler = c
	var err error
	if c.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// HandleWarningHeader keeps what the API server warns of.
func (c *cluster) HandleWarningHeader(_ int, _ string, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, text)
}

// warned returns what came since it was last asked.
func (c *cluster) warned() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	warnings := c.warnings
	c.warnings = nil
	return warnings
}

func (c *cluster) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // a definition may have come since
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.client.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.client.Resource(mapping.Resource), nil
}

// apply does what kubectl apply --server-side does, with strict field validation, or only asks what it would do.
func (c *cluster) apply(ctx context.Context, o *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	resource, err := c.resource(o)
	if err != nil {
		return nil, fmt.Errorf("applying %s: %w", name(o), err)
	}
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, Force: ptr.To(true)}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	result, err := resource.Patch(ctx, o.GetName(), types.ApplyPatchType, text, options)
	if err != nil {
		return nil, fmt.Errorf("applying %s: %w", name(o), err)
	}
	return result, nil
}

func (c *cluster) get(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := c.resource(o)
	if err != nil {
		return nil, err
	}
	return resource.Get(ctx, o.GetName(), metav1.GetOptions{})
}

func name(o *unstructured.Unstructured) string {
	return strings.TrimSpace(o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
}

// documents are the objects of YAML, just as they are written.
func documents(t *testing.T, text []byte, err error) (objects []*unstructured.Unstructured) {
	t.Helper()
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); err == nil; {
		var document []byte
		if document, err = reader.Read(); err == nil {
			o := &unstructured.Unstructured{}
			if err = sigsyaml.UnmarshalStrict(document, &o.Object); len(o.Object) > 0 {
				objects = append(objects, o)
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return objects
}

var errNone = errors.New("there is none yet")

// eventually waits for what a controller of Kubernetes does.
func eventually(ctx context.Context, t *testing.T, what string, done func() error) {
	t.Helper()
	// The API server takes a definition away in steps of five seconds, some at a time.
	limit := time.Now().Add(2 * time.Minute)
	for {
		err := done()
		if err == nil {
			return
		}
		if ctx.Err() != nil || time.Now().After(limit) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
