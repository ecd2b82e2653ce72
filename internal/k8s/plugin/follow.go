package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// feed is a kind of objects that is followed: from where, and where in a Snapshot it goes.
type feed struct {
	kind    string
	example runtime.Object
	source  func(c *k8s.Cluster, s *Snapshot) cache.ListerWatcher
	put     func(s *Snapshot, objects []runtime.Object)
}

// lister is what typed clients have in common.
type lister[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// feedOf makes a feed of a kind. Narrow, if there is one, selects by fields or labels.
func feedOf[T, L runtime.Object](kind string, example T, client func(*k8s.Cluster, *Snapshot) lister[L], narrow func(*metav1.ListOptions), put func(*Snapshot, []T)) feed {
	return feed{
		kind: kind, example: example,
		source: func(c *k8s.Cluster, s *Snapshot) cache.ListerWatcher {
			from := client(c, s)
			with := func(o metav1.ListOptions) metav1.ListOptions {
				if narrow != nil {
					narrow(&o)
				}
				return o
			}
			return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return from.List(ctx, with(o))
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return from.Watch(ctx, with(o))
				},
			}, c.Core)
		},
		put: func(s *Snapshot, objects []runtime.Object) {
			list := make([]T, 0, len(objects))
			for _, o := range objects {
				list = append(list, o.(T))
			}
			put(s, list)
		},
	}
}

// feeds are the kinds that can be followed.
var feeds = []feed{
	feedOf("Services", &corev1.Service{}, func(c *k8s.Cluster, s *Snapshot) lister[*corev1.ServiceList] {
		return c.Core.CoreV1().Services(s.ServicesOf)
	},
		func(o *metav1.ListOptions) { o.FieldSelector = k8s.LoadBalancers }, func(s *Snapshot, list []*corev1.Service) { s.Services = list }),
	feedOf("IPAddressPools", &v1alpha1.IPAddressPool{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.IPAddressPoolList] {
		return c.Fairlead.FairleadV1alpha1().IPAddressPools()
	}, nil, func(s *Snapshot, list []*v1alpha1.IPAddressPool) { s.Pools = list }),
	feedOf("Speakers", &v1alpha1.Speaker{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.SpeakerList] {
		return c.Fairlead.FairleadV1alpha1().Speakers()
	}, nil, func(s *Snapshot, list []*v1alpha1.Speaker) { s.Speakers = list }),
	feedOf("Nodes", &corev1.Node{}, func(c *k8s.Cluster, _ *Snapshot) lister[*corev1.NodeList] { return c.Core.CoreV1().Nodes() },
		nil, func(s *Snapshot, list []*corev1.Node) { s.Nodes = list }),
	feedOf("L2Advertisements", &v1alpha1.L2Advertisement{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.L2AdvertisementList] {
		return c.Fairlead.FairleadV1alpha1().L2Advertisements()
	}, nil, func(s *Snapshot, list []*v1alpha1.L2Advertisement) { s.Advertisements = list }),
	feedOf("EndpointSlices", &discoveryv1.EndpointSlice{}, func(c *k8s.Cluster, _ *Snapshot) lister[*discoveryv1.EndpointSliceList] {
		return c.Core.DiscoveryV1().EndpointSlices(metav1.NamespaceAll)
	}, nil, func(s *Snapshot, list []*discoveryv1.EndpointSlice) { s.Slices = list }),
	feedOf("BGPAdvertisements", &v1alpha1.BGPAdvertisement{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.BGPAdvertisementList] {
		return c.Fairlead.FairleadV1alpha1().BGPAdvertisements()
	}, nil, func(s *Snapshot, list []*v1alpha1.BGPAdvertisement) { s.BGPAdvertisements = list }),
	feedOf("BGPPeers", &v1alpha1.BGPPeer{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.BGPPeerList] {
		return c.Fairlead.FairleadV1alpha1().BGPPeers()
	}, nil, func(s *Snapshot, list []*v1alpha1.BGPPeer) { s.Peers = list }),
	feedOf("BFDProfiles", &v1alpha1.BFDProfile{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.BFDProfileList] {
		return c.Fairlead.FairleadV1alpha1().BFDProfiles()
	}, nil, func(s *Snapshot, list []*v1alpha1.BFDProfile) { s.Profiles = list }),
	feedOf("Communities", &v1alpha1.Community{}, func(c *k8s.Cluster, _ *Snapshot) lister[*v1alpha1.CommunityList] {
		return c.Fairlead.FairleadV1alpha1().Communities()
	}, nil, func(s *Snapshot, list []*v1alpha1.Community) { s.Communities = list }),
	feedOf("Pods", &corev1.Pod{}, func(c *k8s.Cluster, s *Snapshot) lister[*corev1.PodList] {
		return c.Core.CoreV1().Pods(s.Installation.Namespace)
	}, func(o *metav1.ListOptions) { o.LabelSelector = appLabel }, func(s *Snapshot, list []*corev1.Pod) { s.Installation.Pods = list }),
	feedOf("Leases", &coordinationv1.Lease{}, func(c *k8s.Cluster, s *Snapshot) lister[*coordinationv1.LeaseList] {
		return c.Core.CoordinationV1().Leases(s.Installation.Namespace)
	}, func(o *metav1.ListOptions) { o.FieldSelector = leaseField }, func(s *Snapshot, list []*coordinationv1.Lease) {
		if s.Installation.Lease = nil; len(list) > 0 {
			s.Installation.Lease = list[0]
		}
	}),
}

