package plugin

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s/controller"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controllerPod is one that is ready, and of an age in minutes.
func controllerPod(name string, age int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Duration(age) * time.Minute)),
			Labels: map[string]string{"app.kubernetes.io/name": "fairlead", componentLabel: componentController}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func unready(p *corev1.Pod) *corev1.Pod {
	p.Status.Conditions[0].Status = corev1.ConditionFalse
	return p
}

func ending(p *corev1.Pod) *corev1.Pod {
	p.DeletionTimestamp = &metav1.Time{Time: now}
	return p
}

func leaseOf(holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}

func TestChoosePod(t *testing.T) {
	tests := []struct {
		name  string
		pods  []*corev1.Pod
		lease *coordinationv1.Lease
		want  string
	}{
		{"the one that leads", []*corev1.Pod{controllerPod("a", 9), controllerPod("b", 1)}, leaseOf("b_1234"), "b"},
		{"not one whose name only begins as the leader's", []*corev1.Pod{controllerPod("b", 9), controllerPod("b-2", 1)}, leaseOf("b-2_1234"), "b-2"},
		{"another where the leader is not ready", []*corev1.Pod{controllerPod("a", 1), unready(controllerPod("b", 9))}, leaseOf("b_1234"), "a"},
		{"another where the leader is ending", []*corev1.Pod{controllerPod("a", 1), ending(controllerPod("b", 9))}, leaseOf("b_1234"), "a"},
		{"the oldest where nobody knows who leads", []*corev1.Pod{controllerPod("a", 1), controllerPod("b", 9)}, nil, "b"},
		{"the oldest where the leader is gone", []*corev1.Pod{controllerPod("a", 1), controllerPod("b", 9)}, leaseOf("c_1234"), "b"},
		{"none", []*corev1.Pod{unready(controllerPod("a", 1))}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if p := choosePod(&Installation{Pods: tt.pods, Lease: tt.lease}); p != nil {
				got = p.Name
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestHTTPPort(t *testing.T) {
	p := controllerPod("a", 1)
	if got := httpPort(p, 7572); got != 7572 {
		t.Errorf("%d of a Pod that names none", got)
	}
	p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "gossip", ContainerPort: 1}, {Name: "http", ContainerPort: 8080}}}}
	if got := httpPort(p, 7572); got != 8080 {
		t.Errorf("%d, want the one that is named http", got)
	}
}

// The plugin does not link the controller for its name.
func TestLeaseName(t *testing.T) {
	if leaseName != controller.LeaseName {
		t.Errorf("the Lease is %s", controller.LeaseName)
	}
}
