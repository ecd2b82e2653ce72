package plugin

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// aside are the addresses that pools set aside since speakers found foreign hosts at them.
type aside struct {
	users map[netip.Addr]string   // of each the host, in words
	pools map[string][]netip.Addr // by the pools that list them, in order
}

// by returns the pools that set an address aside, sorted.
func (x aside) by(a netip.Addr) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(x.pools)), func(pool string) bool { return !slices.Contains(x.pools[pool], a) })
}

// more says how many addresses of a family a pool sets aside, to be put behind how many it has; empty if none.
func (x aside) more(pool string, f lb.Family) string {
	n := 0
	for _, a := range x.pools[pool] {
		if lb.FamilyOf(a) == f {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "; 1 more is set aside, as another host uses it"
	}
	return fmt.Sprintf("; %d more are set aside, as other hosts use them", n)
}

// setPools replaces the pools as the controller does: without the addresses at which speakers found foreign hosts.
// The Services that had one of these have it no more.
func (r *replay) setPools(objects []*v1alpha1.IPAddressPool, speakers []*v1alpha1.Speaker) allocator.PoolChange {
	pools, detects := poolValues(objects), map[string]bool{}
	inUse, _ := k8s.InUse(speakers)
	for _, o := range objects {
		detects[o.Name] = o.Spec.ConflictDetection
	}
	r.aside = aside{map[netip.Addr]string{}, k8s.SetAside(pools, func(pool string) bool { return detects[pool] }, inUse)}
	for _, addresses := range r.aside.pools {
		for _, a := range addresses {
			r.aside.users[a] = inUse[a]
		}
	}
	change := r.alloc.SetPools(pools)
	for i, l := range change.Losses {
		host, is := r.aside.users[l.Address]
		if !is {
			continue
		}
		change.Losses[i].Message = host
		if d := r.decided[l.Service]; d != nil {
			d.Assignments = slices.DeleteFunc(slices.Clone(d.Assignments), func(a allocator.Assignment) bool { return a.Address == l.Address })
			d.NotAdopted = append(d.NotAdopted, allocator.NotAdopted{
				Address: l.Address, Refusal: allocator.Refusal{Reason: k8s.ReasonAddressConflict, Message: host}})
		}
	}
	r.conflicts = change.Conflicts
	return change
}

// LoadConflicts lists the Speakers, which say what foreign hosts use, if one of the pools or of these detects
// conflicts. That they may not be read is a note, not an error.
func (s *Snapshot) LoadConflicts(ctx context.Context, c *k8s.Cluster, pools ...*v1alpha1.IPAddressPool) error {
	if !slices.ContainsFunc(append(pools, s.Pools...), func(p *v1alpha1.IPAddressPool) bool { return p.Spec.ConflictDetection }) {
		return nil
	}
	speakers, err := LoadSpeakers(ctx, c)
	if apierrors.IsForbidden(err) {
		s.Notes = append(s.Notes, fmt.Sprintf("%v: which addresses are set aside is unknown", err))
		return nil
	}
	s.Speakers = speakers
	return err
}
