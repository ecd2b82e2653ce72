package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	informers "github.com/fairlead-lb/fairlead/internal/generated/informers/externalversions/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

const (
	// statusPause is the least time between two writes of the Speaker object.
	statusPause = time.Second
	// A change that all speakers see at once, each of them writes after gossipDelay and up to gossipJitter
	// more: in a large cluster they would otherwise all write within the same second, and a rollout, in which
	// each speaker leaves and joins once, would cost the square of their number.
	gossipDelay  = 5 * time.Second
	gossipJitter = 5 * time.Second
	// countsEvery is how often it is looked whether the BGP sessions' counters are to be written, in clusters of few
	// members. With many, each Service that comes changes the counters of all speakers: they wait for
	// countsDelay, and up to as long again.
	countsEvery = 2 * time.Second
	countsDelay = 30 * time.Second
	// farewell is how long the last write may take when the speaker stops.
	farewell = time.Second
)

// Status is the task that keeps the node's Speaker object true.
type Status struct {
	node    string
	version string
	grace   time.Duration // for which the node keeps its addresses without this speaker
	cluster *k8s.Cluster
	log     *slog.Logger
	engine  engine
	members func() []string
	nodes   cache.Store
	own     *k8s.Watch
	kick    chan struct{}

	// record writes an event; sharersOf returns the Services that have an address.
	record    func(k8s.Event)
	sharersOf func(netip.Addr) []*corev1.Service
	// sessions returns the BGP sessions, tally changes with their counters; peers are the BGPPeers.
	sessions func() []v1alpha1.BGPSessionStatus
	tally    func() uint64
	peers    cache.Store

	// These are the loop's alone.
	last *v1alpha1.Speaker // as the API server answered it
	due  time.Time         // when a change that waits is written, zero if none does
	told layer2.Status     // the one of which was told last
	// former is how it came to own addresses, also in a former life; nil before the first look.
	former ownership
	// counted is the tally at the last look; sessionTeller knows which sessions were told of.
	counted       uint64
	sessionTeller sessionTeller

	mu   sync.Mutex
	lost map[string]time.Time // speakers whose objects are to be marked, since when
	gone types.UID            // of the last object that was deleted
}

// engine is what Status needs of layer2.Engine.
type engine interface {
	Status() layer2.Status
	State() layer2.State
}

// NewStatus prepares the task that keeps the Speaker object of this node true; members returns the speakers
// that take part in gossip, sorted.
func (s *Speaker) NewStatus(members func() []string) *Status {
	status := newStatus(s.config, s.config.Engine, s.nodes.GetStore(), members)
	status.sharersOf, status.grace = s.sharersOf, s.config.Engine.RestartGrace
	status.sessions, status.peers = s.sessions, s.routing.peers.GetStore()
	status.tally = func() uint64 { return tally(s.routing.engine.Status()) }
	s.sessionsChanged = status.Kick
	_, err := s.nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { status.Kick() }, DeleteFunc: func(any) { status.Kick() },
	})
	if err != nil {
		panic(fmt.Sprintf("following: %v", err)) // only of an informer that was stopped
	}
	return status
}

func newStatus(c Config, e engine, nodes cache.Store, members func() []string) *Status {
	s := &Status{
		node: c.Node, version: c.Version, cluster: c.Cluster, log: c.Log, engine: e, members: members, nodes: nodes,
		kick: make(chan struct{}, 1), lost: map[string]time.Time{}, record: c.Events.Record,
		sharersOf: func(netip.Addr) []*corev1.Service { return nil },
		sessions:  func() []v1alpha1.BGPSessionStatus { return nil }, tally: func() uint64 { return 0 },
		peers: cache.NewStore(cache.MetaNamespaceKeyFunc), sessionTeller: sessionTeller{node: c.Node},
	}
	own := informers.NewFilteredSpeakerInformer(c.Cluster.Fairlead, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", c.Node).String()
	})
	s.own = k8s.NewWatch("this node's Speaker", own, k8s.Trim, c.Log)
	_, err := s.own.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.Kick() }, UpdateFunc: func(any, any) { s.Kick() }, DeleteFunc: s.deleted,
	})
	if err != nil {
		panic(fmt.Sprintf("following: %v", err)) // only of an informer that was stopped
	}
	return s
}

// Watch is the task that has to run beside this one.
func (s *Status) Watch() *k8s.Watch { return s.own }

// Kick has the object looked at. It never blocks.
func (s *Status) Kick() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// deleted takes note that the object is no more.
func (s *Status) deleted(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if o, ok := object.(*v1alpha1.Speaker); ok {
		s.forget(o.UID)
	}
	s.Kick()
}

func (s *Status) forget(uid types.UID) {
	s.mu.Lock()
	s.gone = uid
	s.mu.Unlock()
}

