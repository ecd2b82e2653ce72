// Package privilege proves that Fairlead's processes need what the manifests grant, and no more: each right of RBAC and
// each capability is taken away, one at a time, and what fails then is what docs/security.md says. It also shows what the
// processes say when something is missing where they start, and that an uninstallation leaves nothing behind.
package privilege

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	// speakersClass is of the Services that the speakers announce, and that the controller leaves alone.
	speakersClass = "privilege.test/speakers"
)

// world is a lab with two nodes and a pool, and what tests do in it.
type world struct {
	*lab.Lab
	fairlead versioned.Interface
	serial   atomic.Int64 // of names
}

const pools = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: edge}
spec: {addresses: ["192.0.2.200-192.0.2.249"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: edge}
spec: {ipAddressPools: [edge]}
`

// present is the lab that runs. There is one at a time.
var present *world

// start is the running lab, or a new one, for one test.
func start(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	if present == nil {
		w, err := newWorld()
		if err != nil {
			t.Fatal(err)
		}
		present = w
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	w := present
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			for _, p := range w.Product() {
				t.Logf("%s, running %v:\n%s", p.Name, p.Running(), p.Tail(20))
			}
		}
	})
	return ctx, w
}

func newWorld() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	config := lab.Config{
		Nodes: 2, Clients: 2,
		ControllerBinary: filepath.Join(root, "build", "controller"), SpeakerBinary: filepath.Join(root, "build", "speaker"),
		// Who has an address is the test's to say, whatever the controller may do meanwhile.
		SpeakerArgs: []string{"--restart-grace", "5s", "--load-balancer-class", speakersClass},
	}
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run `make build` first", err)
		}
	}
	w := &world{}
	if w.Lab, err = lab.Start(ctx, config); err != nil {
		return nil, err
	}
	if w.fairlead, err = versioned.NewForConfig(w.RESTConfig()); err == nil {
		err = w.Apply(ctx, []byte(pools))
	}
	if err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

// name is one that no object has had.
func (w *world) name(what string) string {
	return fmt.Sprintf("%s-%d", what, w.serial.Add(1))
}

// service makes a LoadBalancer Service without a backend, for the controller.
func (w *world) service(ctx context.Context, name string) error {
	_, err := w.makeService(ctx, name, nil)
	return err
}

func (w *world) makeService(ctx context.Context, name string, class *string) (*corev1.Service, error) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"test": "privilege"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, AllocateLoadBalancerNodePorts: ptr.To(false), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	return w.Kubernetes.CoreV1().Services("default").Create(ctx, s, metav1.CreateOptions{})
}

// announced makes a Service that has an address, for the speakers.
func (w *world) announced(ctx context.Context, name, address string) error {
	s, err := w.makeService(ctx, name, ptr.To(speakersClass))
	if err != nil {
		return err
	}
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	_, err = w.Kubernetes.CoreV1().Services("default").UpdateStatus(ctx, s, metav1.UpdateOptions{})
	return err
}

// cleanServices deletes what service made.
func (w *world) cleanServices(ctx context.Context) error {
	list, err := w.Kubernetes.CoreV1().Services("default").List(ctx, metav1.ListOptions{LabelSelector: "test=privilege"})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list.Items {
		errs = append(errs, w.Kubernetes.CoreV1().Services("default").Delete(ctx, s.Name, metav1.DeleteOptions{}))
	}
	return errors.Join(errs...)
}

// since returns what a process has logged after the first so many bytes.
func since(p *lab.Process, offset int) string {
	text, err := p.Log()
	if err != nil {
		return err.Error()
	}
	return text[min(offset, len(text)):]
}

func logged(p *lab.Process) int { return len(since(p, 0)) }

// restart ends a process at once and starts it again; it returns where its log goes on.
func restart(p *lab.Process) (offset int, err error) {
	err = p.Kill()
	offset = logged(p)
	return offset, errors.Join(err, p.Start())
}

// await waits until check returns nil.
func await(ctx context.Context, t *testing.T, what string, limit time.Duration, check func() error) {
	t.Helper()
	measure.Eventually(ctx, t, what, limit, check)
}

// contains returns an error unless a text contains another.
func contains(text, want string) error {
	if strings.Contains(text, want) {
		return nil
	}
	return fmt.Errorf("%q is not in:\n%s", want, text)
}

// ready returns an error with what a process says that it waits for.
func ready(ctx context.Context, h *lab.Host, port int) error {
	code, text, err := h.Page(ctx, port, "/readyz")
	if err == nil && code != http.StatusOK {
		err = errors.New(strings.TrimSpace(text))
	}
	return err
}
