package allocator

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// model is doc.go once more, slow and obvious: linear scans over the few addresses of small pools, and no
// index that could be wrong. It has no Again: whoever drives it decides all that wait, in the order of waiters.
// What doc.go leaves open is decided at "Open:".
type model struct {
	pools    []lb.Pool
	owner    map[netip.Addr]lb.Pool  // the pool that holds an address
	holds    map[string][]netip.Addr // the addresses that a pool holds, in order
	services map[lb.Key]*modelService
	retained map[netip.Addr]Retained
	clock    int // counts events, for their order
}

type modelService struct {
	sharing lb.Sharing
	has     []modelAddress // in the order in which they are shown
	former  []netip.Addr   // lost with their pools, and nothing else given in their place yet
	waiting int            // since when; 0 if the Service waits for nothing
}

type modelAddress struct {
	netip.Addr
	pool  string // empty if no pool holds it: shown and not known
	asked string // the pool that the Service asked for when it got it, or when it last filled a place
	since int
}

// modelPlace is what a Service is to have one address for.
type modelPlace struct {
	family  lb.Family
	insists netip.Addr // invalid if any address of the family will do
	filled  netip.Addr
	foreign bool // filled by an address that no pool holds
}

func newModel() *model {
	return &model{services: map[lb.Key]*modelService{}, retained: map[netip.Addr]Retained{}}
}

// # What a Service gets

func (m *model) Decide(r Request) (d Decision) {
	places := m.placesOf(r)
	s, known := m.services[r.Service]
	if !known {
		s = &modelService{sharing: r.Sharing}
		m.services[r.Service] = s
		d.NotAdopted = m.adopt(s, r, places)
	} else if r.Hold {
		// Open: of a request that cannot be followed, only the ports are sure.
		s.sharing.Ports = r.Sharing.Ports
	} else {
		s.sharing = r.Sharing
	}
	s.has = slices.DeleteFunc(s.has, func(h modelAddress) bool {
		leaves := h.pool != "" && !m.shares(r.Service, h.Addr)
		if leaves {
			d.LeftShare = append(d.LeftShare, NotAdopted{h.Addr, Refusal{ReasonInUse, "others have it"}})
		}
		return leaves
	})

	for _, addr := range r.Addresses {
		if !slices.Contains(r.Families, lb.FamilyOf(addr)) {
			d.Refusals = append(d.Refusals, Refusal{ReasonInvalidRequest, fmt.Sprint(addr, " is of no family of the Service")})
		}
	}
	frozen := r.Hold || len(d.Refusals) > 0
	for again := !frozen; again; {
		had := addressesOf(s.has)
		s.has = slices.DeleteFunc(s.has, func(h modelAddress) bool { return !slices.Contains(r.Families, lb.FamilyOf(h.Addr)) })
		places = m.placesOf(r)
		for i := range places {
			m.fillWithOwn(s, r, &places[i])
		}
		var givenUp []Retained
		d.Refusals, givenUp = m.fillWithNew(s, r, places)
		d.GivenUp = append(d.GivenUp, givenUp...)
		s.has = m.keeps(s, r, places)
		if r.Policy != lb.RequireDualStack || len(d.Refusals) == 0 {
			m.forgo(s, r, places)
		}
		again = len(d.Refusals) > 0 && !slices.Equal(had, addressesOf(s.has)) // Open: what it gives back may be what it lacks
	}
	for _, f := range slices.Concat(r.Families, lb.Families[:]) { // Open: a frozen Service keeps even what it does not list
		for _, h := range s.has {
			if x := (Assignment{h.Addr, h.pool}); lb.FamilyOf(h.Addr) == f && !slices.Contains(d.Assignments, x) {
				d.Assignments = append(d.Assignments, x)
			}
		}
	}
	anyWill := r.Policy == lb.PreferDualStack && len(r.Addresses) == 0
	d.Satisfied = !frozen && (len(d.Refusals) == 0 || anyWill && len(d.Refusals) < len(r.Families))
	for _, h := range s.has { // Open: of several, one that it does not ask for now
		if d.Asked = h.asked; h.asked != r.Pool {
			break
		}
	}

	switch {
	case frozen || len(d.Refusals) == 0:
		s.waiting = 0
	case s.waiting == 0:
		m.clock++
		s.waiting = m.clock
	}
	return d
}

