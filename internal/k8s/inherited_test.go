package k8s

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestInherited(t *testing.T) {
	wrote := func(manager, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}
	}
	const ingress, condition = `{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`, `{"f:status":{"f:conditions":{}}}`
	for _, tt := range []struct {
		name    string
		managed []metav1.ManagedFieldsEntry
		want    bool
	}{
		{"nobody has written", nil, false},
		{"Fairlead gave the addresses", []metav1.ManagedFieldsEntry{wrote(ControllerName, "status", ingress)}, false},
		{"MetalLB did, and Fairlead has said so since", []metav1.ManagedFieldsEntry{
			wrote("controller", "status", ingress), wrote(ControllerName, "status", condition)}, true},
		{"another system has written something else", []metav1.ManagedFieldsEntry{
			wrote("kubectl", "", `{"f:spec":{}}`), wrote("other", "status", condition), wrote(ControllerName, "status", ingress)}, false},
		{"an entry without fields", []metav1.ManagedFieldsEntry{{Manager: "x", Subresource: "status"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: tt.managed}}
			if got := Inherited(svc); got != tt.want {
				t.Errorf("%v", got)
			}
			if _, err := Trim(svc); err != nil {
				t.Fatal(err)
			}
			if got := Inherited(svc); got != tt.want || len(svc.ManagedFields) > 1 {
				t.Errorf("trimmed: %v, %+v", got, svc.ManagedFields)
			}
		})
	}
}
