package allocator

import (
	"cmp"
	"fmt"
	"math/big"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/tidwall/btree"
	"go4.org/netipx"
)

// pool is a pool's rules and what it effectively holds: its ranges less those of older pools.
type pool struct {
	lb.Pool
	set *netipx.IPSet
	// free is the part of set that may be given and that nobody has or waits for.
	free rangeMap[struct{}]
	// total counts what may be given of set; used what Services have, of which withheldUsed may not be given
	// any more.
	total              [2]*big.Int
	used, withheldUsed [2]int64
	waits              [2]*btree.BTreeG[*retention] // by time
	// byNamespace counts the addresses that a namespace's Services have.
	byNamespace map[string]int
	// roomier are the namespaces that have given addresses back since those who wait for that were woken.
	roomier []string
}

func newPool(name string) *pool {
	p := &pool{Pool: lb.Pool{Name: name}, set: &netipx.IPSet{}, free: newRangeMap[struct{}](),
		total: [2]*big.Int{new(big.Int), new(big.Int)}, byNamespace: map[string]int{}}
	for f := range p.waits {
		p.waits[f] = newTree((*retention).sooner)
	}
	return p
}

// withholds tells whether the pool does not give out an address that it holds.
func (p *pool) withholds(addr netip.Addr) bool { return p.AvoidBuggyIPs && buggy(addr) }

// buggy tells whether old devices take an address for a network's own or its broadcast address.
func buggy(addr netip.Addr) bool {
	if !addr.Is4() {
		return false
	}
	last := addr.As4()[3]
	return last == 0 || last == 255
}

// take counts an address that was nobody's as used, and leave as nobody's again.
func (p *pool) take(addr netip.Addr) {
	p.free.remove(netipx.IPRangeFrom(addr, addr))
	p.used[lb.FamilyOf(addr)]++
	if p.withholds(addr) {
		p.withheldUsed[lb.FamilyOf(addr)]++
	}
}

func (p *pool) leave(addr netip.Addr) {
	p.used[lb.FamilyOf(addr)]--
	if p.withholds(addr) {
		p.withheldUsed[lb.FamilyOf(addr)]--
	}
}

// release counts that no Service of a namespace has some address any more.
func (p *pool) release(namespace string) {
	p.roomier = append(p.roomier, namespace)
	if p.byNamespace[namespace]--; p.byNamespace[namespace] == 0 {
		delete(p.byNamespace, namespace)
	}
}

// Conflict says that two pools list the same addresses. They belong to the older pool; the younger works
// on with what is left of it.
type Conflict struct {
	Pool, With string
	// Overlap is the first range that both list.
	Overlap netipx.IPRange
}

// Loss is an address that a Service had, and why it has left.
type Loss struct {
	Service lb.Key
	Address netip.Addr
	Message string
}

// PoolChange is what a new set of pools means for what is assigned.
type PoolChange struct {
	Conflicts []Conflict
	// Losses are the addresses that left, in order of address.
	Losses []Loss
	// Again are the Services to decide again, in this order: those that lost an address or whose address is of
	// another pool now, then all that wait for something.
	Again []lb.Key
}