// mirror is the objects of a kind as they last were. It is the store of a reflector.
type mirror struct {
	mu      sync.Mutex
	objects map[string]runtime.Object
	synced  bool
	kick    chan<- struct{}
}

func (m *mirror) change(do func() error) error {
	m.mu.Lock()
	err := do()
	m.mu.Unlock()
	select {
	case m.kick <- struct{}{}:
	default: // it is looked at anyway
	}
	return err
}

// Add implements cache.ReflectorStore.
func (m *mirror) Add(object any) error {
	return m.change(func() error {
		key, err := cache.MetaNamespaceKeyFunc(object)
		if err != nil {
			return fmt.Errorf("naming what was added: %w", err)
		}
		if accessor, err := meta.Accessor(object); err == nil {
			accessor.SetManagedFields(nil)
		}
		m.objects[key] = object.(runtime.Object)
		return nil
	})
}

// Update implements cache.ReflectorStore.
func (m *mirror) Update(object any) error { return m.Add(object) }

// Delete implements cache.ReflectorStore.
func (m *mirror) Delete(object any) error {
	return m.change(func() error {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		delete(m.objects, key)
		return err
	})
}

// Replace implements cache.ReflectorStore.
func (m *mirror) Replace(list []any, _ string) error {
	m.mu.Lock()
	m.objects = map[string]runtime.Object{}
	m.mu.Unlock()
	for _, o := range list {
		if err := m.Add(o); err != nil {
			return err
		}
	}
	return m.change(func() error { m.synced = true; return nil })
}

// Resync implements cache.ReflectorStore.
func (m *mirror) Resync() error { return nil }

// list returns the objects, and false as long as there is no first complete list.
func (m *mirror) list() ([]runtime.Object, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	objects := make([]runtime.Object, 0, len(m.objects))
	for _, o := range m.objects {
		objects = append(objects, o)
	}
	return objects, m.synced
}

// lull is how long changes are collected before they are looked at: one seldom comes alone.
const lull = 100 * time.Millisecond

// Follow calls see with a Snapshot whenever one of these kinds of objects changes, until see fails or ctx ends. What
// is not of these kinds, or could not be read at first, stays as it is in first. Say tells of trouble that may pass;
// that the user may not watch a kind ends it.
func Follow(ctx context.Context, c *k8s.Cluster, first *Snapshot, kinds []string, say func(string), see func(*Snapshot) error) error {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, klog.Logger{}))
	var reflectors sync.WaitGroup
	defer reflectors.Wait()
	defer cancel()
	kick, fatal := make(chan struct{}, 1), make(chan error, 1)
	stores := map[string]*mirror{}
	// EndpointSlices are many: they are followed from when a Service needs them.
	start := func(s *Snapshot) {
		for _, f := range feeds {
			if !slices.Contains(kinds, f.kind) || first.unreadable(f.kind) || stores[f.kind] != nil || f.kind == "EndpointSlices" && !s.local() {
				continue
			}
			stores[f.kind] = &mirror{objects: map[string]runtime.Object{}, kick: kick}
			silent := klog.Logger{}
			r := cache.NewReflectorWithOptions(f.source(c, first), f.example, stores[f.kind], cache.ReflectorOptions{Logger: &silent, Name: f.kind})
			keep := watched(r, f.kind, say, fatal)
			reflectors.Go(func() { keep(ctx) })
		}
	}
	start(first)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-fatal:
			return err
		case <-kick:
		}
		if !pause(ctx, lull) {
			return nil
		}
		next, complete := *first, true
		next.Time = time.Now()
		for _, f := range feeds {
			if store := stores[f.kind]; store != nil {
				objects, synced := store.list()
				complete = complete && synced
				f.put(&next, objects)
			}
		}
		following := len(stores)
		if complete {
			start(&next)
		}
		if !complete || len(stores) > following {
			continue // what is missing comes with a kick
		}
		if err := see(&next); err != nil {
			return err
		}
		// What takes long to look at is looked at rarely.
		if took := time.Since(next.Time); took > lull && !pause(ctx, took) {
			return nil
		}
	}
}

// unreadable tells whether a kind could not be read, unless it was in part.
func (s *Snapshot) unreadable(kind string) bool {
	if kind == "Services" && s.ServicesOf != "" {
		return false
	}
	return slices.Contains(s.Unread, kind) || slices.Contains(s.UnreadBGP, kind) || s.Installation.lacks(kind)
}

// watched returns what runs a reflector. Its own way to retry would log; here the user is told, once.
func watched(r *cache.Reflector, kind string, say func(string), fatal chan<- error) func(context.Context) {
	return func(ctx context.Context) {
		told, refused := "", false
		for ctx.Err() == nil {
			err := r.ListAndWatchWithContext(ctx)
			before := refused
			refused = apierrors.IsUnauthorized(err)
			switch {
			case ctx.Err() != nil:
				return
			case refused && !before: // a credential that ran out: the kubeconfig's plugin gets another for the next request
			case apierrors.IsForbidden(err), refused:
				select {
				case fatal <- troubleTo("watch", kind, err):
				default:
				}
				return
			case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
				told = "" // what comes next is another time
			default:
				if text := troubleTo("watch", kind, err).Error(); text != told {
					say(text + "; it is tried again")
					told = text
				}
			}
			if !pause(ctx, time.Second) {
				return
			}
		}
	}
}

// pause waits, and tells whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
