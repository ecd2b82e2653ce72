package install

import (
	"context"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podSecurity asks for one Pod of each workload, in Fairlead's namespace, as its label says, and in two that are
// stricter.
func podSecurity(ctx context.Context, t *testing.T, c *cluster) {
	namespaces := map[string]string{render.Namespace: ""}
	for _, level := range []string{"baseline", "restricted"} {
		namespaces["only-"+level] = level
		if err := c.Namespace(ctx, "only-"+level); err != nil {
			t.Fatal(err)
		}
		patch := `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"` + level + `"}}}`
		if _, err := c.Kubernetes.CoreV1().Namespaces().Patch(ctx, "only-"+level, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := file(manifest)()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := render.Objects(text)
	if err != nil {
		t.Fatal(err)
	}
	templates := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			templates["controller"] = o.Spec.Template
		case *appsv1.DaemonSet:
			templates["speaker"] = o.Spec.Template
		}
	}
	for _, tt := range []struct {
		pod, namespace string
		refused        []string // what the message names
	}{
		{"controller", render.Namespace, nil},
		{"speaker", render.Namespace, nil},
		{"controller", "only-baseline", nil},
		{"controller", "only-restricted", nil},
		{"speaker", "only-baseline", []string{"host namespaces", "hostPort", "NET_RAW"}},
	} {
		t.Run(tt.pod+" in "+tt.namespace, func(t *testing.T) {
			template := templates[tt.pod]
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: tt.pod, Namespace: tt.namespace, Labels: template.Labels}, Spec: template.Spec,
			}
			if tt.namespace != render.Namespace {
				pod.Spec.ServiceAccountName = "default"
			}
			_, err := c.Kubernetes.CoreV1().Pods(tt.namespace).Create(ctx, pod, metav1.CreateOptions{
				DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
			})
			if (err == nil) != (tt.refused == nil) {
				t.Fatalf("the API server says %v", err)
			}
			for _, word := range tt.refused {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the API server does not name %s: %v", word, err)
				}
			}
		})
	}
}
