package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// Fairlead is uninstalled by deleting what was applied, its own namespace before all. From that moment there is
// little time: kubectl deletes the ClusterRole some tens of milliseconds later, and the API server forgets the service
// account within ten seconds. So what Services were given is taken back at once, by all writers, and without events:
// one for each Service would take as long as the write itself, and nothing is lost that its user has to mend.

// takeBackTime bounds it: then the service account is forgotten. Told to stop, the Pod has longer.
const takeBackTime = 8 * time.Second

// ownNamespace notes that Fairlead's own namespace is being deleted, or is gone. That cannot be undone.
func (c *Controller) ownNamespace(object any, gone bool) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	n, ok := object.(*corev1.Namespace)
	if !ok || n.Name != c.Namespace || n.DeletionTimestamp == nil && !gone {
		return
	}
	c.leaving.Store(true)
	c.enqueue(item{kind: uninstall}) // for a decider that has nothing to do
}

// taking is what is to be written to a Service.
type taking struct {
	key   lb.Key
	patch []byte
}

// takings returns what is to be written to Services for nothing of ours to be left on them, by age.
func takings(services []*corev1.Service, known map[lb.Key]*known) (list []taking) {
	services = slices.Clone(services)
	k8s.ByAge(services)
	for _, svc := range services {
		k := known[k8s.Key(svc)]
		patch := takingBack(svc, k)
		if patch == nil && k.unseen() {
			// The watch lags our own write: this one is refused as out of date, and then made of what is there.
			patch = encode(svc.ResourceVersion, statusPatch{})
		}
		if patch != nil {
			list = append(list, taking{k8s.Key(svc), patch})
		}
	}
	return list
}

// takingBack is the patch that takes from a Service what we gave it; nil if it has nothing of it. What its status showed
// before we came, out of a backup or from another load balancer, stays.
func takingBack(svc *corev1.Service, k *known) []byte {
	var status statusPatch
	status.removeOurs(svc)
	shown := svc.Status.LoadBalancer.Ingress
	kept := slices.DeleteFunc(slices.Clone(shown), func(i corev1.LoadBalancerIngress) bool { return k.gave(i) })
	if len(kept) < len(shown) {
		status.LoadBalancer = &loadBalancerPatch{Ingress: kept}
	}
	if status.Conditions == nil && status.LoadBalancer == nil {
		return nil
	}
	return encode(svc.ResourceVersion, status)
}

// gave tells whether an address in a Service's status is there because we gave it: one that the Service has, or had
// until its pool went a moment ago, as the custom resources are being deleted too.
func (k *known) gave(i corev1.LoadBalancerIngress) bool {
	ip, err := netip.ParseAddr(i.IP)
	if k == nil || err != nil {
		return false
	}
	if f := k.leaving[ip]; f != nil {
		return f.reason != string(allocator.ReasonNotAdopted)
	}
	return slices.ContainsFunc(k.has, func(a allocator.Assignment) bool { return a.Address == ip && a.Pool != "" })
}

// unseen tells whether an address of ours was written to the status, where the Service itself shows none.
func (k *known) unseen() bool {
	return k != nil && slices.ContainsFunc(k.shows, func(ip netip.Addr) bool { return k.gave(corev1.LoadBalancerIngress{IP: ip.String()}) })
}

// takeBack takes back what Services were given, as far as it is let. It goes on when the process is told to stop.
func (t *term) takeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime)
	defer cancel()
	began := time.Now()
	services, _ := t.serviceLister.List(labels.Everything()) // a lister's List does not fail
	list := takings(services, t.known)
	t.Log.Info("the namespace is being deleted: taking back what Services were given", "namespace", t.Namespace, "services", len(list))
	var mu sync.Mutex
	var left []error
	var refused atomic.Bool // our rights are gone: no other try will do better
	var group errgroup.Group
	group.SetLimit(writers)
	for _, taking := range list {
		group.Go(func() error {
			err := errUntried
			if !refused.Load() && t.held() {
				err = t.takeFrom(ctx, taking)
			}
			if err != nil {
				refused.CompareAndSwap(false, apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err))
				mu.Lock()
				defer mu.Unlock()
				left = append(left, err)
			}
			return nil
		})
	}
	_ = group.Wait() // it collects no errors
	took := time.Since(began).Round(time.Millisecond)
	if len(left) > 0 {
		t.Log.Warn("some Services keep in their status what they were given", "services", len(left), "of", len(list), "took", took, "error", left[0])
		return
	}
	t.Log.Info("nothing is left of what Services were given", "services", len(list), "took", took)
}

var errUntried = errors.New("not tried any more")

// takeFrom writes to one Service, again if it has changed meanwhile, or if the API server fails for a moment.
func (t *term) takeFrom(ctx context.Context, x taking) error {
	for {
		err := t.Cluster.PatchServiceStatus(ctx, x.key, x.patch)
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return nil
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), ctx.Err() != nil:
			return fmt.Errorf("clearing the status of Service %s: %w", x.key, err)
		}
		pause(ctx, 50*time.Millisecond)
		svc, err := t.Cluster.Core.CoreV1().Services(x.key.Namespace).Get(ctx, x.key.Name, metav1.GetOptions{})
		if err != nil {
			continue // the write says why, if it fails again
		}
		if x.patch = takingBack(svc, t.known[x.key]); x.patch == nil {
			return nil
		}
	}
}
