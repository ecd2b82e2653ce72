package upgrade

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// Definitions that lack fields which this release writes, as an earlier release's do: what is written is pruned. Each
// process says so in one line and goes on. It does not write again and again what never stays.
func TestDefinitionsOfAnEarlierRelease(t *testing.T) {
	ctx, w := start(t, time.Minute)
	w.install(ctx, t, w.now)
	addresses := w.fleet(ctx, t)
	before := w.owners(ctx, t, addresses)
	w.edit(ctx, t, func(kind string, root map[string]any) {
		switch status := under(root, "status"); kind {
		case "Speaker":
			delete(status, "failureDetection")
		case "IPAddressPool":
			delete(status, "retained")
		}
	})
	t.Cleanup(func() { w.install(context.Background(), t, w.now) })

	for _, p := range w.Product() {
		w.replace(ctx, t, p, w.now)
	}
	w.serving(ctx, t)
	// A pool whose status has something to retain.
	if err := w.makeService(ctx, "short-lived"); err != nil {
		t.Fatal(err)
	}
	w.addresses(ctx, t, "short-lived")
	w.remove(ctx, t, "short-lived")
	said := func(p *lab.Process) (dropped, others []string) {
		for _, line := range w.complaints(t, p) {
			if strings.Contains(line, "of an earlier release") {
				dropped = append(dropped, line)
			} else {
				others = append(others, line)
			}
		}
		return dropped, others
	}
	measure.Eventually(ctx, t, "a line of a controller and of each speaker", 15*time.Second, func() error {
		one, _ := said(w.Controllers[0])
		other, _ := said(w.Controllers[1])
		if len(one)+len(other) == 0 {
			return fmt.Errorf("no controller has said that a field is dropped")
		}
		for _, n := range w.Nodes {
			if lines, _ := said(n.Speaker); len(lines) == 0 {
				return fmt.Errorf("%s has not said that a field is dropped", n.Speaker.Name)
			}
		}
		return nil
	})
	measure.Pause(ctx, t, 3*time.Second) // for what must not come
	writes := w.writes(ctx, t)
	measure.Pause(ctx, t, 3*time.Second)
	if more := w.writes(ctx, t) - writes; more > 10 { // the Lease and its like
		t.Errorf("%v writes in 3 s while nothing happens", more)
	}
	for _, p := range w.Product() {
		lines, others := said(p)
		if len(lines) > 1 {
			t.Errorf("%s says it more than once: %q", p.Name, lines)
		}
		if len(others) > 0 {
			t.Errorf("%s complains: %q", p.Name, others)
		}
	}
	unmoved(t, before, w.owners(ctx, t, addresses))
}

// writes counts what all processes have asked the API server to change.
func (w *world) writes(ctx context.Context, t *testing.T) (total float64) {
	t.Helper()
	for _, p := range w.Product() {
		page, err := w.metrics(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"PUT", "POST", "PATCH"} {
			total += lab.Sum(page, "fairlead_api_requests_total", `method="`+method+`"`)
		}
	}
	return total
}

// Definitions with fields that only a later release knows, under the previous release: it goes on as ever, and leaves what
// users and defaults have put into those fields alone.
func TestDefinitionsOfALaterRelease(t *testing.T) {
	ctx, w := start(t, time.Minute)
	addresses := w.fleet(ctx, t)
	before := w.owners(ctx, t, addresses)
	w.edit(ctx, t, func(_ string, root map[string]any) {
		for _, part := range []string{"spec", "status"} {
			if fields := under(root, part); fields != nil {
				fields["later"] = map[string]any{"type": "string"}
			}
		}
		if spec := under(root, "spec"); spec != nil {
			spec["laterByDefault"] = map[string]any{"type": "string", "default": "set"}
		}
	})
	t.Cleanup(func() { w.install(context.Background(), t, w.now) })
	for _, p := range w.Product() {
		w.replace(ctx, t, p, w.old)
	}
	w.serving(ctx, t)
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	pools := client.Resource(schema.GroupVersionResource{Group: "fairlead.dev", Version: "v1alpha1", Resource: "ipaddresspools"})
	pool, err := pools.Patch(ctx, "fleet", types.MergePatchType, []byte(`{"spec": {"later": "mine"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.makeService(ctx, "under-later"); err != nil { // which changes the pool's status
		t.Fatal(err)
	}
	w.addresses(ctx, t, "under-later")
	measure.Eventually(ctx, t, "the pool's status", 10*time.Second, func() error {
		now, err := pools.Get(ctx, "fleet", metav1.GetOptions{})
		if err != nil {
			return err
		}
		later, _, _ := unstructured.NestedString(now.Object, "spec", "later")
		byDefault, _, _ := unstructured.NestedString(now.Object, "spec", "laterByDefault")
		if later != "mine" || byDefault != "set" {
			t.Fatalf("spec.later is %q, spec.laterByDefault %q", later, byDefault)
		}
		if now.GetResourceVersion() == pool.GetResourceVersion() {
			return fmt.Errorf("it has not been written")
		}
		return nil
	})
	w.remove(ctx, t, "under-later")
	w.shown(ctx, t)
	for _, p := range w.Product() {
		if lines := w.complaints(t, p); len(lines) > 0 {
			t.Errorf("%s complains: %q", p.Name, lines)
		}
	}
	unmoved(t, before, w.owners(ctx, t, addresses))
}

// edit applies this release's definitions with a change to each schema.
func (w *world) edit(ctx context.Context, t *testing.T, change func(kind string, root map[string]any)) {
	t.Helper()
	text, err := os.ReadFile(w.now.manifest)
	if err != nil {
		t.Fatal(err)
	}
	var edited bytes.Buffer
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] != "CustomResourceDefinition" {
			continue
		}
		kind, _, _ := unstructured.NestedString(object, "spec", "names", "kind")
		versions, _, err := unstructured.NestedSlice(object, "spec", "versions")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			root, _, err := unstructured.NestedFieldNoCopy(v.(map[string]any), "schema", "openAPIV3Schema")
			if err != nil {
				t.Fatal(err)
			}
			change(kind, root.(map[string]any))
		}
		if err := unstructured.SetNestedSlice(object, versions, "spec", "versions"); err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&edited, "---\n%s", text)
	}
	if err := w.Apply(ctx, edited.Bytes()); err != nil {
		t.Fatal(err)
	}
	// The API server takes a moment to serve a changed definition. It has no sign of its own for that.
	measure.Pause(ctx, t, time.Second)
}

// under is the schema of the fields in a part of an object, nil if there is no such part.
func under(root map[string]any, part string) map[string]any {
	fields, _, _ := unstructured.NestedFieldNoCopy(root, "properties", part, "properties")
	m, _ := fields.(map[string]any)
	return m
}