func (*model) placesOf(r Request) (places []modelPlace) {
	for _, f := range r.Families {
		n := len(places)
		for i, addr := range r.Addresses {
			if lb.FamilyOf(addr) == f && !slices.Contains(r.Addresses[:i], addr) {
				places = append(places, modelPlace{family: f, insists: addr})
			}
		}
		if len(places) == n {
			places = append(places, modelPlace{family: f})
		}
	}
	return places
}

// adopt makes those of the addresses that a Service shows its own that can be: as many as it has places.
func (m *model) adopt(s *modelService, r Request, places []modelPlace) (not []NotAdopted) {
	if r.KeyUnknown && r.Given {
		m.guessKey(s, r)
	}
	var can []netip.Addr
	for i, addr := range r.Current {
		switch {
		case slices.Contains(r.Current[:i], addr):
		case !slices.Contains(r.Families, lb.FamilyOf(addr)):
			not = append(not, NotAdopted{addr, Refusal{ReasonInvalidRequest, "of another family"}})
		case r.Given && len(m.pools) > 0 && !m.held(addr): // as SetPools would have had it
			not = append(not, NotAdopted{addr, Refusal{ReasonLost, "no pool holds it"}})
			s.former = append(s.former, addr)
		case !m.shares(r.Service, addr):
			not = append(not, NotAdopted{addr, Refusal{ReasonInUse, "others have it"}})
		default:
			can = append(can, addr) // Open: even if it waits for another Service
		}
	}
	// Open: what it insists on goes first, then what a pool holds, then what none does.
	worth := func(addr netip.Addr) int {
		_, held := m.poolOf(addr)
		switch {
		case slices.Contains(r.Addresses, addr):
			return 0
		case held:
			return 1
		}
		return 2
	}
	best := slices.SortedStableFunc(slices.Values(can), func(x, y netip.Addr) int { return cmp.Compare(worth(x), worth(y)) })
	room := [2]int{}
	for _, p := range places {
		room[p.family]++
	}
	for _, addr := range best {
		if room[lb.FamilyOf(addr)]--; room[lb.FamilyOf(addr)] < 0 {
			not = append(not, NotAdopted{addr, Refusal{ReasonInvalidRequest, "one more than the Service asks for"}})
			can = slices.DeleteFunc(can, func(x netip.Addr) bool { return x == addr })
		}
	}
	for _, addr := range can {
		of, _ := m.poolOf(addr)
		m.get(s, addr, of.Name, r.Asked)
	}
	return not
}

// guessKey has a Service share by the key of those who have what it shows.
func (m *model) guessKey(s *modelService, r Request) {
	before := s.sharing
	for _, addr := range r.Current {
		for _, other := range m.others(r.Service, addr) {
			o := m.services[other].sharing
			s.sharing.Key, s.sharing.Backends = o.Key, o.Backends
			if m.shares(r.Service, addr) {
				return
			}
			s.sharing = before
		}
	}
}

func (m *model) get(s *modelService, addr netip.Addr, pool, asked string) {
	m.clock++
	s.has = append(s.has, modelAddress{addr, pool, asked, m.clock})
	delete(m.retained, addr)
}

// fillWithOwn fills a place with what the Service has already, if its request still allows it.
func (m *model) fillWithOwn(s *modelService, r Request, p *modelPlace) {
	for i := range s.has {
		h := &s.has[i]
		if h.pool != "" && lb.FamilyOf(h.Addr) == p.family && !p.filled.IsValid() &&
			(!p.insists.IsValid() || p.insists == h.Addr) &&
			(r.Pool == "" || r.Pool == h.pool || r.Pool == h.asked) {
			p.filled, h.asked = h.Addr, r.Pool
		}
	}
	for _, h := range s.has {
		// Open: what no pool holds stays as long as the Service asks for the same pool, and for no address.
		if h.pool == "" && lb.FamilyOf(h.Addr) == p.family && !p.filled.IsValid() &&
			!p.insists.IsValid() && r.Pool == h.asked {
			p.filled, p.foreign = h.Addr, true
		}
	}
}

