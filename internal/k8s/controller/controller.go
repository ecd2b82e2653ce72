package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	listers "github.com/fairlead-lb/fairlead/internal/generated/listers/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// Config is what a controller needs.
type Config struct {
	Cluster *k8s.Cluster
	// Namespace of the Lease and of the gossip key.
	Namespace string
	// LoadBalancerClass is --load-balancer-class.
	LoadBalancerClass string
	// LeaderElect is false if no other controller runs.
	LeaderElect bool
	// Identity tells this controller from all others that run, and is the same when it is started again:
	// then it goes on with a Lease that it held, instead of waiting until that has run out.
	Identity string
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Controller is the task that assigns addresses.
type Controller struct {
	Config
	metrics  *metrics
	recorder *k8s.Recorder
	// Namespaces and advertisements decide nothing about what a Service has already.
	serviceWatch, poolWatch, namespaceWatch, advertisementWatch, speakerWatch *k8s.Watch

	// following have synced when the handlers have been told of all that was there at first, in no order.
	following []cache.ResourceEventHandlerRegistration

	serviceLister       corelisters.ServiceLister
	poolLister          listers.IPAddressPoolLister
	namespaceLister     corelisters.NamespaceLister
	advertisementLister listers.L2AdvertisementLister
	speakerLister       listers.SpeakerLister
	// queue is the present term's; nil while another controller leads.
	queue atomic.Pointer[queue]
}

// New makes a controller. It starts nothing.
func New(c Config) (*Controller, error) {
	r := &Controller{
		Config:             c,
		metrics:            newMetrics(c.Metrics),
		recorder:           k8s.NewRecorder(c.Cluster, "fairlead-controller", c.Identity, c.Log, c.Metrics),
		serviceWatch:       k8s.WatchServices(c.Cluster, c.Log),
		poolWatch:          k8s.WatchPools(c.Cluster, c.Log),
		namespaceWatch:     k8s.WatchNamespaces(c.Cluster, c.Log),
		advertisementWatch: k8s.WatchL2Advertisements(c.Cluster, c.Log),
		speakerWatch:       k8s.WatchSpeakers(c.Cluster, c.Log),
	}
	r.serviceLister = corelisters.NewServiceLister(r.serviceWatch.GetIndexer())
	r.poolLister = listers.NewIPAddressPoolLister(r.poolWatch.GetIndexer())
	r.namespaceLister = corelisters.NewNamespaceLister(r.namespaceWatch.GetIndexer())
	r.advertisementLister = listers.NewL2AdvertisementLister(r.advertisementWatch.GetIndexer())
	r.speakerLister = listers.NewSpeakerLister(r.speakerWatch.GetIndexer())
	all := func(i item) cache.ResourceEventHandlerFuncs {
		return cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { r.enqueue(i) },
			UpdateFunc: func(_, _ any) { r.enqueue(i) },
			DeleteFunc: func(any) { r.enqueue(i) },
		}
	}
	pools := all(allPools)
	pools.UpdateFunc = r.poolUpdated
	for watch, handler := range map[*k8s.Watch]cache.ResourceEventHandler{
		r.serviceWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    r.serviceChanged,
			UpdateFunc: func(_, now any) { r.serviceChanged(now) },
			DeleteFunc: r.serviceChanged,
		},
		r.poolWatch:          pools,
		r.namespaceWatch:     cache.ResourceEventHandlerFuncs{AddFunc: r.namespaceAdded, UpdateFunc: r.namespaceUpdated},
		r.advertisementWatch: all(allStatuses),
		r.speakerWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { r.speakerChanged(nil, o) },
			UpdateFunc: r.speakerChanged,
			DeleteFunc: func(o any) { r.speakerChanged(o, nil) },
		},
	} {
		following, err := watch.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("following what is watched: %w", err)
		}
		r.following = append(r.following, following)
	}
	return r, nil
}

// watches are all that has to be in memory before anything is decided.
func (c *Controller) watches() []*k8s.Watch {
	return []*k8s.Watch{c.serviceWatch, c.poolWatch, c.namespaceWatch, c.advertisementWatch, c.speakerWatch}
}

// Run watches, and decides while it leads, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	// Events of the last decisions are still written after the decider has stopped.
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	var recorder errgroup.Group
	recorder.Go(func() error { return c.recorder.Run(recording) })

	group, ctx := errgroup.WithContext(ctx)
	tasks := []interface{ Run(context.Context) error }{
		&gossipKey{c.Cluster.Core, c.Namespace, c.Log},
		newElection(c),
	}
	// The watches run while another controller leads too, so that a takeover finds everything in memory.
	for _, w := range c.watches() {
		tasks = append(tasks, w)
	}
	for _, task := range tasks {
		group.Go(func() error { return task.Run(ctx) })
	}
	err := group.Wait()
	stopRecording()
	return errors.Join(err, recorder.Wait())
}

// Ready returns nil once everything is in memory that a decision needs, else what is missing.
func (c *Controller) Ready() error {
	var waiting []error
	for _, w := range c.watches() {
		waiting = append(waiting, w.Waiting())
	}
	err := errors.Join(waiting...)
	if err == nil {
		return nil
	}
	if unreached := c.Cluster.Reached(); unreached != nil {
		return fmt.Errorf("waiting for the API server: %w", unreached)
	}
	return err
}

func (c *Controller) enqueue(i item) {
	if q := c.queue.Load(); q != nil {
		(*q).Add(i)
	}
}

func (c *Controller) serviceChanged(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if svc, ok := object.(*corev1.Service); ok {
		c.enqueue(item{service, k8s.Key(svc)})
	}
}

// poolUpdated tells a change of what a pool is from a change of its status, which is our own write as a
// rule, and is looked at only to heal what others may have done to it.
func (c *Controller) poolUpdated(before, now any) {
	was, is := before.(*v1alpha1.IPAddressPool), now.(*v1alpha1.IPAddressPool)
	if was.UID != is.UID || was.Generation != is.Generation || !equality.Semantic.DeepEqual(was.Spec, is.Spec) {
		c.enqueue(allPools)
		return
	}
	c.enqueue(item{poolStatus, lb.Key{Name: is.Name}})
}

// speakerChanged has the pools read anew if other addresses are in use by foreign hosts than before: nothing
// else that a speaker says of itself matters here.
func (c *Controller) speakerChanged(before, now any) {
	detected := func(object any) (list []v1alpha1.AddressConflict) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if s, ok := object.(*v1alpha1.Speaker); ok {
			list = k8s.Detected(s)
		}
		return list
	}
	if !equality.Semantic.DeepEqual(detected(before), detected(now)) {
		c.enqueue(allPools)
	}
}

func (c *Controller) namespaceAdded(object any) {
	if n, ok := object.(*corev1.Namespace); ok {
		c.enqueue(item{namespace, lb.Key{Namespace: n.Name}})
	}
}

func (c *Controller) namespaceUpdated(before, now any) {
	was, is := before.(*corev1.Namespace), now.(*corev1.Namespace)
	if !maps.Equal(was.Labels, is.Labels) {
		c.namespaceAdded(is)
	}
}

func (c *Controller) namespaceLabels(name string) map[string]string {
	n, err := c.namespaceLister.Get(name)
	if err != nil {
		return nil
	}
	return n.Labels
}

func (c *Controller) namespaceKnown(name string) bool {
	_, err := c.namespaceLister.Get(name)
	return err == nil
}
