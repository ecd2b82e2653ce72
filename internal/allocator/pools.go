package allocator

import (
	"cmp"
	"fmt"
	"math/big"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// pool is what one pool effectively holds: its ranges less those of older pools.
type pool struct {
	name string
	set  *netipx.IPSet
	// free is the part of set that no Service has.
	free  rangeMap[struct{}]
	total [2]*big.Int
	used  [2]int64
}

// lowest is where a search for the first free address of a family begins.
var lowest = [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

// Conflict says that two pools list the same addresses. They belong to the older pool; the younger works
// on with what is left of it.
type Conflict struct {
	Pool, With string
	// Overlap is the first range that both list.
	Overlap netipx.IPRange
}

// Loss is an address that a Service had and that no pool holds any more.
type Loss struct {
	Service lb.Key
	Address netip.Addr
	Pool    string
}

// PoolChange is what a new set of pools means for what is assigned.
type PoolChange struct {
	Conflicts []Conflict
	// Losses are the addresses that left, in order of address.
	Losses []Loss
	// Again are the Services to decide again: those that lost an address, those whose address is of another
	// pool now, and those whose wait may be over.
	Again []lb.Key
}

// SetPools replaces the pools. The cost follows what changed: pools whose addresses stay the same are not
// looked into. An address that moves from one pool to another (a pool was renamed, split or has grown
// over a younger one) stays with its Service.
func (a *Allocator) SetPools(pools []lb.Pool) PoolChange {
	effective, conflicts := resolveOverlaps(pools)
	change := PoolChange{Conflicts: conflicts}

	// Out first, then in: what one pool gives up another may take over.
	var removed, added []netipx.IPRange
	for _, p := range slices.Clone(a.pools) {
		set := effective[p.name]
		gone := subtract(p.set, set)
		for _, r := range gone {
			a.ranges.remove(r)
			p.free.remove(r)
		}
		removed = append(removed, gone...)
		if set == nil {
			a.removePool(p)
		}
	}
	orphans := a.detach(removed)
	for name, set := range effective {
		p, ok := a.byName[name]
		if !ok {
			p = &pool{name: name, set: &netipx.IPSet{}, free: newRangeMap[struct{}](), total: [2]*big.Int{new(big.Int), new(big.Int)}}
			a.insertPool(p)
			a.dirty[name] = struct{}{}
		}
		fresh := subtract(set, p.set)
		for _, r := range fresh {
			p.free.set(r, struct{}{})
			a.ranges.set(r, p)
		}
		if !p.set.Equal(set) {
			p.set = set
			p.total = [2]*big.Int{size(set, lb.IPv4), size(set, lb.IPv6)}
			a.dirty[name] = struct{}{}
		}
		added = append(added, fresh...)
	}
	for _, o := range orphans {
		if e, ok := a.ranges.at(o.addr); ok {
			a.attach(o.addr, o.service, e.value)
			change.Again = append(change.Again, o.service)
			continue
		}
		change.Losses = append(change.Losses, Loss{o.service, o.addr, o.pool})
		s := a.services[o.service]
		s.addrs[lb.FamilyOf(o.addr)] = netip.Addr{}
		change.Again = append(change.Again, o.service)
	}
	if len(added) > 0 {
		change.Again = append(change.Again, a.wakeAll()...)
	}
	slices.SortFunc(change.Losses, func(x, y Loss) int { return x.Address.Compare(y.Address) })
	change.Again = sortedUnique(change.Again)
	return change
}

// resolveOverlaps gives every address that is listed to one pool: the oldest that lists it.
func resolveOverlaps(pools []lb.Pool) (map[string]*netipx.IPSet, []Conflict) {
	byAge := slices.SortedFunc(slices.Values(pools), func(x, y lb.Pool) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.Name, y.Name))
	})
	effective := make(map[string]*netipx.IPSet, len(pools))
	var conflicts []Conflict
	taken := newRangeMap[string]()
	for _, p := range byAge {
		var b netipx.IPSetBuilder
		for _, r := range p.Ranges {
			b.AddRange(r)
		}
		whole, _ := b.IPSet() // the only error is an invalid range, which lb.ParseRange does not give
		named := map[string]bool{}
		for _, r := range whole.Ranges() {
			for _, other := range taken.overlapping(r) {
				overlap := intersection(r, other.ips)
				b.RemoveRange(overlap)
				if !named[other.value] {
					named[other.value] = true
					conflicts = append(conflicts, Conflict{Pool: p.Name, With: other.value, Overlap: overlap})
				}
			}
		}
		set, _ := b.IPSet()
		effective[p.Name] = set
		for _, r := range set.Ranges() {
			taken.set(r, p.Name)
		}
	}
	return effective, conflicts
}

func intersection(x, y netipx.IPRange) netipx.IPRange {
	from, to := x.From(), x.To()
	if from.Less(y.From()) {
		from = y.From()
	}
	if y.To().Less(to) {
		to = y.To()
	}
	return netipx.IPRangeFrom(from, to)
}

// subtract returns the ranges of x that are not in y; nil stands for the empty set.
func subtract(x, y *netipx.IPSet) []netipx.IPRange {
	if x == nil || (y != nil && x.Equal(y)) {
		return nil
	}
	var b netipx.IPSetBuilder
	b.AddSet(x)
	if y != nil {
		b.RemoveSet(y)
	}
	set, _ := b.IPSet()
	return set.Ranges()
}

func (a *Allocator) insertPool(p *pool) {
	at, _ := slices.BinarySearchFunc(a.pools, p.name, func(q *pool, name string) int { return cmp.Compare(q.name, name) })
	a.pools = slices.Insert(a.pools, at, p)
	a.byName[p.name] = p
}

func (a *Allocator) removePool(p *pool) {
	a.pools = slices.DeleteFunc(a.pools, func(q *pool) bool { return q == p })
	delete(a.byName, p.name)
	delete(a.dirty, p.name)
}

// PoolOf returns the pool that an address is of.
func (a *Allocator) PoolOf(addr netip.Addr) (name string, ok bool) {
	e, ok := a.ranges.at(addr)
	if !ok {
		return "", false
	}
	return e.value.name, true
}

// Usage is how full a pool is in one family. Total and Available are exact: a /64 does not fit an int64.
type Usage struct {
	Total, Available *big.Int
	Assigned         int64
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
		u := Usage{Total: p.total[f], Assigned: p.used[f]}
		u.Available = new(big.Int).Sub(u.Total, big.NewInt(u.Assigned))
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

// exhausted describes a pool that cannot give an address of a family, for a user to read.
func (p *pool) exhausted(f lb.Family) string {
	if p.total[f].Sign() == 0 {
		return fmt.Sprintf("pool %s has no %s addresses", p.name, f)
	}
	return fmt.Sprintf("pool %s is exhausted: %d of %s %s addresses in use", p.name, p.used[f], p.total[f], f)
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