func (m *model) fillWithNew(s *modelService, r Request, places []modelPlace) (refusals []Refusal, givenUp []Retained) {
	had, retained := slices.Clone(s.has), maps.Clone(m.retained)
	var fresh []int
	for i, p := range places {
		if p.foreign {
			refusals = append(refusals, Refusal{ReasonNotAdopted, fmt.Sprint("no pool holds ", p.filled)})
		}
		if p.filled.IsValid() {
			continue
		}
		// What it gives back if this place is filled, and no other, counts for no quota.
		if places[i].filled = p.insists; !p.insists.IsValid() {
			places[i].filled = netip.IPv4Unspecified() // some address
		}
		var givesBack []netip.Addr
		for _, h := range s.has {
			if !slices.Contains(m.keeps(s, r, places), h) {
				givesBack = append(givesBack, h.Addr)
			}
		}
		places[i].filled = netip.Addr{}
		var addr netip.Addr
		var reason Reason
		if p.insists.IsValid() {
			addr, reason = p.insists, m.refusesAddress(r, p.insists, givesBack)
		} else {
			addr, reason = m.find(s, r, p.family, givesBack)
		}
		if reason != "" {
			refusals = append(refusals, Refusal{reason, fmt.Sprint(p)})
			continue
		}
		if waits, ok := m.retained[addr]; ok && waits.Service != r.Service {
			givenUp = append(givenUp, waits)
		}
		of, _ := m.poolOf(addr)
		m.get(s, addr, of.Name, r.Pool)
		places[i].filled = addr
		fresh = append(fresh, i)
	}
	if r.Policy == lb.RequireDualStack && len(refusals) > 0 {
		s.has, m.retained, givenUp = had, retained, nil
		for _, i := range fresh {
			places[i].filled = netip.Addr{}
		}
	}
	return refusals, givenUp
}

// refusesAddress says why a Service cannot have an address that it insists on.
func (m *model) refusesAddress(r Request, addr netip.Addr, givesBack []netip.Addr) Reason {
	of, held := m.poolOf(addr)
	retained, waits := m.retained[addr]
	switch {
	case !held || r.Pool != "" && r.Pool != of.Name:
		return ReasonNotInPool
	case of.Disabled:
		return ReasonDisabled
	case !m.selects(of, r):
		return ReasonNotSelected
	case m.withheld(of, addr):
		return ReasonWithheld
	case !m.shares(r.Service, addr):
		return ReasonInUse
	case waits && retained.Service != r.Service:
		return ReasonRetained
	case m.atQuota(of, r, addr, givesBack):
		return ReasonQuotaExceeded
	}
	return ""
}

// find looks for an address for a place that insists on none, and says why if there is none.
func (m *model) find(s *modelService, r Request, f lb.Family, givesBack []netip.Addr) (netip.Addr, Reason) {
	var pools []lb.Pool // that it may be of, in the order of choice
	for _, p := range m.pools {
		if r.Pool == "" || r.Pool == p.Name {
			pools = append(pools, p)
		}
	}
	slices.SortFunc(pools, m.rank)
	if len(pools) == 0 {
		return netip.Addr{}, ReasonNoPool
	}
	reasons := map[Reason]bool{}
	var former, shared, free, waiting []netip.Addr // in the order of the pools
	for _, p := range pools {
		reason := m.refuses(p, r, f)
		if reason == "" && m.atQuota(p, r, netip.Addr{}, givesBack) {
			reason = ReasonQuotaExceeded // Open: also of a pool that is exhausted besides
		}
		reasons[cmp.Or(reason, ReasonExhausted)] = true
		if reason != "" && reason != ReasonQuotaExceeded {
			continue
		}
		for _, addr := range m.gives(p, f) {
			retained, waits := m.retained[addr]
			taken := len(m.others(r.Service, addr)) > 0
			switch {
			case m.atQuota(p, r, addr, givesBack) || !m.shares(r.Service, addr):
			case waits && retained.Service != r.Service:
				waiting = append(waiting, addr)
			case waits || slices.Contains(s.former, addr):
				former = append(former, addr)
			case taken:
				shared = append(shared, addr)
			default:
				free = append(free, addr)
			}
		}
	}
	for _, sorted := range [][]netip.Addr{former, shared} {
		slices.SortFunc(sorted, netip.Addr.Compare)
	}
	slices.SortStableFunc(waiting, func(x, y netip.Addr) int {
		px, _ := m.poolOf(x)
		py, _ := m.poolOf(y)
		return cmp.Or(m.rank(px, py), m.retained[x].Until.Compare(m.retained[y].Until), x.Compare(y))
	})
	for _, list := range [][]netip.Addr{former, shared, free, waiting} {
		if len(list) > 0 {
			return list[0], ""
		}
	}
	for _, reason := range []Reason{ReasonExhausted, ReasonQuotaExceeded, ReasonDisabled, ReasonOnRequestOnly, ReasonNotSelected, ReasonNoAddressOfFamily} {
		if reasons[reason] {
			return netip.Addr{}, reason
		}
	}
	panic("refused for no reason")
}

