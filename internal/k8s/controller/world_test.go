package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	fairleadfake "github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned/fake"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/prometheus/client_golang/prometheus"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestMain(m *testing.M) {
	watch.DefaultChanSize = 100_000 // the fake's watches panic when they are full
	k8s.CaptureLogs(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

var (
	servicesGVR = corev1.SchemeGroupVersion.WithResource("services")
	poolsGVR    = v1alpha1.SchemeGroupVersion.WithResource("ipaddresspools")

	namespacesGVR     = corev1.SchemeGroupVersion.WithResource("namespaces")
	advertisementsGVR = v1alpha1.SchemeGroupVersion.WithResource("l2advertisements")
	nodesGVR          = corev1.SchemeGroupVersion.WithResource("nodes")
	speakersGVR       = v1alpha1.SchemeGroupVersion.WithResource("speakers")
)

// world is an API server as far as the controller can tell: client-go's fake, with what that lacks and the
// controller relies on, resourceVersions and conflicts. It lives in a synctest bubble.
type world struct {
	t        *testing.T
	core     *fake.Clientset
	fairlead *fairleadfake.Clientset
	version  atomic.Int64
	created  time.Time // of the next object

	mu sync.Mutex
	// patches are the status patches so far, as "kind name".
	patches []string
	// refusal, if set, may refuse a status patch.
	refusal func(kind, name string) error
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, core: fake.NewSimpleClientset(), fairlead: fairleadfake.NewSimpleClientset(), created: time.Now()}
	w.version.Store(1000)
	w.core.PrependReactor("patch", "services", w.patch)
	w.core.PrependReactor("list", "services", w.listServices)
	w.fairlead.PrependReactor("patch", "*", w.patch)
	w.must(w.fairlead.Tracker().Create(advertisementsGVR, &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all", ResourceVersion: w.next()}}, ""))
	w.must(w.core.Tracker().Create(namespacesGVR, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", ResourceVersion: w.next()}}, ""))
	return w
}

func (w *world) tracker(resource string) clienttesting.ObjectTracker {
	if resource == "services" || resource == "namespaces" || resource == "nodes" {
		return w.core.Tracker()
	}
	return w.fairlead.Tracker()
}

func (w *world) next() string { return fmt.Sprint(w.version.Add(1)) }

// listServices lists Services by their type, as an API server does.
func (w *world) listServices(action clienttesting.Action) (bool, runtime.Object, error) {
	l := action.(clienttesting.ListAction)
	object, err := w.core.Tracker().List(servicesGVR, corev1.SchemeGroupVersion.WithKind("Service"), l.GetNamespace())
	if err != nil {
		return true, nil, err
	}
	list := object.(*corev1.ServiceList)
	list.Items = slices.DeleteFunc(list.Items, func(s corev1.Service) bool {
		return !l.GetListRestrictions().Fields.Matches(fields.Set{"spec.type": string(s.Spec.Type)})
	})
	return true, list, nil
}

// patch does what an API server does to a patch of a status with a resourceVersion.
func (w *world) patch(action clienttesting.Action) (bool, runtime.Object, error) {
	p := action.(clienttesting.PatchAction)
	gvr, kind := p.GetResource(), p.GetResource().Resource
	w.mu.Lock()
	w.patches = append(w.patches, kind+" "+p.GetName())
	refuse := w.refusal
	w.mu.Unlock()
	if p.GetSubresource() != "status" {
		w.t.Errorf("patch of %s %s itself, not of its status: %s", kind, p.GetName(), p.GetPatch())
	}
	if refuse != nil {
		if err := refuse(kind, p.GetName()); err != nil {
			return true, nil, err
		}
	}
	object, err := w.tracker(kind).Get(gvr, p.GetNamespace(), p.GetName())
	if err != nil {
		return true, nil, err
	}
	accessor := object.(metav1.Object)
	var precondition struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(p.GetPatch(), &precondition); err != nil {
		w.t.Error(err)
	}
	if v := precondition.Metadata.ResourceVersion; v != accessor.GetResourceVersion() {
		return true, nil, apierrors.NewConflict(gvr.GroupResource(), p.GetName(), fmt.Errorf("%s is not %s", v, accessor.GetResourceVersion()))
	}
	before, _ := json.Marshal(object)
	var after []byte
	if p.GetPatchType() == types.StrategicMergePatchType {
		after, err = strategicpatch.StrategicMergePatch(before, p.GetPatch(), object)
		object = &corev1.Service{}
	} else {
		after, err = jsonpatch.MergePatch(before, p.GetPatch())
		object = reflect.New(reflect.TypeOf(object).Elem()).Interface().(runtime.Object)
	}
	if err != nil {
		w.t.Error(err)
	}
	if err := json.Unmarshal(after, object); err != nil {
		w.t.Error(err)
	}
	object.(metav1.Object).SetResourceVersion(w.next())
	return true, object, w.tracker(kind).Update(gvr, object, p.GetNamespace())
}

// writes returns the status patches since it was last called.
func (w *world) writes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.patches = nil }()
	return w.patches
}

// refuse has status patches refused, nil for none.
func (w *world) refuse(f func(kind, name string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = f
}

// age lets the next objects be younger.
func (w *world) age() { w.created = w.created.Add(time.Second) }

func (w *world) pool(name string, addresses ...v1alpha1.AddressRange) {
	w.t.Helper()
	pool := &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, UID: types.UID(w.next()), ResourceVersion: w.next(), CreationTimestamp: metav1.NewTime(w.created)},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: addresses},
	}
	if old, err := w.fairlead.Tracker().Get(poolsGVR, "", name); err == nil {
		old := old.(*v1alpha1.IPAddressPool)
		pool.UID, pool.Generation, pool.CreationTimestamp, pool.Status = old.UID, old.Generation+1, old.CreationTimestamp, old.Status
		w.must(w.fairlead.Tracker().Update(poolsGVR, pool, ""))
		return
	}
	w.must(w.fairlead.Tracker().Create(poolsGVR, pool, ""))
}

