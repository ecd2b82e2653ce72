package upgrade

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The lead goes from a controller of the previous release to one of this, and back. Each reads what the other wrote:
// no address changes, those of deleted Services wait on, and a Service that returns has its own.
func TestControllers(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	for _, c := range w.Controllers {
		if w.runs[c] != w.old {
			w.replace(ctx, t, c, w.old)
		}
	}
	w.fleet(ctx, t)
	w.install(ctx, t, w.now)
	for _, handover := range []struct{ from, to release }{{w.old, w.now}, {w.now, w.old}} {
		t.Run(fmt.Sprintf("from the %s release to the %s", handover.from.name, handover.to.name), func(t *testing.T) {
			w.testHandover(ctx, t, handover.from, handover.to)
		})
	}
}

func (w *world) testHandover(ctx context.Context, t *testing.T, from, to release) {
	leader := w.leader(ctx, t)
	standby := w.Controllers[0]
	if standby == leader {
		standby = w.Controllers[1]
	}
	w.replace(ctx, t, standby, to)
	waiting := "waits-under-" + from.name
	if err := w.makeService(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	steady := w.addresses(ctx, t, waiting)[0]
	w.remove(ctx, t, waiting)
	var retained []v1alpha1.RetainedAddress
	measure.Eventually(ctx, t, "two addresses that wait", 10*time.Second, func() error {
		retained = w.waitingFor(ctx, t, waiting)
		if len(retained) != 2 {
			return fmt.Errorf("%v wait", retained)
		}
		return nil
	})
	before, pool := w.statuses(ctx, t), w.pool(ctx, t)

	begin := time.Now()
	if err := leader.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.makeService(ctx, "first-under-"+to.name); err != nil {
		t.Fatal(err)
	}
	first := w.addresses(ctx, t, "first-under-"+to.name)[0]
	took := time.Since(begin)
	if slices.ContainsFunc(first, func(a netip.Addr) bool { return slices.Contains(steady, a) }) {
		t.Errorf("a new Service got %v, and %v wait for %s", first, steady, waiting)
	}
	if leads := w.leader(ctx, t); leads != standby || w.runs[leads] != to {
		t.Fatalf("%s leads, want %s", leads.Name, standby.Name)
	}
	w.begin(t, leader, from)

	rewritten := 0
	after := w.statuses(ctx, t)
	for name, was := range before {
		is := after[name]
		if diff := cmp.Diff(was.Status.LoadBalancer, is.Status.LoadBalancer); diff != "" {
			t.Errorf("the address of %s changed:\n%s", name, diff)
		}
		if !meta.IsStatusConditionTrue(is.Status.Conditions, "fairlead.dev/Assigned") {
			t.Errorf("%s has the conditions %+v", name, is.Status.Conditions)
		}
		if was.ResourceVersion != is.ResourceVersion {
			rewritten++
		}
	}
	if diff := cmp.Diff(retained, w.waitingFor(ctx, t, waiting)); diff != "" {
		t.Errorf("what waits for %s changed:\n%s", waiting, diff)
	}
	now := w.pool(ctx, t)
	ready := func(p *v1alpha1.IPAddressPool) *metav1.Condition {
		return meta.FindStatusCondition(p.Status.Conditions, "Ready")
	}
	if c := ready(now); c == nil || c.Status != metav1.ConditionTrue || !c.LastTransitionTime.Equal(&ready(pool).LastTransitionTime) {
		t.Errorf("the pool says %+v, and said %+v", c, ready(pool))
	}
	if err := w.makeService(ctx, waiting); err != nil {
		t.Fatal(err)
	}
	if again := w.addresses(ctx, t, waiting)[0]; !slices.Equal(again, steady) {
		t.Errorf("%s had %v, and has %v when it returns", waiting, steady, again)
	}
	measure.Report(t, len(w.Nodes), fmt.Sprintf("lead given from the %s release's controller to one of the %s", from.name, to.name), "no address changes",
		"a new Service had its address %.1f s after the leader was told to stop; %d of %d Services rewritten", took.Seconds(), rewritten, len(before))

	w.remove(ctx, t, waiting, "first-under-"+to.name)
}

// leader waits until a controller leads, and returns it. Who holds the Lease names itself by where it listens.
func (w *world) leader(ctx context.Context, t *testing.T) (leader *lab.Process) {
	t.Helper()
	measure.Eventually(ctx, t, "a leader", 20*time.Second, func() error {
		lease, err := w.Kubernetes.CoordinationV1().Leases(lab.ProductNamespace).Get(ctx, "fairlead-controller", metav1.GetOptions{})
		if err != nil {
			return err
		}
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		for i, c := range w.Controllers {
			if strings.HasSuffix(holder, fmt.Sprintf(":%d", lab.ControllerHTTPPort+i)) {
				leader = c
				return nil
			}
		}
		return fmt.Errorf("the Lease is held by %q", holder)
	})
	return leader
}

// remove deletes Services.
func (w *world) remove(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := w.Kubernetes.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

func (w *world) pool(ctx context.Context, t *testing.T) *v1alpha1.IPAddressPool {
	t.Helper()
	pool, err := w.fairlead.FairleadV1alpha1().IPAddressPools().Get(ctx, "fleet", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// waitingFor is what the pool's status retains for a deleted Service.
func (w *world) waitingFor(ctx context.Context, t *testing.T, name string) []v1alpha1.RetainedAddress {
	t.Helper()
	return slices.DeleteFunc(w.pool(ctx, t).Status.Retained, func(r v1alpha1.RetainedAddress) bool { return r.Name != name })
}

// statuses are the Services of the fleet.
func (w *world) statuses(ctx context.Context, t *testing.T) map[string]corev1.Service {
	t.Helper()
	list, err := w.Kubernetes.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]corev1.Service{}
	for _, s := range list.Items {
		if slices.Contains(fleetOf(), s.Name) {
			all[s.Name] = s
		}
	}
	if len(all) != len(fleetOf()) {
		t.Fatalf("there are %v", slices.Sorted(maps.Keys(all)))
	}
	return all
}
