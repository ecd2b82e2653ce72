package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	listers "github.com/fairlead-lb/fairlead/internal/generated/listers/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// Busy is called by the decider when a turn begins and when it has ended. A turn waits for nothing outside the
	// process.
	Busy func(bool)
}

// Controller is the task that assigns addresses.
type Controller struct {
	Config
	metrics  *metrics
	recorder *k8s.Recorder
	// Namespaces and advertisements decide nothing about what a Service has already.
	serviceWatch, poolWatch, namespaceWatch, advertisementWatch, speakerWatch *k8s.Watch
	// These decide nothing at all here: their statuses say how they stand.
	peerWatch, bgpAdvertisementWatch, profileWatch, communityWatch, nodeWatch *k8s.Watch

	// following have synced when the handlers have been told of all that was there at first, in no order.
	following []cache.ResourceEventHandlerRegistration

	serviceLister          corelisters.ServiceLister
	poolLister             listers.IPAddressPoolLister
	namespaceLister        corelisters.NamespaceLister
	advertisementLister    listers.L2AdvertisementLister
	speakerLister          listers.SpeakerLister
	peerLister             listers.BGPPeerLister
	bgpAdvertisementLister listers.BGPAdvertisementLister
	communityLister        listers.CommunityLister
	nodeLister             corelisters.NodeLister
	// queue is the present term's; nil while another controller leads.
	queue atomic.Pointer[queue]
	// leader is the identity of the controller that leads, a string; none while nobody is known to.
	leader atomic.Value
	// leaving is true once Fairlead is being uninstalled.
	leaving atomic.Bool
}

// New makes a controller. It starts nothing.
func New(c Config) (*Controller, error) {
	if c.Busy == nil {
		c.Busy = func(bool) {}
	}
	r := &Controller{
		Config:             c,
		metrics:            newMetrics(c.Metrics),
		recorder:           k8s.NewRecorder(c.Cluster, "fairlead-controller", c.Identity, c.Log, c.Metrics),
		serviceWatch:       k8s.WatchServices(c.Cluster, c.Log),
		poolWatch:          k8s.WatchPools(c.Cluster, c.Log),
		namespaceWatch:     k8s.WatchNamespaces(c.Cluster, c.Log),
		advertisementWatch: k8s.WatchL2Advertisements(c.Cluster, c.Log),
		speakerWatch:       k8s.WatchSpeakers(c.Cluster, c.Log),

		peerWatch:             k8s.WatchBGPPeers(c.Cluster, c.Log),
		bgpAdvertisementWatch: k8s.WatchBGPAdvertisements(c.Cluster, c.Log),
		profileWatch:          k8s.WatchBFDProfiles(c.Cluster, c.Log),
		communityWatch:        k8s.WatchCommunities(c.Cluster, c.Log),
		nodeWatch:             k8s.WatchNodes(c.Cluster, c.Log),
	}
	r.serviceLister = corelisters.NewServiceLister(r.serviceWatch.GetIndexer())
	r.poolLister = listers.NewIPAddressPoolLister(r.poolWatch.GetIndexer())
	r.namespaceLister = corelisters.NewNamespaceLister(r.namespaceWatch.GetIndexer())
	r.advertisementLister = listers.NewL2AdvertisementLister(r.advertisementWatch.GetIndexer())
	r.speakerLister = listers.NewSpeakerLister(r.speakerWatch.GetIndexer())
	r.peerLister = listers.NewBGPPeerLister(r.peerWatch.GetIndexer())
	r.bgpAdvertisementLister = listers.NewBGPAdvertisementLister(r.bgpAdvertisementWatch.GetIndexer())
	r.communityLister = listers.NewCommunityLister(r.communityWatch.GetIndexer())
	r.nodeLister = corelisters.NewNodeLister(r.nodeWatch.GetIndexer())
	all := func(i item) cache.ResourceEventHandlerFuncs {
		return cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { r.enqueue(i) },
			UpdateFunc: func(_, _ any) { r.enqueue(i) },
			DeleteFunc: func(any) { r.enqueue(i) },
		}
	}
	pools := all(allPools)
	pools.UpdateFunc = r.poolUpdated
	handlers := map[*k8s.Watch]cache.ResourceEventHandler{
		r.serviceWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    r.serviceChanged,
			UpdateFunc: func(_, now any) { r.serviceChanged(now) },
			DeleteFunc: r.serviceChanged,
		},
		r.poolWatch: pools,
		r.namespaceWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { r.ownNamespace(o, false); r.namespaceAdded(o) },
			UpdateFunc: func(before, now any) { r.ownNamespace(now, false); r.namespaceUpdated(before, now) },
			DeleteFunc: func(o any) { r.ownNamespace(o, true) },
		},
		r.nodeWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { r.nodeChanged(nil, o) },
			UpdateFunc: r.nodeChanged,
			DeleteFunc: func(o any) { r.nodeChanged(o, nil) },
		},
		r.speakerWatch: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { r.speakerChanged(nil, o) },
			UpdateFunc: r.speakerChanged,
			DeleteFunc: func(o any) { r.speakerChanged(o, nil) },
		},
	}
	for kind, watch := range r.configWatches() {
		config := all(allConfig)
		config.UpdateFunc = func(before, now any) { r.configUpdated(kind, before, now) }
		handlers[watch] = config
	}
	for watch, handler := range handlers {
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
	return []*k8s.Watch{c.serviceWatch, c.poolWatch, c.namespaceWatch, c.advertisementWatch, c.speakerWatch,
		c.peerWatch, c.bgpAdvertisementWatch, c.profileWatch, c.communityWatch, c.nodeWatch}
}

