package k8s

import (
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func wrote(manager, subresource, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}
}

const ingress, condition = `{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`, `{"f:status":{"f:conditions":{}}}`

func TestGiven(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		managed      metav1.ManagedFieldsEntry
		want         bool
	}{
		{"what Fairlead wrote", "Assigned", wrote(ControllerName, "status", ingress), true},
		{"what Fairlead wrote, and something is missing", "PoolExhausted", wrote(ControllerName, "status", ingress), true},
		{"what no pool held", "NotAdopted", wrote(ControllerName, "status", ingress), false},
		{"what another wrote since", "Assigned", wrote("metallb", "status", ingress), false},
		{"what nobody has looked at", "", wrote(ControllerName, "status", ingress), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{tt.managed}}}
			if tt.reason != "" {
				svc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ServiceConditionAssigned, Reason: tt.reason}}
			}
			if got := Given(svc); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestInherited(t *testing.T) {
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
