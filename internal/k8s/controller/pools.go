package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// poolMemory is what the term remembers of a pool beside what the allocator does.
type poolMemory struct {
	conflicts []allocator.Conflict
	problems  []string
	// aside are the pool's addresses that are set aside, each with the host that uses it, in words.
	aside []string
	// scheduled is true while a look at the status is due, now or later.
	scheduled bool
	written   time.Time
	// unadvertised is since when no advertisement selects the pool; zero if one does.
	unadvertised time.Time
	// faulty is true while the metrics count the pool as not Ready.
	faulty bool
}

// poolInterval bounds how often a pool's status is written: it changes with every assignment.
const poolInterval = time.Second

// readPools tells the allocator what pools there are.
func (t *term) readPools() {
	objects, _ := t.poolLister.List(labels.Everything()) // a lister's List does not fail
	pools := make([]lb.Pool, 0, len(objects))
	t.selecting = false
	present, detects := make(map[string]*poolMemory, len(objects)), map[string]bool{}
	for _, object := range objects {
		pool, problems := k8s.Pool(object)
		pools = append(pools, pool)
		t.selecting = t.selecting || len(pool.NamespaceSelectors) > 0
		memory := t.pools[pool.Name]
		if memory == nil {
			memory = &poolMemory{}
		}
		memory.problems, memory.conflicts, memory.aside = problems, nil, nil
		detects[pool.Name] = object.Spec.ConflictDetection
		present[pool.Name] = memory
	}
	for name, memory := range t.pools {
		if present[name] == nil {
			t.metrics.faulty(poolKind, &memory.faulty, false)
			t.metrics.pool(name, [2]allocator.Usage{})
		}
	}
	t.pools = present

	inUse := t.inUse()
	t.aside = map[netip.Addr]string{}
	for name, addresses := range k8s.SetAside(pools, func(pool string) bool { return detects[pool] }, inUse) {
		for _, a := range addresses {
			t.aside[a] = inUse[a]
			t.pools[name].aside = append(t.pools[name].aside, inUse[a])
		}
	}
	change := t.alloc.SetPools(pools)
	for _, c := range change.Conflicts {
		t.pools[c.Pool].conflicts = append(t.pools[c.Pool].conflicts, c)
	}
	for _, l := range change.Losses {
		k := t.known[l.Service]
		if k == nil {
			continue
		}
		if host, ok := t.aside[l.Address]; ok {
			k.leave(l.Address, k8s.ReasonAddressConflict, host)
		} else {
			k.leave(l.Address, string(allocator.ReasonLost), l.Message)
		}
	}
	t.again(change.Again)
	for name := range t.pools {
		t.schedule(name)
	}
}

// inUse takes note of the addresses that foreign hosts use, and by whom; none before the Services have adopted what they
// show.
func (t *term) inUse() map[netip.Addr]string {
	if !t.adopted {
		return nil
	}
	speakers, _ := t.speakerLister.List(labels.Everything()) // a lister's List does not fail
	inUse, answering := k8s.InUse(speakers)
	t.answering = answering
	return inUse
}

// schedulePools has a look taken at the pools whose usage changed.
func (t *term) schedulePools() {
	for _, name := range t.alloc.TakeDirty() {
		t.schedule(name)
	}
}

// schedule has a pool's status looked at: now, or when it may be written again.
func (t *term) schedule(name string) {
	memory := t.pools[name]
	if memory == nil || memory.scheduled {
		return
	}
	memory.scheduled = true
	t.work.AddAfter(item{poolStatus, lb.Key{Name: name}}, poolInterval-time.Since(memory.written))
}

// scheduleExpiry has the waits of retained addresses ended when they are over.
func (t *term) scheduleExpiry() {
	next, ok := t.alloc.NextExpiry()
	if ok && (t.expiry.IsZero() || next.Before(t.expiry)) {
		t.expiry = next
		t.work.AddAfter(endRetention, time.Until(next))
	}
}

