package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	metrics      *metrics
	recorder     *k8s.Recorder
	serviceWatch *k8s.Watch
	poolWatch    *k8s.Watch

	serviceLister corelisters.ServiceLister
	poolLister    listers.IPAddressPoolLister
	// queue is the present term's; nil while another controller leads.
	queue atomic.Pointer[queue]
}

// New makes a controller. It starts nothing.
func New(c Config) (*Controller, error) {
	r := &Controller{
		Config:       c,
		metrics:      newMetrics(c.Metrics),
		recorder:     k8s.NewRecorder(c.Cluster, "fairlead-controller", c.Identity, c.Log, c.Metrics),
		serviceWatch: k8s.WatchServices(c.Cluster, c.Log),
		poolWatch:    k8s.WatchPools(c.Cluster, c.Log),
	}
	r.serviceLister = corelisters.NewServiceLister(r.serviceWatch.GetIndexer())
	r.poolLister = listers.NewIPAddressPoolLister(r.poolWatch.GetIndexer())
	_, err := r.serviceWatch.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    r.serviceChanged,
		UpdateFunc: func(_, now any) { r.serviceChanged(now) },
		DeleteFunc: r.serviceChanged,
	})
	if err != nil {
		return nil, fmt.Errorf("handling Services: %w", err)
	}
	_, err = r.poolWatch.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { r.enqueue(allPools) },
		UpdateFunc: r.poolUpdated,
		DeleteFunc: func(any) { r.enqueue(allPools) },
	})
	if err != nil {
		return nil, fmt.Errorf("handling IPAddressPools: %w", err)
	}
	return r, nil
}

// Run watches, and decides while it leads, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	// Events of the last decisions are still written after the decider has stopped.
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	var recorder errgroup.Group
	recorder.Go(func() error { return c.recorder.Run(recording) })

	group, ctx := errgroup.WithContext(ctx)
	for _, task := range []interface{ Run(context.Context) error }{
		// The watches run while another controller leads too, so that a takeover finds everything in memory.
		c.serviceWatch, c.poolWatch,
		&gossipKey{c.Cluster.Core, c.Namespace, c.Log},
		newElection(c),
	} {
		group.Go(func() error { return task.Run(ctx) })
	}
	err := group.Wait()
	stopRecording()
	return errors.Join(err, recorder.Wait())
}

// Ready returns nil once everything is in memory that a decision needs, else what is missing.
func (c *Controller) Ready() error {
	if c.serviceWatch.HasSynced() && c.poolWatch.HasSynced() {
		return nil
	}
	if err := c.Cluster.Reached(); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	return errors.Join(c.serviceWatch.Waiting(), c.poolWatch.Waiting())
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
