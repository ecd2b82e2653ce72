package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

// foreignDefinition serves one kind of MetalLB's group, whatever is in its spec.
const foreignDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.metallb.io}
spec:
  group: metallb.io
  names: {plural: %[1]s, kind: %[2]s}
  scope: Namespaced
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

const foreignObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: foreign, namespace: metallb-system, finalizers: []}
spec: {addresses: [203.0.113.64/28], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: foreign, namespace: metallb-system}
spec: {ipAddressPools: [foreign]}
`

// What another system has in the cluster becomes Fairlead's objects, which the API server takes, and a Service that
// holds an address of it keeps that.
func TestImport(t *testing.T) {
	ctx, w := within(t, time.Minute)
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	t.Cleanup(func() {
		for _, name := range []string{"ipaddresspools", "l2advertisements"} {
			_ = definitions.Delete(context.Background(), name+".metallb.io", metav1.DeleteOptions{})
		}
		_ = w.fairlead.FairleadV1alpha1().IPAddressPools().Delete(context.Background(), "foreign", metav1.DeleteOptions{})
		_ = w.fairlead.FairleadV1alpha1().L2Advertisements().Delete(context.Background(), "foreign", metav1.DeleteOptions{})
	})
	p := w.plugin(t, "")
	p.want("import of nothing", p.run(ctx, 0, "import", "--from", "metallb"), "nothing of MetalLB's was found")
	text := fmt.Sprintf(foreignDefinition, "ipaddresspools", "IPAddressPool") + fmt.Sprintf(foreignDefinition, "l2advertisements", "L2Advertisement") + foreignObjects
	if err := w.Apply(ctx, []byte(text)); err != nil {
		t.Fatal(err)
	}
	svc := w.service(ctx, t, "foreign", func(s *corev1.Service) {
		s.Spec.LoadBalancerClass = ptr.To("metallb.io/foreign")
		s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	})
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.65"}}
	if _, err := w.Kubernetes.CoreV1().Services("default").UpdateStatus(ctx, svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	p.want("check", line(p.run(ctx, 0, "import", "--from", "metallb", "--check", "--load-balancer-class", "metallb.io/foreign"), "default/foreign"),
		"default/foreign kept 203.0.113.65 the same")
	p.want("check without the class", line(p.run(ctx, 0, "import", "--from", "metallb", "--check"), "default/foreign"),
		"default/foreign elsewhere 203.0.113.65 the same neither system is known to serve its class metallb.io/foreign")
	p.want("report", p.run(ctx, 0, "import", "--from", "metallb", "-o", "report"), "IPAddressPool metallb-system/foreign -> IPAddressPool foreign")
	if err := w.Apply(ctx, []byte(p.run(ctx, 0, "import", "--from", "metallb", "-o", "yaml"))); err != nil {
		t.Fatal(err)
	}
	w.awaitPool(ctx, t, "foreign", "assigned 0 available 16")

	stranger := w.plugin(t, "stranger")
	p.want("import of a stranger", stranger.run(ctx, 1, "import", "--from", "metallb"), "error: you may not read these, and what is in them is missing: configmaps metallb-system/config, ")
	p.want("check of a stranger", stranger.run(ctx, 2, "import", "--from", "metallb", "--check"), "error: you may not read ")
}

// A real API server takes all that the converter makes of its examples.
func TestImportedExamplesApply(t *testing.T) {
	ctx, w := within(t, time.Minute)
	client, err := dynamic.NewForConfig(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	p := w.plugin(t, "")
	files, err := filepath.Glob("../internal/k8s/migrate/testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	applied := 0
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := filepath.Join(t.TempDir(), "in.yaml")
		if err := os.WriteFile(in, a.Files[0].Data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, system := range migrate.Systems {
			if !strings.HasPrefix(filepath.Base(file), string(system)+"-") {
				continue
			}
			out := p.run(ctx, 0, "import", "--from", string(system), "-f", in, "-o", "yaml")
			objects, err := migrate.Read(file, bytes.NewReader([]byte(out)))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				u := &unstructured.Unstructured{Object: o.Object}
				u.SetName("example-" + u.GetName()) // the lab has objects of its own
				resource := schema.GroupVersionResource{Group: "fairlead.dev", Version: "v1alpha1", Resource: strings.ReplaceAll(strings.ToLower(u.GetKind())+"s", "communitys", "communities")}
				_, err := client.Resource(resource).Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
				if err != nil {
					t.Errorf("%s: %s %s: %v", filepath.Base(file), u.GetKind(), u.GetName(), err)
				}
				applied++
			}
		}
	}
	if applied < 90 {
		t.Errorf("%d objects were applied", applied)
	}
}