// SetPools replaces the pools. The cost follows what changed: pools whose addresses stay the same are not
// looked into. An address that moves from one pool to another (a pool was renamed, split or has grown
// over a younger one) stays with its Services.
func (a *Allocator) SetPools(pools []lb.Pool) PoolChange {
	effective, conflicts := resolveOverlaps(pools)
	change := PoolChange{Conflicts: conflicts}
	changed := len(pools) != len(a.pools)
	specs := make(map[string]lb.Pool, len(pools))
	for _, spec := range pools {
		specs[spec.Name] = spec
	}

	// Out first, then in: what one pool gives up another may take over.
	var orphans []orphan
	for _, p := range slices.Clone(a.pools) {
		gone := subtract(p.set, effective[p.Name])
		for _, r := range gone {
			a.ranges.remove(r)
			p.free.remove(r)
			orphans = append(orphans, a.cut(p, r)...)
		}
		if _, ok := specs[p.Name]; !ok {
			a.pools = slices.DeleteFunc(a.pools, func(q *pool) bool { return q == p })
			delete(a.byName, p.Name)
			delete(a.dirty, p.Name)
		}
	}
	var added []netipx.IPRange
	for _, spec := range pools {
		p, set := a.byName[spec.Name], effective[spec.Name]
		if p == nil {
			p = newPool(spec.Name)
			a.pools, a.byName[spec.Name] = append(a.pools, p), p
			a.dirty[spec.Name] = struct{}{}
		}
		fresh := subtract(set, p.set)
		for _, r := range fresh {
			p.free.set(r, struct{}{})
			a.ranges.set(r, p)
		}
		added = append(added, fresh...)
		rules := !equalRules(p.Pool, spec)
		changed = changed || rules || !p.set.Equal(set)
		if rules || !p.set.Equal(set) {
			a.revise(p, spec, set)
		}
	}
	slices.SortFunc(a.pools, byChoice)
	moved := a.rehome(orphans, &change)
	moved = append(moved, a.claimShown(added, &change)...)
	slices.SortFunc(change.Losses, func(x, y Loss) int {
		return cmp.Or(x.Address.Compare(y.Address), compareKeys(x.Service, y.Service))
	})
	for _, p := range a.pools {
		p.roomier = nil // all who wait are asked
	}
	if changed {
		a.waiting.Scan(func(x waiter) bool { moved = append(moved, x.service); return true })
	}
	change.Again = unique(moved)
	return change
}

// revise has a pool follow its rules and hold set; ranges that left it are out, new ones are in free.
func (a *Allocator) revise(p *pool, spec lb.Pool, set *netipx.IPSet) {
	longer := spec.Retention - p.Retention
	withholding := p.AvoidBuggyIPs || spec.AvoidBuggyIPs
	p.Pool, p.set = spec, set
	a.dirty[p.Name] = struct{}{}
	p.total = [2]*big.Int{size(set, lb.IPv4), size(set, lb.IPv6)}
	if withholding {
		a.rewithhold(p)
	}
	if longer == 0 {
		return
	}
	for _, f := range lb.Families {
		for _, ret := range p.waits[f].Items() {
			again := ret.Retained
			a.endRetention(ret)
			if again.Until = again.Until.Add(longer); spec.Retention > 0 {
				a.retain(again, p)
			} else {
				p.free.set(netipx.IPRangeFrom(again.Address, again.Address), struct{}{})
			}
		}
	}
}

// rewithhold brings what is free and counted of a pool in line with AvoidBuggyIPs.
func (a *Allocator) rewithhold(p *pool) {
	p.withheldUsed = [2]int64{}
	for _, r := range p.set.Ranges() {
		if !r.From().Is4() {
			continue
		}
		for addr, ok := firstBuggy(r.From()); ok && !r.To().Less(addr); addr, ok = firstBuggy(addr.Next()) {
			taken := a.holding(addr) != nil
			ret := a.retained[addr]
			switch {
			case !p.AvoidBuggyIPs && !taken && ret == nil:
				p.free.set(netipx.IPRangeFrom(addr, addr), struct{}{})
			case !p.AvoidBuggyIPs:
			default:
				p.total[lb.IPv4].Sub(p.total[lb.IPv4], big.NewInt(1))
				p.free.remove(netipx.IPRangeFrom(addr, addr))
				if taken {
					p.withheldUsed[lb.IPv4]++
				}
				if ret != nil {
					a.endRetention(ret)
				}
			}
		}
	}
}

// firstBuggy returns the first address from addr on that ends in .0 or .255; false if there is none.
func firstBuggy(addr netip.Addr) (netip.Addr, bool) {
	if !addr.IsValid() || buggy(addr) {
		return addr, addr.IsValid()
	}
	b := addr.As4()
	b[3] = 255
	return netip.AddrFrom4(b), true
}

// orphan is an address that has left a pool, and who has it.
type orphan struct {
	addr    netip.Addr
	pool    string
	holders []holder
}

