package controller

import (
	"context"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// term is one term of leadership. The decider's goroutine owns all of it but the queues.
type term struct {
	*Controller
	// held tells whether this controller still leads, by its own clock.
	held func() bool

	work queue                  // what to look at
	jobs *workqueue.Typed[*job] // what to write: without bound, but at most one for each item

	alloc *allocator.Allocator
	known map[lb.Key]*known
	// leftBehind are the Services of another class whose addresses nobody else is to get.
	leftBehind map[lb.Key]bool
	pools      map[string]*poolMemory
	// aside are the addresses that are set aside because a foreign host uses them, and of each by whom.
	// Nothing is before all Services have adopted what they show: one would keep such an address in its status.
	aside   map[netip.Addr]string
	adopted bool
	// answering are the speakers without whose word some address would be set aside.
	answering map[string]bool
	// selecting is true if a pool selects namespaces by their labels.
	selecting bool
	// early are, by namespace, Services that were seen before their namespace was.
	early map[string][]lb.Key
	// network is which BGP sessions there should be and are.
	network *network
	aliases k8s.Aliases
	// aliasProblems are, by Community, the aliases that do not count, and why.
	aliasProblems map[string][]string
	// bgpSelections are the pools that each BGPAdvertisement is for.
	bgpSelections []k8s.PoolSelection
	standings     map[item]*standing
	// expiry is when endRetention is due, as far as it is in the queue; zero if it is not.
	expiry time.Time
}

func newTerm(c *Controller, held func() bool) *term {
	return &term{
		Controller: c, held: held,
		work:  newQueue(),
		jobs:  workqueue.NewTyped[*job](),
		alloc: allocator.New(),
		known: map[lb.Key]*known{}, leftBehind: map[lb.Key]bool{},
		pools: map[string]*poolMemory{},
		early: map[string][]lb.Key{},

		network: newNetwork(), standings: map[item]*standing{},
	}
}

// writers bounds the writes under way. Each waits for the API server nearly all the time; more of them
// only make its queue longer.
const writers = 24

// run leads until ctx ends.
func (t *term) run(ctx context.Context) {
	defer t.metrics.reset()
	defer t.work.ShutDown()
	defer t.jobs.ShutDown()
	// Nothing is decided before everything is known.
	for _, f := range t.following {
		if !cache.WaitFor(ctx, "", f.HasSyncedChecker()) {
			return
		}
	}
	if t.catchUp(ctx) != nil {
		return
	}
	// From here on changes come through the queue; what came before is in memory.
	t.queue.Store(&t.work)
	defer t.queue.Store(nil)
	t.metrics.begin()
	began := time.Now()
	t.readPools()
	services, adopted := t.adopt()
	t.adopted = true
	if len(t.inUse()) > 0 {
		t.readPools()
	}
	t.readNetwork()
	t.readConfig()
	t.Log.Info("leading", "services", services, "adopted", adopted, "took", time.Since(began).Round(time.Millisecond))

	defer context.AfterFunc(ctx, func() {
		t.work.ShutDown()
		t.jobs.ShutDown()
	})()
	deciding, decided := context.WithCancel(ctx)
	defer decided()
	var group errgroup.Group
	group.Go(func() error { t.sweep(deciding); return nil })
	for range writers {
		group.Go(func() error { t.write(deciding); return nil })
	}
	t.decide(deciding)
	decided()
	t.jobs.ShutDown()
	group.Wait()
	if t.leaving.Load() {
		t.takeBack(ctx)
		<-ctx.Done() // nothing is given any more
		return
	}
	t.flushPools(context.WithoutCancel(ctx))
	t.Log.Info("no longer leading")
}

// decide is the decider's loop.
func (t *term) decide(ctx context.Context) {
	for {
		t.Busy(false)
		i, shutdown := t.work.Get()
		if shutdown || ctx.Err() != nil || t.leaving.Load() {
			return
		}
		t.Busy(true)
		var j *job
		switch i.kind {
		case service:
			j = t.decideService(i.key)
		case poolStatus:
			j = t.decidePoolStatus(i.key.Name)
		case poolSet:
			t.readPools()
			t.scheduleConfig()
		case namespace:
			t.again(t.alloc.Waiting(i.key.Namespace))
			t.again(t.early[i.key.Namespace])
			delete(t.early, i.key.Namespace)
		case retention:
			t.expiry = time.Time{}
			t.again(t.alloc.Expire(time.Now()))
		case configSet:
			t.readConfig()
		case nodeLabels:
			t.readNode(i.key.Name)
		case speakerReport:
			t.readSpeaker(i.key.Name)
		case l2Advertisement, bgpAdvertisement, bgpPeer, bfdProfile, community:
			j = t.decideStanding(i)
		}
		t.schedulePools()
		t.scheduleExpiry()
		t.metrics.queue.Set(float64(t.work.Len()))
		if j == nil {
			if !t.pending(i) { // else one that is refused would be tried each second
				t.work.Forget(i)
			}
			t.work.Done(i)
			continue
		}
		j.item = i
		t.jobs.Add(j)
	}
}