// Run writes when something has changed, until ctx ends; then it writes that the speaker has stopped.
func (s *Status) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), s.own.HasSynced) {
		return nil
	}
	complaint := &k8s.Complaint{What: "this node's Speaker object, or a lost one's, cannot be written", Log: s.log}
	again := time.NewTimer(0)
	defer again.Stop()
	counts := time.NewTimer(countsEvery)
	defer counts.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sayFarewell(context.WithoutCancel(ctx))
			return nil
		case <-s.kick:
		case <-again.C:
		case <-counts.C:
			if before := s.counted; before == s.tally() {
				if before != 0 {
					counts.Reset(countsEvery)
				}
				continue
			}
		}
		if ctx.Err() != nil {
			continue // sessions that end now are no news
		}
		next, err := s.look(ctx)
		switch {
		case err == nil:
			complaint.Over()
		case !apierrors.IsConflict(err):
			complaint.Report(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(statusPause):
		}
		if !next.IsZero() {
			again.Reset(time.Until(next))
		}
		if s.counted != 0 {
			counts.Reset(countsEvery)
		}
	}
}

// look writes what has to be written now. It returns when to look again though nothing should change, zero
// if there is no need to.
func (s *Status) look(ctx context.Context) (again time.Time, err error) {
	s.counted = s.tally() // first: what comes after is looked at again
	s.tell(s.engine.Status())
	s.tellSessions(s.sessions())
	due, failure := s.writeOwn(ctx)
	expiry, failures := s.markLost(ctx)
	if err := errors.Join(failure, failures); err != nil {
		return time.Now(), err
	}
	if due.IsZero() || (!expiry.IsZero() && expiry.Before(due)) {
		due = expiry
	}
	return due, nil
}

// writeOwn brings this node's object to what is wanted now. It returns when to look again.
func (s *Status) writeOwn(ctx context.Context) (again time.Time, err error) {
	current := s.current()
	if current == nil {
		if current, err = s.create(ctx); current == nil {
			return time.Now().Add(gossipDelay), err // the Node may come
		}
		s.last = current
	}
	wanted := s.wanted(current.Status)
	now := time.Now()
	if equality.Semantic.DeepEqual(current.Status, wanted) {
		s.due = time.Time{}
		return time.Time{}, nil
	}
	if least, jitter := waitOf(current.Status, wanted); least > 0 {
		if s.due.IsZero() || now.Add(least+jitter).Before(s.due) {
			s.due = now.Add(least + rand.N(jitter))
		}
		if now.Before(s.due) {
			return s.due, nil
		}
	}
	if err := s.update(ctx, current, wanted); err != nil {
		return time.Time{}, err
	}
	s.due = time.Time{}
	if s.last == nil {
		return now, nil // deleted by somebody: made anew at the next look
	}
	return time.Time{}, nil
}

// current is the newest version of the object that is known, nil if there is none.
func (s *Status) current() *v1alpha1.Speaker {
	s.mu.Lock()
	gone := s.gone // empty, which no object's is, if none was deleted
	s.mu.Unlock()
	if s.last != nil && s.last.UID == gone {
		s.last = nil
	}
	current := s.last
	if object, ok, _ := s.own.GetStore().GetByKey(s.node); ok {
		if o := object.(*v1alpha1.Speaker); o.UID != gone && (current == nil || newer(o, current)) {
			current = o
		}
	}
	return current
}

// create makes the object, or returns nil while there is no such Node, and if there is one already: that one is
// on its way by the watch, which has it looked at. The Node is its owner, so that it goes
// with it; without one it would stay for ever. Setting an owner at creation takes no right beyond create, as
// long as it does not block the owner's deletion (OwnerReferencesPermissionEnforcement).
func (s *Status) create(ctx context.Context) (*v1alpha1.Speaker, error) {
	object, ok, _ := s.nodes.GetByKey(s.node)
	if !ok {
		return nil, nil
	}
	wanted := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: s.node, OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: s.node, UID: object.(*corev1.Node).UID,
	}}}}
	created, err := s.cluster.Fairlead.FairleadV1alpha1().Speakers().Create(ctx, wanted, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("creating Speaker %s: %w", s.node, err)
	}
	return created, nil
}

// update writes a status. The object's owner is not in what is sent, and stays: of a write to the status
// subresource the API server takes the status alone.
func (s *Status) update(ctx context.Context, current *v1alpha1.Speaker, wanted v1alpha1.SpeakerStatus) error {
	next := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: s.node, ResourceVersion: current.ResourceVersion, UID: current.UID}, Status: wanted}
	written, err := s.cluster.Fairlead.FairleadV1alpha1().Speakers().UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		s.forget(current.UID)
		s.last = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the status of Speaker %s: %w", s.node, err)
	}
	s.last = written
	return nil
}

// sayFarewell writes that the speaker was told to stop. An object that there is not is not made for that.
func (s *Status) sayFarewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	if current := s.current(); current != nil {
		if err := s.update(ctx, current, s.stopped(current.Status)); err != nil {
			s.log.Debug("the last write of the Speaker object failed", "error", err)
		}
	}
}

// newer tells whether a is a later version of an object than b. The API server's versions of one object are
// decimal numbers that grow (KEP-5504).
func newer(a, b *v1alpha1.Speaker) bool {
	return a.UID != b.UID || cmp.Or(cmp.Compare(len(a.ResourceVersion), len(b.ResourceVersion)), strings.Compare(a.ResourceVersion, b.ResourceVersion)) > 0
}