// cut takes what Services have in a range that leaves a pool out of its books, and ends the waits there. The
// Services are not told yet: another pool may take the addresses over.
func (a *Allocator) cut(p *pool, r netipx.IPRange) (orphans []orphan) {
	a.taken.Ascend(&holding{addr: r.From()}, func(h *holding) bool {
		if r.To().Less(h.addr) {
			return false
		}
		orphans = append(orphans, orphan{h.addr, p.Name, slices.Clone(h.holders)})
		return true
	})
	for _, o := range orphans {
		for _, x := range o.holders {
			a.detach(o.addr, x.service)
		}
	}
	for _, f := range lb.Families {
		for _, ret := range p.waits[f].Items() {
			if r.Contains(ret.Address) {
				a.endRetention(ret)
			}
		}
	}
	return orphans
}

// rehome gives orphans to the pools that hold them now, with those who have them. The others are lost.
func (a *Allocator) rehome(orphans []orphan, change *PoolChange) (moved []lb.Key) {
	slices.SortFunc(orphans, func(x, y orphan) int { return x.addr.Compare(y.addr) })
	for _, o := range orphans {
		e, ok := a.ranges.at(o.addr)
		for _, x := range o.holders {
			moved = append(moved, x.service)
			if ok {
				a.attach(o.addr, x.service, x.sharing, e.value)
				continue
			}
			change.Losses = append(change.Losses, Loss{x.service, o.addr,
				fmt.Sprintf("no pool holds %s any more; it was of pool %s", o.addr, o.pool)})
			s := a.services[x.service]
			s.former = append(s.former, o.addr)
			s.lose(o.addr)
		}
	}
	return moved
}

// claimShown makes addresses that statuses show, and that a pool holds now, their Services' own.
func (a *Allocator) claimShown(added []netipx.IPRange, change *PoolChange) (moved []lb.Key) {
	for _, r := range added {
		var claims []unowned
		a.unowned.Ascend(unowned{addr: r.From()}, func(u unowned) bool {
			if r.To().Less(u.addr) {
				return false
			}
			claims = append(claims, u)
			return true
		})
		for _, u := range claims {
			a.unowned.Delete(u)
			moved = append(moved, u.service)
			s := a.services[u.service]
			if clash := a.clash(u.addr, u.service, s.sharing); clash != "" {
				change.Losses = append(change.Losses, Loss{u.service, u.addr, "the status has " + clash})
				s.lose(u.addr)
				continue
			}
			e, _ := a.ranges.at(u.addr)
			a.attach(u.addr, u.service, s.sharing, e.value)
		}
	}
	return moved
}

func (s *service) lose(addr netip.Addr) {
	s.held = slices.DeleteFunc(s.held, func(h held) bool { return h.addr == addr })
}

// byChoice orders pools as they are tried: those for certain Services only, then by priority, then by name.
func byChoice(x, y *pool) int {
	rank := func(p *pool) (reserved, priority int64) {
		if len(p.Namespaces)+len(p.NamespaceSelectors)+len(p.ServiceSelectors) == 0 {
			reserved = 1
		}
		if priority = int64(p.Priority); priority <= 0 {
			priority = 1 << 32
		}
		return reserved, priority
	}
	xr, xp := rank(x)
	yr, yp := rank(y)
	return cmp.Or(cmp.Compare(xr, yr), cmp.Compare(xp, yp), cmp.Compare(x.Name, y.Name))
}

// equalRules tells whether two pools have the same rules, whatever their addresses.
func equalRules(x, y lb.Pool) bool {
	same := func(x, y lb.Selector) bool { return x.String() == y.String() }
	return x.AvoidBuggyIPs == y.AvoidBuggyIPs && x.OnRequest == y.OnRequest && x.Disabled == y.Disabled &&
		x.Priority == y.Priority && slices.Equal(x.Namespaces, y.Namespaces) &&
		slices.EqualFunc(x.NamespaceSelectors, y.NamespaceSelectors, same) &&
		slices.EqualFunc(x.ServiceSelectors, y.ServiceSelectors, same) &&
		(x.Quota == nil) == (y.Quota == nil) && (x.Quota == nil || *x.Quota == *y.Quota) && x.Retention == y.Retention
}

func compareKeys(x, y lb.Key) int {
	return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
}

// unique drops all but the first of each key.
func unique(keys []lb.Key) (list []lb.Key) {
	seen := make(map[lb.Key]bool, len(keys))
	for _, k := range keys {
		if !seen[k] {
			seen[k] = true
			list = append(list, k)
		}
	}
	return list
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
		for _, r := range p.Excluded {
			b.RemoveRange(r)
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