// rank orders pools by who is asked first.
func (*model) rank(x, y lb.Pool) int {
	special := func(p lb.Pool) int {
		if len(p.Namespaces)+len(p.NamespaceSelectors)+len(p.ServiceSelectors) > 0 {
			return 0
		}
		return 1
	}
	priority := func(p lb.Pool) uint32 { return uint32(p.Priority) - 1 } // 0 is last
	return cmp.Or(cmp.Compare(special(x), special(y)), cmp.Compare(priority(x), priority(y)), cmp.Compare(x.Name, y.Name))
}

// refuses says why a pool does not serve a place of a Service that insists on no address; its quota apart.
// Open: that another place insists on an address of the pool is not to ask for it here.
func (m *model) refuses(p lb.Pool, r Request, f lb.Family) Reason {
	switch {
	case p.Disabled:
		return ReasonDisabled
	case !m.selects(p, r):
		return ReasonNotSelected
	case p.OnRequest && r.Pool != p.Name:
		return ReasonOnRequestOnly
	case len(m.gives(p, f)) == 0:
		return ReasonNoAddressOfFamily
	}
	return ""
}

// selects tells whether a pool is for a Service of this name and these labels.
func (*model) selects(p lb.Pool, r Request) bool {
	matches := func(labels map[string]string) func(lb.Selector) bool {
		return func(s lb.Selector) bool { return s.Matches(labels) }
	}
	return (len(p.Namespaces)+len(p.NamespaceSelectors) == 0 ||
		slices.Contains(p.Namespaces, r.Service.Namespace) ||
		slices.ContainsFunc(p.NamespaceSelectors, matches(r.NamespaceLabels))) &&
		(len(p.ServiceSelectors) == 0 || slices.ContainsFunc(p.ServiceSelectors, matches(r.Labels)))
}

// atQuota tells whether one more address of a pool would be too many for the Service's namespace.
func (m *model) atQuota(p lb.Pool, r Request, addr netip.Addr, givesBack []netip.Addr) bool {
	counted := map[netip.Addr]bool{}
	for key, s := range m.services {
		for _, h := range s.has {
			leaves := key == r.Service && slices.Contains(givesBack, h.Addr)
			if key.Namespace == r.Service.Namespace && h.pool == p.Name && !leaves {
				counted[h.Addr] = true
			}
		}
	}
	return p.Quota != nil && !counted[addr] && len(counted) >= *p.Quota
}

// others returns the Services that have an address of a pool, but one.
func (m *model) others(but lb.Key, addr netip.Addr) []lb.Key {
	return slices.DeleteFunc(m.Holders(addr), func(k lb.Key) bool { return k == but })
}

// shares tells whether a Service may have an address together with the others that have it.
func (m *model) shares(key lb.Key, addr netip.Addr) bool {
	s := m.services[key].sharing
	for _, other := range m.others(key, addr) {
		o := m.services[other].sharing
		if s.Key == "" || s.Key != o.Key || s.Backends != o.Backends {
			return false
		}
		for _, port := range o.Ports {
			if slices.Contains(s.Ports, port) {
				return false
			}
		}
	}
	return true
}

// keeps returns what a Service has to fill places, and as much more as it has places that are not filled.
func (m *model) keeps(s *modelService, r Request, places []modelPlace) (keeps []modelAddress) {
	for _, f := range r.Families {
		missing := 0
		for _, p := range places {
			if p.family == f && !p.filled.IsValid() {
				missing++
			}
			for _, h := range s.has {
				if p.family == f && p.filled == h.Addr {
					keeps = append(keeps, h)
				}
			}
		}
		var rest []modelAddress
		for _, h := range s.has {
			if lb.FamilyOf(h.Addr) == f && !slices.Contains(keeps, h) {
				rest = append(rest, h)
			}
		}
		for len(rest) > missing { // Open: first those go that no pool holds, then the last
			last := len(rest) - 1
			for i, h := range rest {
				if h.pool == "" {
					last = i
				}
			}
			rest = slices.Delete(rest, last, last+1)
		}
		keeps = append(keeps, rest...)
	}
	return keeps
}

