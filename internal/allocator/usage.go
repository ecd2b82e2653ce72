package allocator

import (
	"math/big"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// PoolOf returns the pool that an address is of.
func (a *Allocator) PoolOf(addr netip.Addr) (name string, ok bool) {
	e, ok := a.ranges.at(addr)
	if !ok {
		return "", false
	}
	return e.value.Name, true
}

// Usage is how full a pool is in one family. Total and Available are exact: a /64 does not fit an int64.
type Usage struct {
	// Total are the addresses that may be given, Available those of them that nobody has or waits for.
	Total, Available *big.Int
	// Assigned are the addresses that Services have, also of those that may not be given any more. One that is
	// shared counts once.
	Assigned, Retained int64
	// First and Last are the lowest and the highest address; invalid where the pool has none.
	First, Last netip.Addr
}

// Usage returns how full a pool is, by family, and false for a pool that does not exist.
func (a *Allocator) Usage(name string) ([2]Usage, bool) {
	var usage [2]Usage
	p, ok := a.byName[name]
	if !ok {
		return usage, false
	}
	for _, f := range lb.Families {
		u := Usage{Total: p.total[f], Assigned: p.used[f], Retained: int64(p.waits[f].Len())}
		u.Available = new(big.Int).Sub(u.Total, big.NewInt(p.used[f]-p.withheldUsed[f]+u.Retained))
		for _, r := range p.set.Ranges() {
			if lb.FamilyOf(r.From()) != f {
				continue
			}
			if !u.First.IsValid() {
				u.First = r.From()
			}
			u.Last = r.To()
		}
		usage[f] = u
	}
	return usage, true
}

// TakeDirty returns, sorted, the pools whose Usage may have changed since the last call.
func (a *Allocator) TakeDirty() []string {
	names := make([]string, 0, len(a.dirty))
	for name := range a.dirty {
		names = append(names, name)
	}
	clear(a.dirty)
	slices.Sort(names)
	return names
}

// size counts the addresses of a family.
func size(set *netipx.IPSet, f lb.Family) *big.Int {
	sum, one := new(big.Int), big.NewInt(1)
	for _, r := range set.Ranges() {
		if lb.FamilyOf(r.From()) != f {
			continue
		}
		from, to := new(big.Int).SetBytes(r.From().AsSlice()), new(big.Int).SetBytes(r.To().AsSlice())
		sum.Add(sum, to.Sub(to, from).Add(to, one))
	}
	return sum
}
