package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// poolMemory is what the term remembers of a pool beside what the allocator does.
type poolMemory struct {
	conflicts []allocator.Conflict
	problems  []string
	// scheduled is true while a look at the status is due, now or later.
	scheduled bool
	written   time.Time
}

// poolInterval bounds how often a pool's status is written: it changes with every assignment.
const poolInterval = time.Second

// readPools tells the allocator what pools there are.
func (t *term) readPools() {
	objects, _ := t.poolLister.List(labels.Everything()) // a lister's List does not fail
	pools := make([]lb.Pool, 0, len(objects))
	present := make(map[string]*poolMemory, len(objects))
	for _, object := range objects {
		pool, problems := k8s.Pool(object)
		pools = append(pools, pool)
		memory := t.pools[pool.Name]
		if memory == nil {
			memory = &poolMemory{}
		}
		memory.problems, memory.conflicts = problems, nil
		present[pool.Name] = memory
	}
	for name := range t.pools {
		if present[name] == nil {
			t.metrics.pool(name, [2]allocator.Usage{})
		}
	}
	t.pools = present

	change := t.alloc.SetPools(pools)
	for _, c := range change.Conflicts {
		t.pools[c.Pool].conflicts = append(t.pools[c.Pool].conflicts, c)
	}
	for _, l := range change.Losses {
		if k := t.known[l.Service]; k != nil {
			k.leave(l.Address, "AddressLost", fmt.Sprintf("no pool holds %s any more; it was of pool %s", l.Address, l.Pool))
		}
	}
	t.again(change.Again)
	// What the others that were refused something were told of the pools may not be true any more.
	t.again(t.refused())
	for name := range t.pools {
		t.schedule(name)
	}
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
	patch, events := poolChangeOf(pool, poolState{usage, memory.conflicts, memory.problems}, now)
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
