// Package scale runs Fairlead's controllers on a real control plane without nodes, and holds them to what
// thousands of Services may cost.
package scale

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	// namespace has all Services, and nothing else.
	namespace = "burst"
	// The pool has room for all. Its addresses are those of the lab's Pods, of which there are none here.
	poolName, poolAddresses = "wide", "198.18.0.0/16"
	// creators make Services in parallel. More of them make none sooner: the API server is busy.
	creators = 16
)

// world is a lab with controllers and a pool.
type world struct {
	*lab.Lab
	core     kubernetes.Interface
	fairlead versioned.Interface
}

// start starts a lab without nodes for the length of the test. There is one lab at a time.
func start(t *testing.T, limit time.Duration, config lab.Config) (context.Context, *world) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	config.Nodes, config.ControllerBinary = lab.None, filepath.Join(root, "build", "controller")
	if _, err := os.Stat(config.ControllerBinary); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	l, err := lab.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, c := range l.Controllers {
				t.Logf("%s, running %v:\n%s", c.Name, c.Running(), c.Tail(25))
			}
		}
		l.Stop()
	})
	w := &world{Lab: l}
	if w.fairlead, err = versioned.NewForConfig(l.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	// Protobuf, for what the test spends on two processors is missing to those it measures.
	core := rest.CopyConfig(l.RESTConfig())
	core.ContentType, core.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	if w.core, err = kubernetes.NewForConfig(core); err != nil {
		t.Fatal(err)
	}
	pool := &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: poolName},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{poolAddresses}},
	}
	if _, err := w.fairlead.FairleadV1alpha1().IPAddressPools().Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Namespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	return ctx, w
}

// made is when the Create of a Service returned, and how long it took.
type made struct {
	at   time.Time
	took time.Duration
}

// create makes a Service that asks for one IPv4 address.
func (w *world) create(ctx context.Context, name string) (made, error) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false),
			IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack), IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	began := time.Now()
	_, err := w.core.CoreV1().Services(namespace).Create(ctx, s, metav1.CreateOptions{})
	now := time.Now()
	return made{now, now.Sub(began)}, err
}

// burst makes the Services s<from> to s<to-1> as fast as the API server takes them, and notes them in all.
func (w *world) burst(ctx context.Context, t *testing.T, all map[string]made, from, to int) {
	t.Helper()
	var mu sync.Mutex
	var writers sync.WaitGroup
	for part := range creators {
		writers.Go(func() {
			for i := from + part; i < to; i += creators {
				name := fmt.Sprint("s", i)
				m, err := w.create(ctx, name)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all[name] = m
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// awaitEvents waits until there are n events about addresses: one each, none lost.
func (w *world) awaitEvents(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	events := w.core.CoreV1().Events(namespace)
	for {
		// The first page says how many more there are, but not with a selector. Of other events there are few:
		// the API server has some about cluster IPs.
		first, err := events.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		others, err := events.List(ctx, metav1.ListOptions{FieldSelector: "reason!=AddressAssigned"})
		if err != nil {
			t.Fatal(err)
		}
		found := len(first.Items) + int(ptr.Deref(first.RemainingItemCount, 0)) - len(others.Items)
		if found >= n {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d events about %d addresses", found, n)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// usage is the CPU time that a process has used so far, and the megabytes that it holds.
func usage(t *testing.T, p *lab.Process) (cpu time.Duration, megabytes int64) {
	t.Helper()
	cpu, err := p.CPUTime()
	if err != nil {
		t.Fatal(err)
	}
	rss, err := p.RSS()
	if err != nil {
		t.Fatal(err)
	}
	return cpu, rss >> 20
}

// times are durations of which the distribution counts.
type times []time.Duration

// part is the duration that so many in a hundred do not exceed.
func (l times) part(percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(l))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(100 * time.Microsecond)
}

func (l times) String() string {
	return fmt.Sprintf("median %s, p99 %s, worst %s", l.part(50), l.part(99), l.part(100))
}
