package k8s

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTrimKeepsASelectorWhereItDecides(t *testing.T) {
	selecting := func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "web"} }
	local := func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	for _, tt := range []struct {
		name string
		svc  *corev1.Service
		want bool
	}{
		{"most Services need none", web(selecting), false},
		{"Local alone needs none", web(selecting, local), false},
		{"a key alone needs none", web(selecting, annotated(AnnotationSharing, "k")), false},
		{"Local with a key", web(selecting, local, annotated(AnnotationSharing, "k")), true},
		{"Local with another system's key", web(selecting, local, annotated("io.cilium/lb-ipam-sharing-key", "k")), true},
		{"Local with an empty key of another system", web(selecting, local, annotated("metallb.io/allow-shared-ip", "")), false},
		{"Local with a key that is refused", web(selecting, local, annotated(AnnotationSharing, "a\x00")), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
			if _, err := Trim(tt.svc); err != nil {
				t.Fatal(err)
			}
			if got := len(tt.svc.Spec.Selector) > 0; got != tt.want {
				t.Errorf("has its selector: %v", got)
			}
			if len(tt.svc.ManagedFields) > 0 {
				t.Error("has its managed fields")
			}
		})
	}
}

func TestTrimNamespace(t *testing.T) {
	n := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "team", ResourceVersion: "7", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"}},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
	object, err := trimNamespace(n)
	trimmed := object.(*corev1.Namespace)
	if err != nil || trimmed.Name != "team" || trimmed.ResourceVersion != "7" || !maps.Equal(trimmed.Labels, n.Labels) {
		t.Errorf("trimmed %+v, %v", trimmed, err)
	}
	if len(trimmed.Annotations)+len(trimmed.Spec.Finalizers)+len(trimmed.Status.Phase) > 0 {
		t.Errorf("not trimmed: %+v", trimmed)
	}
	if len(n.Annotations) == 0 {
		t.Error("the original was changed")
	}
}
