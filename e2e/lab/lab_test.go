package lab

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// helperVariable makes the test binary, started once more, do something inside a lab of its own.
const helperVariable = "LAB_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		os.Exit(Isolate(Isolation{}, helpers[name]))
	}
	if os.Getenv(tellTimeVariable) != "" {
		tellTime()
		return
	}
	Main(m)
}

// shared is the lab that most tests use. Main stops it.
var shared = sync.OnceValues(func() (*Lab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return Start(ctx, Config{Nodes: 2, Clients: 1})
})

// sharedLab is the shared lab, and a context that bounds the test.
func sharedLab(t *testing.T) (context.Context, *Lab) {
	t.Helper()
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx, l
}

// service makes a Service for Pods with the label app=name, dual-stack, on port 80 over TCP and UDP. It is
// deleted with the test.
func service(ctx context.Context, t *testing.T, l *Lab, name string, change func(*corev1.Service)) *corev1.Service {
	t.Helper()
	policy := corev1.IPFamilyPolicyRequireDualStack
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name}, IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{
				{Name: "tcp", Port: 80, TargetPort: intstr.FromInt32(BackendPort), Protocol: corev1.ProtocolTCP},
				{Name: "udp", Port: 80, TargetPort: intstr.FromInt32(BackendPort), Protocol: corev1.ProtocolUDP},
			},
		},
	}
	if change != nil {
		change(s)
	}
	services := l.Kubernetes.CoreV1().Services("default")
	made, err := services.Create(ctx, s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	return made
}

// deploy runs a Pod for the length of the test.
func deploy(ctx context.Context, t *testing.T, l *Lab, b Backend) *Pod {
	t.Helper()
	p, err := l.Deploy(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Delete(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}
