package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Config of a Speaker.
type Config struct {
	Node string
	// Class is --load-balancer-class.
	Class   string
	Version string
	// Namespace is where Secrets with passwords are.
	Namespace string
	// DrainCordoned is --drain-cordoned: a node that is cordoned owns nothing.
	DrainCordoned bool
	Cluster       *k8s.Cluster
	Engine        *layer2.Engine
	BGP           BGP
	Events        *k8s.Recorder
	Log           *slog.Logger
	// Metrics is where the speaker's are registered; nil for nowhere.
	Metrics prometheus.Registerer
	// Busy is called, from the loop, when a turn begins and when it has ended. A turn waits for nothing outside the
	// process.
	Busy func(bool)
	// CannotBind is true if this process may put no address on an interface.
	CannotBind bool
}

// Speaker tells the engines what the API server knows.
type Speaker struct {
	config  Config
	metrics metrics
	queue   workqueue.TypedInterface[item]

	services, slices, nodes, pools, advertisements *k8s.Watch
	// tell is the engine's Update; links are the engine's, nil until they are known; record writes an event.
	tell   func(func(*layer2.Elector))
	links  func() []layer2.Link
	record func(k8s.Event)
	// reached returns nil while the API server answers.
	reached func() error
	// rebalance has this node give its surplus of a scope away.
	rebalance func(scope string)

	// sessionsChanged is told that there may be something to tell of BGP sessions.
	sessionsChanged func()

	mu   sync.Mutex
	bars map[string]string // what the engine was told of each node: why it must own nothing

	// The rest is the loop's alone.
	byPool     *allocator.Allocator // which pool an address is of, by the same rule as the controller's
	poolLabels map[string]labels.Set
	probing    map[string]bool // pools with spec.conflictDetection
	adverts    map[string]*advertisement
	rebalanced map[string]string // the last request of each advertisement
	missed     map[string]int64  // the generation of each of which it was told that it names no interface here
	unbound    map[string]int64  // and of each of which it was told that its addresses cannot be put on interfaces
	known      map[string]node
	unready    readiness
	lasting    map[string]bool           // who has not been Ready for too long
	reviewing  *time.Timer               // for the next look at unready
	shown      map[lb.Key][]netip.Addr   // what each Service's status has
	vips       map[netip.Addr]layer2.VIP // what the engine was told
	// peersChanged is told where the other nodes are.
	peersChanged func(map[string]node)
	routing      *routing
}

// item is an object to look at again.
type item struct {
	kind kind
	key  lb.Key
}

type kind uint8

const (
	kindService kind = iota
	kindNode
	kindAdvertisement
	kindPools      // all of them: they are few, and which one an address is of depends on the others
	kindReadiness  // who has not been Ready for too long
	kindInterfaces // this node's
	kindBGPPeer
	kindSessions // what sessions depend on besides
	kindRoutes
	kindCommunities
	kindPhase // how far this node is with leaving service
)

const (
	byService = "service"
	byIP      = "ip"
)

// New prepares a speaker. Nothing is watched before Run.
func New(c Config) *Speaker {
	if c.Busy == nil {
		c.Busy = func(bool) {}
	}
	s := &Speaker{
		config: c, metrics: newMetrics(c.Metrics), queue: workqueue.NewTyped[item](), byPool: allocator.New(),
		poolLabels: map[string]labels.Set{}, probing: map[string]bool{}, adverts: map[string]*advertisement{},
		rebalanced: map[string]string{}, missed: map[string]int64{}, unbound: map[string]int64{}, known: map[string]node{}, unready: readiness{},
		bars: map[string]string{}, reviewing: time.NewTimer(0), shown: map[lb.Key][]netip.Addr{}, vips: map[netip.Addr]layer2.VIP{},
		tell: c.Engine.Update, links: func() []layer2.Link { return c.Engine.Status().Links },
		record: c.Events.Record, reached: c.Cluster.Reached, peersChanged: func(map[string]node) {},
		sessionsChanged: func() {}, routing: newRouting(c),
	}
	s.rebalance = func(scope string) {
		c.Engine.Update(func(e *layer2.Elector) { e.Rebalance(scope, time.Now()) })
	}
	s.reviewing.Stop()
	s.services = k8s.WatchServices(c.Cluster, c.Log)
	s.index(s.services, byIP, func(object any) ([]string, error) {
		svc, ok := object.(*corev1.Service)
		if !ok {
			return nil, nil
		}
		var ips []string
		for _, ip := range k8s.IngressIPs(svc) {
			ips = append(ips, ip.String())
		}
		return ips, nil
	})
	s.slices = k8s.NewWatch("EndpointSlices",
		discoveryinformers.NewEndpointSliceInformer(c.Cluster.Core, metav1.NamespaceAll, 0, cache.Indexers{}), trimSlice, c.Log)
	s.index(s.slices, byService, func(object any) ([]string, error) {
		if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
			return []string{serviceOf(slice).String()}, nil
		}
		return nil, nil
	})
	s.nodes = k8s.NewWatch("Nodes", coreinformers.NewNodeInformer(c.Cluster.Core, 0, cache.Indexers{}), trimNode, c.Log)
	s.pools = k8s.WatchPools(c.Cluster, c.Log)
	s.advertisements = k8s.WatchL2Advertisements(c.Cluster, c.Log)

	s.follow(s.services, func(o metav1.Object) item { return item{kindService, k8s.Key(o)} })
	s.follow(s.slices, func(o metav1.Object) item { return item{kindService, serviceOf(o)} })
	s.follow(s.nodes, func(o metav1.Object) item { return item{kindNode, k8s.Key(o)} })
	s.follow(s.pools, func(metav1.Object) item { return item{kind: kindPools} })
	s.follow(s.advertisements, func(o metav1.Object) item { return item{kindAdvertisement, k8s.Key(o)} })
	s.follow(s.routing.peers, func(o metav1.Object) item { return item{kindBGPPeer, k8s.Key(o)} })
	s.follow(s.routing.profiles, func(metav1.Object) item { return item{kind: kindSessions} })
	s.follow(s.routing.passwords, func(metav1.Object) item { return item{kind: kindSessions} })
	s.follow(s.routing.advertisements, func(o metav1.Object) item { return item{kindRoutes, k8s.Key(o)} })
	s.follow(s.routing.communities, func(metav1.Object) item { return item{kind: kindCommunities} })
	return s
}