// detectConflicts sets conflictDetection of a pool.
func (w *world) detectConflicts(name string) {
	w.t.Helper()
	pool := w.getPool(name).DeepCopy()
	pool.Spec.ConflictDetection, pool.ResourceVersion = true, w.next()
	pool.Generation++
	w.must(w.fairlead.Tracker().Update(poolsGVR, pool, ""))
}

func (w *world) deletePool(name string) {
	w.t.Helper()
	w.must(w.fairlead.Tracker().Delete(poolsGVR, "", name))
}

func (w *world) getPool(name string) *v1alpha1.IPAddressPool {
	w.t.Helper()
	o, err := w.fairlead.Tracker().Get(poolsGVR, "", name)
	w.must(err)
	return o.(*v1alpha1.IPAddressPool)
}

// speaker edits the status of a node's Speaker, as the speaker does. There need not be one.
func (w *world) speaker(node string, edit func(*v1alpha1.SpeakerStatus)) error {
	tracker := w.fairlead.Tracker()
	old, err := tracker.Get(speakersGVR, "", node)
	if apierrors.IsNotFound(err) {
		s := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: node, UID: types.UID(node), ResourceVersion: w.next()}}
		edit(&s.Status)
		return tracker.Create(speakersGVR, s, "")
	}
	if err != nil {
		return err
	}
	s := old.(*v1alpha1.Speaker).DeepCopy()
	s.ResourceVersion = w.next()
	edit(&s.Status)
	return tracker.Update(speakersGVR, s, "")
}

func (w *world) service(name string, change ...func(*corev1.Service)) {
	w.t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(w.next()), ResourceVersion: w.next(),
			CreationTimestamp: metav1.NewTime(w.created), Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	for _, c := range change {
		c(svc)
	}
	w.must(w.core.Tracker().Create(servicesGVR, svc, "default"))
}

// edit changes a Service as its user does.
func (w *world) edit(name string, change func(*corev1.Service)) {
	w.t.Helper()
	svc := w.get(name).DeepCopy()
	change(svc)
	svc.ResourceVersion = w.next()
	w.must(w.core.Tracker().Update(servicesGVR, svc, "default"))
}

func (w *world) delete(name string) {
	w.t.Helper()
	w.must(w.core.Tracker().Delete(servicesGVR, "default", name))
}

func (w *world) get(name string) *corev1.Service {
	w.t.Helper()
	o, err := w.core.Tracker().Get(servicesGVR, "default", name)
	w.must(err)
	return o.(*corev1.Service)
}

// says shows a Service's status: addresses, then the condition.
func (w *world) says(name string) string {
	w.t.Helper()
	svc := w.get(name)
	var parts []string
	for _, ip := range k8s.IngressIPs(svc) {
		parts = append(parts, ip.String())
	}
	if c := k8s.AssignedCondition(svc); c != nil {
		parts = append(parts, fmt.Sprintf("%s: %s", c.Reason, c.Message))
	}
	return strings.Join(parts, " ")
}

func (w *world) expect(name, want string) {
	w.t.Helper()
	if got := w.says(name); got != want {
		w.t.Errorf("Service %s: %s\nwant: %s", name, got, want)
	}
}

// events returns what was told of an object, in order.
func (w *world) events(name string) []string {
	w.t.Helper()
	list, err := w.core.CoreV1().Events(metav1.NamespaceAll).List(context.Background(), metav1.ListOptions{})
	w.must(err)
	slices.SortFunc(list.Items, func(x, y corev1.Event) int { return strings.Compare(x.Name, y.Name) })
	var told []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == name {
			told = append(told, e.Type+" "+e.Reason+": "+e.Message)
		}
	}
	return told
}

func (w *world) expectEvents(name string, want ...string) {
	w.t.Helper()
	if got := w.events(name); !slices.Equal(got, want) {
		w.t.Errorf("events about %s:\n  %s\nwant:\n  %s", name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// run runs a controller until stop is called, and returns when it has nothing to do at first.
func (w *world) run(change ...func(*Config)) (c *Controller, stop func()) {
	w.t.Helper()
	config := Config{
		Cluster: &k8s.Cluster{Core: w.core, Fairlead: w.fairlead}, Namespace: "fairlead-system", Identity: "test",
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&config)
	}
	c, err := New(config)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	w.settle()
	return c, func() {
		w.t.Helper()
		cancel()
		w.must(<-done)
	}
}

// settle lets all that is due happen, and what is due within seconds.
func (w *world) settle() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}
