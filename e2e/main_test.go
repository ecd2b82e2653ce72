// Package e2e runs Fairlead's binaries, with the rights that its manifests grant, on a real control plane
// and real kube-proxies in the lab, and holds them to what their users see.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestMain(m *testing.M) { lab.Main(m) }

// binary returns a program that `make build` made.
func binary(name string) (string, error) {
	root, err := lab.Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "build", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run `make build` first", err)
	}
	return path, nil
}

// fairlead starts a lab with the product.
func fairlead(ctx context.Context, config lab.Config) (l *lab.Lab, err error) {
	if config.ControllerBinary, err = binary("controller"); err != nil {
		return nil, err
	}
	if config.SpeakerBinary, err = binary("speaker"); err != nil {
		return nil, err
	}
	return lab.Start(ctx, config)
}

// shared is the lab that the tests use, one after another: three nodes, a pool and an advertisement for all.
var shared = sync.OnceValues(func() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	l, err := fairlead(ctx, lab.Config{Nodes: 3, Clients: 2})
	if err != nil {
		return nil, err
	}
	w := &world{Lab: l}
	if w.fairlead, err = versioned.NewForConfig(l.RESTConfig()); err != nil {
		return nil, err
	}
	pool := &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: "edge"},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"192.0.2.200-192.0.2.229", "2001:db8::200-2001:db8::2ff"}},
	}
	if _, err = w.fairlead.FairleadV1alpha1().IPAddressPools().Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	advertisement := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "edge"}}
	_, err = w.fairlead.FairleadV1alpha1().L2Advertisements().Create(ctx, advertisement, metav1.CreateOptions{})
	return w, err
})

// world is a lab with what tests do in it.
type world struct {
	*lab.Lab
	fairlead versioned.Interface
}

// within returns the shared lab and a context that bounds the test. If the test fails, the product's logs
// follow.
func within(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range w.Product() {
				t.Logf("%s, running %v:\n%s", p.Name, p.Running(), p.Tail(25))
			}
		}
	})
	return ctx, w
}

// eventually waits until check returns nil, and fails with its last error if that does not come.
func eventually(ctx context.Context, t *testing.T, what string, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := check()
		took := time.Since(begin)
		if err == nil {
			return took
		}
		if ctx.Err() != nil || took > limit {
			t.Fatalf("%s did not come within %s: %v", what, took.Round(time.Millisecond), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// service makes a LoadBalancer Service for Pods with the label app=name, TCP and UDP port 80. It is deleted
// with the test.
func (w *world) service(ctx context.Context, t *testing.T, name string, change func(*corev1.Service)) *corev1.Service {
	t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name},
			IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicyPreferDualStack),
			Ports: []corev1.ServicePort{
				{Name: "tcp", Port: 80, TargetPort: intstr.FromInt32(lab.BackendPort), Protocol: corev1.ProtocolTCP},
				{Name: "udp", Port: 80, TargetPort: intstr.FromInt32(lab.BackendPort), Protocol: corev1.ProtocolUDP},
			},
		},
	}
	if change != nil {
		change(s)
	}
	made, err := w.Kubernetes.CoreV1().Services(s.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.deleteService(t, s.Namespace, name) })
	return made
}

func (w *world) deleteService(t *testing.T, namespace, name string) {
	t.Helper()
	err := w.Kubernetes.CoreV1().Services(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// deploy runs a Pod named after its node behind a Service, for the length of the test.
func (w *world) deploy(ctx context.Context, t *testing.T, service, node string) *lab.Pod {
	t.Helper()
	p, err := w.Deploy(ctx, lab.Backend{Name: service + "-" + node, Node: node, Labels: map[string]string{"app": service}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete(context.Background()) })
	return p
}

// addresses waits until a Service has n addresses, and returns them and how long that took.
func (w *world) addresses(ctx context.Context, t *testing.T, name string, n int) ([]netip.Addr, time.Duration) {
	t.Helper()
	var list []netip.Addr
	took := eventually(ctx, t, fmt.Sprintf("%d addresses of Service %s", n, name), 10*time.Second, func() error {
		s, err := w.get(ctx, name)
		if err != nil {
			return err
		}
		list = nil
		for _, i := range s.Status.LoadBalancer.Ingress {
			list = append(list, netip.MustParseAddr(i.IP))
		}
		if len(list) != n {
			return fmt.Errorf("it has %v, condition %s", list, condition(s.Status.Conditions, v1alpha1.ServiceConditionAssigned))
		}
		return nil
	})
	return list, took
}

func (w *world) get(ctx context.Context, name string) (*corev1.Service, error) {
	return w.Kubernetes.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
}

// condition renders a condition as "status reason: message".
func condition(list []metav1.Condition, kind string) string {
	for _, c := range list {
		if c.Type == kind {
			return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return "none"
}

// awaitCondition waits until the Service's condition contains a text.
func (w *world) awaitCondition(ctx context.Context, t *testing.T, name, text string) {
	t.Helper()
	eventually(ctx, t, "the condition "+text, 10*time.Second, func() error {
		s, err := w.get(ctx, name)
		if err != nil {
			return err
		}
		if c := condition(s.Status.Conditions, v1alpha1.ServiceConditionAssigned); !strings.Contains(c, text) {
			return fmt.Errorf("it is %q", c)
		}
		return nil
	})
}

// awaitEvent waits until an event about an object has a reason and contains a text.
func (w *world) awaitEvent(ctx context.Context, t *testing.T, object, reason, text string) {
	t.Helper()
	eventually(ctx, t, "the event "+reason+" about "+object, 10*time.Second, func() error {
		events, err := w.Kubernetes.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + object})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("there are %q", seen)
	})
}

// owner waits until exactly one node answers for an address, and returns it.
func (w *world) owner(ctx context.Context, t *testing.T, address netip.Addr) *lab.Node {
	t.Helper()
	var node *lab.Node
	eventually(ctx, t, "one owner of "+address.String(), 10*time.Second, func() error {
		macs, err := w.Client(1).Answerers(ctx, address, 200*time.Millisecond)
		if err != nil {
			return err
		}
		if len(macs) != 1 {
			return fmt.Errorf("%d answer: %v", len(macs), macs)
		}
		host := w.HostByMAC(macs[0])
		if host == nil {
			return errors.New("nobody's hardware address: " + macs[0].String())
		}
		if node = w.NodeNamed(host.Name); node == nil {
			return errors.New("not a node: " + host.Name)
		}
		return nil
	})
	return node
}

// silent fails if anybody answers for an address.
func (w *world) silent(ctx context.Context, address netip.Addr) error {
	macs, err := w.Client(1).Answerers(ctx, address, 200*time.Millisecond)
	if err == nil && len(macs) > 0 {
		err = fmt.Errorf("%v answer for %s", macs, address)
	}
	return err
}

func at(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }
