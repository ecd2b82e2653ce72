package picture

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
	"k8s.io/client-go/tools/cache"
)

// Config is what a Source goes by.
type Config struct {
	Services, Pools, L2Advertisements, BGPAdvertisements, BGPPeers, BFDProfiles, Communities, Speakers, Nodes *k8s.Watch
	// Class is --load-balancer-class.
	Class string
	// About is where the state is from, but for Started.
	About func() page.About
}

// Source is the page.Source of a controller. Its handlers note which objects have changed, and only while somebody
// looks; the rest is done by who asks.
type Source struct {
	config  Config
	objects stores
	history page.History
	started time.Time

	looked  atomic.Bool // at
	changed chan struct{}
	mu      sync.Mutex
	dirty   map[thing]struct{}

	picture *picture // nil while nobody looks
}

// NewSource follows watches that have not begun yet.
func NewSource(c Config) (*Source, error) {
	s := &Source{config: c, objects: stores{}, started: time.Now(), changed: make(chan struct{}, 1), dirty: map[thing]struct{}{}}
	var failures []error
	for k, watch := range map[kind]*k8s.Watch{
		service: c.Services, pool: c.Pools, l2Advertisement: c.L2Advertisements, bgpAdvertisement: c.BGPAdvertisements,
		bgpPeer: c.BGPPeers, bfdProfile: c.BFDProfiles, community: c.Communities, speaker: c.Speakers, node: c.Nodes,
	} {
		s.objects[k] = watch.GetStore()
		_, err := watch.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { s.note(k, o, false) },
			UpdateFunc: func(_, o any) { s.note(k, o, false) },
			DeleteFunc: func(o any) { s.note(k, o, true) },
		})
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return nil, fmt.Errorf("following what the page shows: %w", err)
	}
	return s, nil
}

// note takes note that an object has changed.
func (s *Source) note(k kind, object any, gone bool) {
	if k == pool {
		s.noteUsage(object, gone)
	}
	if !s.looked.Load() {
		return
	}
	name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.dirty[thing{k, name}] = struct{}{}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Source) noteUsage(object any, gone bool) {
	if gone {
		if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			s.history.Forget(name)
		}
		return
	}
	if pool, ok := object.(*v1alpha1.IPAddressPool); ok {
		ipv4, ipv6 := assignedOf(pool)
		s.history.Note(pool.Name, time.Now(), ipv4, ipv6)
	}
}

// Begin returns all there is.
func (s *Source) Begin() *page.State {
	s.looked.Store(true) // first, so that nothing is missed
	s.take()
	s.picture = newPicture(s.objects, s.config.Class, &s.history)
	state := page.NewState()
	state.Merge(s.picture.update(s.picture.all()))
	return state
}

// Changes returns what may have changed.
func (s *Source) Changes() *page.Change { return s.picture.update(s.take()) }

// take returns what was noted, and forgets it.
func (s *Source) take() map[thing]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	dirty := s.dirty
	s.dirty = map[thing]struct{}{}
	return dirty
}

// Changed has a value once something was noted.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// About is where the state is from.
func (s *Source) About() page.About {
	about := s.config.About()
	about.Started = millis(s.started)
	return about
}

// End forgets everything but the usage of pools.
func (s *Source) End() {
	s.looked.Store(false)
	s.picture = nil
	s.take()
}