// serviceOf returns the Service that an EndpointSlice is of.
func serviceOf(slice metav1.Object) lb.Key {
	return lb.Key{Namespace: slice.GetNamespace(), Name: slice.GetLabels()[discoveryv1.LabelServiceName]}
}

func (s *Speaker) index(w *k8s.Watch, name string, f cache.IndexFunc) {
	if err := w.AddIndexers(cache.Indexers{name: f}); err != nil {
		panic(fmt.Sprintf("indexing: %v", err)) // only of an informer that runs already
	}
}

// follow has the loop look at an item whenever an object changes.
func (s *Speaker) follow(w *k8s.Watch, of func(metav1.Object) item) {
	enqueue := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if o, ok := object.(metav1.Object); ok {
			s.queue.Add(of(o))
		}
	}
	_, err := w.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, DeleteFunc: enqueue,
		UpdateFunc: func(before, now any) {
			if w == s.services || !onlyStatus(before, now) {
				enqueue(now)
			}
		},
	})
	if err != nil {
		panic(fmt.Sprintf("following: %v", err)) // only of an informer that was stopped
	}
}

// onlyStatus tells whether an update of one of our own resources changed nothing but its status, which the
// controller writes and nobody here reads, or annotations other than ours. Trimmed Nodes and EndpointSlices
// have no generation; of Services it is the status that matters here.
func onlyStatus(before, now any) bool {
	b, ok := before.(metav1.Object)
	n, also := now.(metav1.Object)
	return ok && also && n.GetGeneration() > 0 && b.GetGeneration() == n.GetGeneration() &&
		b.GetUID() == n.GetUID() && maps.Equal(b.GetLabels(), n.GetLabels()) &&
		b.GetAnnotations()[v1alpha1.AnnotationRebalance] == n.GetAnnotations()[v1alpha1.AnnotationRebalance]
}

// Watches are the tasks that have to run beside the speaker's own.
func (s *Speaker) Watches() []*k8s.Watch {
	return append(s.needed(), s.routing.passwords)
}

// needed are the watches that have to be complete before anything is announced.
func (s *Speaker) needed() []*k8s.Watch {
	return append([]*k8s.Watch{s.services, s.slices, s.nodes, s.pools, s.advertisements}, s.routing.watches()...)
}

// Waiting returns nil once all that the API server knows is in memory, else what is not.
func (s *Speaker) Waiting() error {
	for _, w := range s.needed() {
		if err := w.Waiting(); err != nil {
			return err
		}
	}
	return nil
}

// Prepare waits until everything is known, and tells it the engines.
func (s *Speaker) Prepare(ctx context.Context) error {
	for _, w := range s.needed() {
		if !cache.WaitForCacheSync(ctx.Done(), w.HasSynced) {
			return ctx.Err()
		}
	}
	// In this order each address is looked at once.
	s.readPools()
	for _, o := range s.nodes.GetStore().List() {
		s.setNode(k8s.Key(o.(*corev1.Node)))
	}
	for _, o := range s.advertisements.GetStore().List() {
		advertisement := o.(*v1alpha1.L2Advertisement)
		s.readAdvertisement(advertisement)
		// What was asked for before is not done again: the start of a speaker moves nothing.
		s.rebalanced[advertisement.Name] = advertisement.Annotations[v1alpha1.AnnotationRebalance]
	}
	s.prepareBGP(ctx)
	s.setAllServices()
	return nil
}

// Addresses returns this node's InternalIPs, as far as the API server knows them.
func (s *Speaker) Addresses() []netip.Addr {
	object, exists, _ := s.nodes.GetStore().GetByKey(s.config.Node)
	if !exists {
		return nil
	}
	return newNode(object.(*corev1.Node), false).addresses
}

// FollowPeers has tell called, now and at each change, with the addresses of the other nodes in one family.
// It is to be called between Prepare and Run.
func (s *Speaker) FollowPeers(family lb.Family, tell func([]netip.Addr)) {
	s.peersChanged = func(nodes map[string]node) { tell(peers(nodes, s.config.Node, family)) }
	s.peersChanged(s.known)
}

// SessionsChanged has the status of the BGP sessions looked at. It never blocks.
func (s *Speaker) SessionsChanged() { s.sessionsChanged() }

// Run tells the engines of every change until ctx ends.
func (s *Speaker) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	for {
		s.config.Busy(false)
		i, shutdown := s.queue.Get()
		if shutdown {
			return nil
		}
		s.config.Busy(true)
		switch i.kind {
		case kindService:
			s.setService(i.key)
		case kindNode:
			s.setNode(i.key)
		case kindAdvertisement:
			s.setAdvertisement(i.key)
		case kindPools:
			s.setPools()
		case kindReadiness:
			s.review()
		case kindInterfaces:
			s.missInterfaces()
		case kindBGPPeer:
			s.setBGPPeer(i.key)
		case kindSessions:
			s.setPeers()
		case kindRoutes:
			s.setRoutes(i.key)
		case kindCommunities:
			s.setCommunities()
		case kindPhase:
			s.setPhase()
		}
		s.queue.Done(i)
	}
}