// configWatches are those of the objects whose status says how they stand.
func (c *Controller) configWatches() map[kind]*k8s.Watch {
	return map[kind]*k8s.Watch{
		l2Advertisement: c.advertisementWatch, bgpAdvertisement: c.bgpAdvertisementWatch, bgpPeer: c.peerWatch,
		bfdProfile: c.profileWatch, community: c.communityWatch,
	}
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
	// Advertisements select pools by their labels.
	if was.UID != is.UID || was.Generation != is.Generation || !maps.Equal(was.Labels, is.Labels) || !equality.Semantic.DeepEqual(was.Spec, is.Spec) {
		c.enqueue(allPools)
		return
	}
	c.enqueue(item{poolStatus, lb.Key{Name: is.Name}})
}

// configUpdated tells a change of what an object is from a change of its status, as poolUpdated does.
func (c *Controller) configUpdated(kind kind, before, now any) {
	was, is := before.(metav1.Object), now.(metav1.Object)
	// Labels and annotations of these objects mean nothing here.
	if was.GetUID() != is.GetUID() || was.GetGeneration() != is.GetGeneration() {
		c.enqueue(allConfig)
		return
	}
	c.enqueue(item{kind, lb.Key{Name: is.GetName()}})
}

// nodeChanged has a node's sessions thought over if it is there or gone, or has other labels.
func (c *Controller) nodeChanged(before, now any) {
	was, is := nodeOf(before), nodeOf(now)
	switch {
	case was == nil && is == nil:
	case was == nil:
		c.enqueue(item{nodeLabels, lb.Key{Name: is.Name}})
	case is == nil || !maps.Equal(was.Labels, is.Labels):
		c.enqueue(item{nodeLabels, lb.Key{Name: was.Name}})
	}
}

func nodeOf(object any) *corev1.Node {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	n, _ := object.(*corev1.Node)
	return n
}

// speakerChanged has the pools read anew if other addresses are in use by foreign hosts than before, and the
// Speaker if something is new of its sessions, or of what its node answers for.
func (c *Controller) speakerChanged(before, now any) {
	speaker := func(object any) *v1alpha1.Speaker {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		s, _ := object.(*v1alpha1.Speaker)
		if s == nil {
			s = &v1alpha1.Speaker{}
		}
		return s
	}
	was, is := speaker(before), speaker(now)
	if !equality.Semantic.DeepEqual(k8s.Detected(was), k8s.Detected(is)) {
		c.enqueue(allPools)
	}
	answers := func(x, y v1alpha1.Layer2Address) bool { return x.Address == y.Address }
	if was.Name != is.Name || !readSpeaker(was).equal(readSpeaker(is)) || !slices.EqualFunc(k8s.Answers(was), k8s.Answers(is), answers) {
		c.enqueue(item{speakerReport, lb.Key{Name: cmp.Or(is.Name, was.Name)}})
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
