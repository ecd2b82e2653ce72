package allocator

import (
	"cmp"
	"maps"
	"math/big"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// addresses of a pool's ranges without the excluded, in order, be they another's or not.
func (*model) listed(p lb.Pool) (list []netip.Addr) {
	excluded := func(addr netip.Addr) bool {
		for _, r := range p.Excluded {
			if r.Contains(addr) {
				return true
			}
		}
		return false
	}
	for _, r := range p.Ranges {
		for addr := r.From(); r.Contains(addr); addr = addr.Next() {
			if !excluded(addr) {
				list = append(list, addr)
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// own settles which pool holds which address: the oldest of those that list it.
// Open: what one pool excludes another may hold.
func (m *model) own() {
	m.owner, m.holds = map[netip.Addr]lb.Pool{}, map[string][]netip.Addr{}
	byAge := slices.SortedFunc(slices.Values(m.pools), func(x, y lb.Pool) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.Name, y.Name))
	})
	for _, p := range byAge {
		for _, addr := range m.listed(p) {
			if _, taken := m.owner[addr]; !taken {
				m.owner[addr] = p
				m.holds[p.Name] = append(m.holds[p.Name], addr)
			}
		}
	}
}

func (m *model) poolOf(addr netip.Addr) (of lb.Pool, ok bool) {
	of, ok = m.owner[addr]
	return of, ok
}

func (m *model) held(addr netip.Addr) bool {
	_, ok := m.owner[addr]
	return ok
}

func (m *model) PoolOf(addr netip.Addr) (string, bool) {
	p, ok := m.poolOf(addr)
	return p.Name, ok
}

// gives returns the addresses of a family that a pool may give to somebody, in order.
func (m *model) gives(p lb.Pool, f lb.Family) (list []netip.Addr) {
	for _, addr := range m.holds[p.Name] {
		if lb.FamilyOf(addr) == f && !m.withheld(p, addr) {
			list = append(list, addr)
		}
	}
	return list
}

func (*model) withheld(p lb.Pool, addr netip.Addr) bool {
	last := addr.AsSlice()[len(addr.AsSlice())-1]
	return p.AvoidBuggyIPs && addr.Is4() && (last == 0 || last == 255)
}

func (m *model) pool(name string) (lb.Pool, bool) {
	i := slices.IndexFunc(m.pools, func(p lb.Pool) bool { return p.Name == name })
	if i < 0 {
		return lb.Pool{}, false
	}
	return m.pools[i], true
}

// SetPools replaces the pools: addresses stay with their Services as long as any pool holds them.
func (m *model) SetPools(pools []lb.Pool) (change PoolChange) {
	before := m.pools
	m.pools = slices.Clone(pools)
	m.own()
	for _, p := range m.pools { // Conflicts without their ranges
		named := map[string]bool{}
		for _, addr := range m.listed(p) {
			if of, _ := m.poolOf(addr); of.Name != p.Name && !named[of.Name] {
				named[of.Name] = true
				change.Conflicts = append(change.Conflicts, Conflict{Pool: p.Name, With: of.Name})
			}
		}
	}
	lose := func(key lb.Key, addr netip.Addr) {
		change.Losses = append(change.Losses, Loss{Service: key, Address: addr})
		s := m.services[key]
		s.has = slices.DeleteFunc(s.has, func(h modelAddress) bool { return h.Addr == addr })
	}
	for key, s := range m.services {
		for i, h := range slices.Backward(s.has) {
			of, held := m.poolOf(h.Addr)
			switch {
			case h.pool == "":
			case held:
				s.has[i].pool = of.Name
			default:
				lose(key, h.Addr)
				s.former = append(s.former, h.Addr)
			}
		}
	}
	for addr, of := range m.owner { // what was shown and not known is
		for _, key := range m.having(addr) {
			s := m.services[key]
			i := slices.IndexFunc(s.has, func(h modelAddress) bool { return h.Addr == addr })
			switch {
			case s.has[i].pool != "":
			case m.shares(key, addr):
				m.clock++
				s.has[i].pool, s.has[i].since = of.Name, m.clock
			default: // Open: of several that show it and cannot share it, who was known first has it
				lose(key, addr)
			}
		}
	}
	slices.SortFunc(change.Losses, func(x, y Loss) int {
		return cmp.Or(x.Address.Compare(y.Address), cmp.Compare(x.Service.String(), y.Service.String()))
	})
	for addr, r := range maps.Clone(m.retained) {
		of, held := m.poolOf(addr)
		if !held || of.Name != r.Pool || of.Retention <= 0 || m.withheld(of, addr) {
			// Open: a retained address ends where its pool comes to withhold it, since nobody gets it.
			delete(m.retained, addr)
			continue
		}
		for _, p := range before {
			if p.Name == of.Name {
				r.Until = r.Until.Add(of.Retention - p.Retention)
			}
		}
		m.retained[addr] = r
	}
	return change
}

func (m *model) Usage(name string) (usage [2]Usage, ok bool) {
	p, ok := m.pool(name)
	if !ok {
		return usage, false
	}
	for _, f := range lb.Families {
		u := Usage{Total: big.NewInt(int64(len(m.gives(p, f)))), Available: new(big.Int)}
		for _, addr := range m.holds[name] { // Open: the first and the last may be withheld
			if lb.FamilyOf(addr) != f {
				continue
			}
			if !u.First.IsValid() {
				u.First = addr
			}
			u.Last = addr
			_, waits := m.retained[addr]
			switch {
			case len(m.having(addr)) > 0:
				u.Assigned++
			case waits:
				u.Retained++
			case !m.withheld(p, addr):
				u.Available.Add(u.Available, big.NewInt(1))
			}
		}
		usage[f] = u
	}
	return usage, true
}