// tellGivenUp says on a pool that a Service, the pool being exhausted, got an address that waited for another.
func (t *term) tellGivenUp(r allocator.Retained, to lb.Key) {
	pool, err := t.poolLister.Get(r.Pool)
	if err != nil {
		return
	}
	t.recorder.Record(k8s.Event{About: poolReference(pool), Reason: reasonGivenUp, Message: fmt.Sprintf(
		"%s, retained for Service %s until %s, was given to Service %s: the pool is otherwise exhausted",
		r.Address, r.Service, r.Until.UTC().Format(time.RFC3339), to)})
}

// unadvertisedFor is how long a pool must be without an advertisement until its status says so: as a rule both
// come in one file.
const unadvertisedFor = 2 * time.Second

// advertised tells whether an advertisement selects a pool, or did a moment ago.
func (t *term) advertised(pool *v1alpha1.IPAddressPool, memory *poolMemory, now time.Time) bool {
	all, _ := t.advertisementLister.List(labels.Everything()) // a lister's List does not fail
	if slices.ContainsFunc(all, func(a *v1alpha1.L2Advertisement) bool {
		selection, err := k8s.SelectPools(a)
		return err == nil && selection.Selects(pool.Name, pool.Labels)
	}) || slices.ContainsFunc(t.bgpSelections, func(s k8s.PoolSelection) bool { return s.Selects(pool.Name, pool.Labels) }) {
		memory.unadvertised = time.Time{}
		return true
	}
	if memory.unadvertised.IsZero() {
		memory.unadvertised = now
	}
	wait := unadvertisedFor - now.Sub(memory.unadvertised)
	if wait > 0 { // each time: of two times for one item the queue keeps the earlier
		t.work.AddAfter(item{poolStatus, lb.Key{Name: pool.Name}}, wait)
	}
	return wait > 0 && !meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionNotAdvertised)
}

// poolPending tells whether a pool's status is to be looked at again.
func (t *term) poolPending(name string) bool {
	memory := t.pools[name]
	return memory != nil && memory.scheduled
}

// flushPools writes what the interval between writes has held back: the next leader reads there who waits for
// a retained address.
func (t *term) flushPools(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for name, memory := range t.pools {
		if !memory.scheduled || ctx.Err() != nil || !t.held() {
			continue
		}
		memory.written = time.Time{}
		if j := t.decidePoolStatus(name); j != nil {
			t.carryOut(ctx, j)
		}
	}
}

// decidePoolStatus compares a pool's status with what the allocator says, and returns what has to be
// written, nil if nothing.
func (t *term) decidePoolStatus(name string) *job {
	memory := t.pools[name]
	if memory == nil {
		return nil
	}
	memory.scheduled = false // also if the pool is gone: made anew under its name, it may find this memory
	pool, err := t.poolLister.Get(name)
	if err != nil {
		return nil
	}
	now := time.Now()
	if wait := poolInterval - now.Sub(memory.written); wait > 0 {
		memory.scheduled = true
		t.work.AddAfter(item{poolStatus, lb.Key{Name: name}}, wait)
		return nil
	}
	usage, _ := t.alloc.Usage(name)
	t.metrics.pool(name, usage)
	state := poolState{
		usage: usage, retained: t.alloc.Retained(name), conflicts: memory.conflicts, problems: memory.problems, aside: memory.aside,
		advertised: t.advertised(pool, memory, now),
	}
	t.metrics.faulty(poolKind, &memory.faulty, !state.ready())
	patch, events := poolChangeOf(pool, state, now)
	if patch == nil {
		return nil
	}
	memory.written = now
	j := &job{object: "pool", log: t.Log.With("pool", name), base: pool.ResourceVersion, after: events}
	j.seen = func() (string, bool) { return t.poolVersion(lb.Key{Name: name}) }
	j.write = func(ctx context.Context) error {
		_, err := t.Cluster.Fairlead.FairleadV1alpha1().IPAddressPools().Patch(ctx, name,
			types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return fmt.Errorf("writing the status of IPAddressPool %s: %w", name, err)
		}
		return nil
	}
	return j
}