// forgo ends what waits for a Service that has all that it wants of a family.
func (m *model) forgo(s *modelService, r Request, places []modelPlace) {
	for _, f := range r.Families {
		if slices.ContainsFunc(places, func(p modelPlace) bool { return p.family == f && (p.foreign || !p.filled.IsValid()) }) {
			continue
		}
		s.former = slices.DeleteFunc(s.former, func(addr netip.Addr) bool { return lb.FamilyOf(addr) == f })
		maps.DeleteFunc(m.retained, func(addr netip.Addr, waits Retained) bool {
			return waits.Service == r.Service && lb.FamilyOf(addr) == f
		})
	}
}

// # Who is gone

// Release has the addresses of a Service that is gone wait for its return.
func (m *model) Release(key lb.Key, now time.Time) {
	s := m.services[key]
	if s == nil {
		return
	}
	delete(m.services, key)
	for _, h := range s.has {
		// Open: a withheld address does not wait, since nobody gets it.
		if of, held := m.poolOf(h.Addr); held && of.Retention > 0 && !m.withheld(of, h.Addr) && len(m.having(h.Addr)) == 0 {
			m.retained[h.Addr] = Retained{h.Addr, key, of.Name, now.Add(of.Retention)}
		}
	}
}

// Forget takes back what a Service has, and nothing waits for it.
func (m *model) Forget(key lb.Key) { delete(m.services, key) }

// Expire ends the waits that are over.
func (m *model) Expire(now time.Time) {
	maps.DeleteFunc(m.retained, func(_ netip.Addr, r Retained) bool { return !r.Until.After(now) })
}

// Retain takes over what waited before a restart.
func (m *model) Retain(list []Retained) {
	for _, r := range list {
		of, held := m.poolOf(r.Address)
		_, waits := m.retained[r.Address]
		if held && of.Retention > 0 && !m.withheld(of, r.Address) && !waits && len(m.having(r.Address)) == 0 {
			m.retained[r.Address] = Retained{r.Address, r.Service, of.Name, r.Until}
		}
	}
}

// # What there is to see

func (m *model) Retained(pool string) (list []Retained) {
	for _, r := range m.retained {
		if r.Pool == pool {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(x, y Retained) int { return x.Address.Compare(y.Address) })
	return list
}

// Holders are those that have an address of a pool, in the order in which they got it.
func (m *model) Holders(addr netip.Addr) (keys []lb.Key) {
	for _, key := range m.having(addr) {
		if slices.ContainsFunc(m.services[key].has, func(h modelAddress) bool { return h.Addr == addr && h.pool != "" }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// having are those that have an address, of a pool or of none.
func (m *model) having(addr netip.Addr) (keys []lb.Key) {
	since := map[lb.Key]int{}
	for key, s := range m.services {
		for _, h := range s.has {
			if h.Addr == addr {
				since[key] = h.since
				keys = append(keys, key)
			}
		}
	}
	slices.SortFunc(keys, func(x, y lb.Key) int { return cmp.Compare(since[x], since[y]) })
	return keys
}

// waiters returns the Services that wait for something, in the order in which that began.
func (m *model) waiters() (keys []lb.Key) {
	for key, s := range m.services {
		if s.waiting > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(x, y lb.Key) int { return cmp.Compare(m.services[x].waiting, m.services[y].waiting) })
	return keys
}

// clone returns a model to try something with.
func (m *model) clone() *model {
	c := *m
	c.services, c.retained = map[lb.Key]*modelService{}, maps.Clone(m.retained)
	for key, s := range m.services {
		of := *s
		of.has, of.former = slices.Clone(s.has), slices.Clone(s.former)
		c.services[key] = &of
	}
	return &c
}

func addressesOf(list []modelAddress) (addrs []netip.Addr) {
	for _, h := range list {
		addrs = append(addrs, h.Addr)
	}
	return addrs
}
