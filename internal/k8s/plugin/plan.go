package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Plan is what a change of pools and advertisements would do to living Services.
type Plan struct {
	Pools    []PlannedPool    `json:"pools"`
	Services []PlannedService `json:"services"` // all but the kept
	Summary  Summary          `json:"summary"`
	// Announcements are what becomes of how addresses are announced, those that stay as they are left out; only where
	// the change is one of advertisements too. Unknown says what of that could not be told.
	Announcements []PlannedAnnouncement `json:"announcements,omitempty"`
	Unknown       []string              `json:"unknown,omitempty"`
	// Undecided are Services that a controller has still to decide, whatever comes of the plan: it starts
	// from what they will have.
	Undecided int `json:"undecided"`
}

// Summary counts Services, each once, by the gravest of what becomes of their addresses.
type Summary struct {
	Lost     int `json:"lost"`
	Moved    int `json:"moved"`
	Pending  int `json:"pending"`
	Assigned int `json:"assigned"`
	Kept     int `json:"kept"`
	// Carried are those of the kept whose address comes to be of another pool.
	Carried int `json:"carried"`
}

// Exit statuses of `kubectl fairlead plan`, as of kubectl diff.
const (
	ExitSame  = 0 // no Service loses an address or gets another, and no address goes unannounced
	ExitMoves = 1
	ExitError = 2
)

// ExitStatus is 1 if a Service loses an address that it has, whether it gets another or not, and if one is not
// answered for any more, or withdrawn from a peer.
func (p *Plan) ExitStatus() int {
	gone := slices.ContainsFunc(p.Announcements, func(a PlannedAnnouncement) bool { return a.Change == Silent || a.Change == Withdrawn })
	if p.Summary.Lost+p.Summary.Moved > 0 || gone {
		return ExitMoves
	}
	return ExitSame
}

// PlannedPool is what becomes of a pool.
type PlannedPool struct {
	Name   string     `json:"name"`
	Change PoolChange `json:"change"`
	IPv4   FamilyPlan `json:"ipv4"`
	IPv6   FamilyPlan `json:"ipv6"`
	// Conflicts are with older pools, after the change.
	Conflicts []PlannedConflict `json:"conflicts,omitempty"`
}

// PoolChange is how a pool changes.
type PoolChange string

// What becomes of a pool.
const (
	PoolAdded     PoolChange = "added"
	PoolChanged   PoolChange = "changed"
	PoolDeleted   PoolChange = "deleted"
	PoolUnchanged PoolChange = "unchanged"
)

// FamilyPlan is what becomes of a pool's addresses of a family.
type FamilyPlan struct {
	Before PoolUse `json:"before"`
	After  PoolUse `json:"after"`
}

// PoolUse counts a pool's addresses of a family.
type PoolUse struct {
	Assigned int64  `json:"assigned"`
	Total    string `json:"total"`
}

// PlannedConflict is a conflict with an older pool.
type PlannedConflict struct {
	With    string `json:"with"`
	Overlap string `json:"overlap"`
	// New is false if it is there already.
	New bool `json:"new"`
}

// PlannedService is what becomes of one address of a Service.
type PlannedService struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Change    Change `json:"change"`
	// From and To are addresses, with their pools.
	From     string `json:"from,omitempty"`
	FromPool string `json:"fromPool,omitempty"`
	To       string `json:"to,omitempty"`
	ToPool   string `json:"toPool,omitempty"`
	Why      string `json:"why,omitempty"`
	// AsBefore is true of what is pending already, whatever becomes of the plan.
	AsBefore bool `json:"asBefore,omitempty"`
}

// Change is what becomes of an address.
type Change string

// What becomes of an address, the gravest first.
const (
	Lost     Change = "lost"     // gone, and nothing in its place
	Moved    Change = "moved"    // another in its place
	Pending  Change = "pending"  // something was and is missing
	Assigned Change = "assigned" // one more
	Kept     Change = "kept"
)

var gravity = []Change{Lost, Moved, Pending, Assigned, Kept}

// MakePlan compares what the Services of a snapshot have with what they would have if pools and advertisements were
// applied and deleted. The snapshot has the Services of all namespaces.
func MakePlan(s *Snapshot, manifests []Manifest, deleted []string) (*Plan, error) {
	apply, remove := ofPools(manifests, deleted)
	changed, err := changePools(s, apply, remove)
	if err != nil {
		return nil, err
	}
	after, announced, err := changeAdvertisements(s, changed, manifests, deleted)
	if err != nil {
		return nil, err
	}
	r := newReplay(s)
	adopted := r.addresses()
	r.settle(r.queue())
	before := r.addresses()
	wasPending := map[lb.Key]bool{}
	p := &Plan{Pools: []PlannedPool{}, Services: []PlannedService{}}
	for _, key := range r.order {
		wasPending[key] = r.decided[key].pending()
		if !slices.Equal(adopted[key], before[key]) {
			p.Undecided++
		}
	}
	use := map[string][2]PoolUse{}
	for _, pool := range s.Pools {
		use[pool.Name] = r.use(pool.Name)
	}
	conflicts := r.conflicts

	change := r.setPools(changed, s.Speakers)
	losses := make(map[loss]string, len(change.Losses))
	for _, l := range change.Losses {
		losses[loss{l.Service, l.Address}] = l.Message
	}
	r.settle(change.Again)

	for _, key := range r.order {
		rows, carried := compare(r.decided[key], before[key], wasPending[key], losses)
		p.count(rows, carried)
		p.Services = append(p.Services, rows...)
	}
	slices.SortFunc(p.Services, func(x, y PlannedService) int {
		return cmp.Or(cmp.Compare(slices.Index(gravity, x.Change), slices.Index(gravity, y.Change)),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name), cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To))
	})
	p.addPools(s, changed, apply, remove, use, r, conflicts, change.Conflicts)
	if announced {
		p.announce(s, after)
	}
	return p, nil
}

// ofPools are what of a change is of pools.
func ofPools(manifests []Manifest, deleted []string) (apply []Manifest, remove []string) {
	for _, m := range manifests {
		if m.Pool != nil {
			apply = append(apply, m)
		}
	}
	for _, name := range deleted {
		switch kind, of := splitKind(name); kind {
		case "", "IPAddressPool":
			remove = append(remove, of)
		}
	}
	return apply, remove
}

// changePools returns the pools as they would be. A new pool is the youngest.
func changePools(s *Snapshot, apply []Manifest, remove []string) ([]*v1alpha1.IPAddressPool, error) {
	byName := map[string]*v1alpha1.IPAddressPool{}
	created := s.Time
	for _, p := range s.Pools {
		byName[p.Name] = p
		// The clock of this machine may be behind the API server's.
		if at := p.CreationTimestamp.Time; !at.Before(created) {
			created = at.Add(time.Second)
		}
	}
	source := map[string]string{}
	for _, m := range apply {
		name := m.Pool.Name
		if source[name] != "" {
			return nil, fmt.Errorf("IPAddressPool %s is in %s, and again in %s", name, source[name], m.Source)
		}
		source[name] = m.Source
		changed := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(created)}}
		if living := byName[name]; living != nil {
			changed = living.DeepCopy()
		}
		changed.Spec = m.Pool.Spec
		byName[name] = changed
	}
	for _, name := range remove {
		switch {
		case source[name] != "":
			return nil, fmt.Errorf("IPAddressPool %s is to be deleted, and is in %s", name, source[name])
		case byName[name] == nil:
			if kind, _, found := strings.Cut(name, "/"); found {
				return nil, fmt.Errorf("%q in %s is no kind that can be planned to be deleted: give the name of a pool, l2advertisement/NAME or bgpadvertisement/NAME", kind, name)
			}
			return nil, fmt.Errorf("there is no IPAddressPool %s to delete", name)
		}
		source[name] = ""
	}
	for _, name := range remove {
		delete(byName, name)
	}
	pools := make([]*v1alpha1.IPAddressPool, 0, len(byName))
	for _, p := range byName {
		pools = append(pools, p)
	}
	return pools, nil
}

// addresses are what the Services have, by Service.
func (r *replay) addresses() map[lb.Key][]allocator.Assignment {
	all := make(map[lb.Key][]allocator.Assignment, len(r.decided))
	for key, d := range r.decided {
		all[key] = d.Assignments
	}
	return all
}

func (r *replay) use(pool string) (use [2]PoolUse) {
	usage, ok := r.alloc.Usage(pool)
	for _, f := range lb.Families {
		use[f].Total = "0"
		if ok {
			use[f] = PoolUse{usage[f].Assigned, usage[f].Total.String()}
		}
	}
	return use
}

// loss is an address that leaves a Service as the pools change.
type loss struct {
	service lb.Key
	address netip.Addr
}

// compare says what becomes of a Service's addresses. Losses has why some leave. Carried is true if one comes
// to be of another pool.
func compare(d *decided, before []allocator.Assignment, wasPending bool, losses map[loss]string) (rows []PlannedService, carried bool) {
	key := d.request.Service
	why := reasons(d.missing())
	add := func(change Change, from, to allocator.Assignment, why string) {
		row := PlannedService{Namespace: key.Namespace, Name: key.Name, Change: change, Why: why,
			FromPool: from.Pool, ToPool: to.Pool}
		if from.Address.IsValid() {
			row.From = from.Address.String()
		}
		if to.Address.IsValid() {
			row.To = to.Address.String()
		}
		rows = append(rows, row)
	}
	var none allocator.Assignment
	for _, f := range lb.Families {
		var went, came []allocator.Assignment
		for _, was := range before {
			is, has := d.holding(was.Address)
			switch {
			case lb.FamilyOf(was.Address) != f:
			case !has:
				went = append(went, was)
			case was.Pool == "" && is.Pool != "":
				add(Assigned, none, is, "its status shows the address already")
			case was.Pool != is.Pool:
				carried = true
			}
		}
		for _, is := range d.Assignments {
			if lb.FamilyOf(is.Address) == f && !slices.ContainsFunc(before, func(was allocator.Assignment) bool { return was.Address == is.Address }) {
				came = append(came, is)
			}
		}
		for i, was := range went {
			reason := cmp.Or(losses[loss{key, was.Address}], "what it asks for can be had")
			if i < len(came) {
				add(Moved, was, came[i], reason)
			} else {
				add(Lost, was, none, cmp.Or(why, reason))
			}
		}
		for _, is := range came[min(len(went), len(came)):] {
			add(Assigned, none, is, "")
		}
	}
	lost := slices.ContainsFunc(rows, func(r PlannedService) bool { return r.Change == Lost })
	if d.pending() && !lost {
		if !wasPending {
			why = "from now on: " + why
		}
		add(Pending, none, none, why)
		rows[len(rows)-1].AsBefore = wasPending
	}
	return rows, carried
}

func (p *Plan) count(rows []PlannedService, carried bool) {
	gravest := Kept
	for _, r := range rows {
		if slices.Index(gravity, r.Change) < slices.Index(gravity, gravest) {
			gravest = r.Change
		}
	}
	switch gravest {
	case Lost:
		p.Summary.Lost++
	case Moved:
		p.Summary.Moved++
	case Pending:
		p.Summary.Pending++
	case Assigned:
		p.Summary.Assigned++
	default:
		p.Summary.Kept++
		if carried {
			p.Summary.Carried++
		}
	}
}

// addPools says what becomes of the pools that the change names, and of those that it affects.
func (p *Plan) addPools(s *Snapshot, changed []*v1alpha1.IPAddressPool, apply []Manifest, remove []string,
	use map[string][2]PoolUse, r *replay, before, after []allocator.Conflict) {
	rows := map[string]*PlannedPool{}
	row := func(name string, change PoolChange) *PlannedPool {
		if rows[name] == nil {
			was, is := use[name], r.use(name)
			for f := range was {
				was[f].Total = cmp.Or(was[f].Total, "0") // of a pool that was not there
			}
			rows[name] = &PlannedPool{Name: name, Change: change,
				IPv4: FamilyPlan{was[lb.IPv4], is[lb.IPv4]}, IPv6: FamilyPlan{was[lb.IPv6], is[lb.IPv6]}}
		}
		return rows[name]
	}
	living := map[string]*v1alpha1.IPAddressPool{}
	for _, pool := range s.Pools {
		living[pool.Name] = pool
	}
	for _, m := range apply {
		change := PoolChanged
		if old := living[m.Pool.Name]; old == nil {
			change = PoolAdded
		} else if equality.Semantic.DeepEqual(old.Spec, m.Pool.Spec) {
			change = PoolUnchanged
		}
		row(m.Pool.Name, change)
	}
	for _, name := range remove {
		row(name, PoolDeleted)
	}
	for _, c := range after {
		is := func(x allocator.Conflict) bool { return x == c }
		conflict := PlannedConflict{With: c.With, Overlap: overlapText(c), New: !slices.ContainsFunc(before, is)}
		if conflict.New || rows[c.Pool] != nil {
			to := row(c.Pool, PoolUnchanged)
			to.Conflicts = append(to.Conflicts, conflict)
		}
	}
	for _, pool := range changed {
		if was, is := use[pool.Name], r.use(pool.Name); was != is {
			row(pool.Name, PoolUnchanged)
		}
	}
	for _, row := range rows {
		p.Pools = append(p.Pools, *row)
	}
	slices.SortFunc(p.Pools, func(x, y PlannedPool) int { return cmp.Compare(x.Name, y.Name) })
	for _, row := range p.Pools {
		slices.SortFunc(row.Conflicts, func(x, y PlannedConflict) int {
			return cmp.Or(cmp.Compare(x.With, y.With), cmp.Compare(x.Overlap, y.Overlap))
		})
	}
}

func overlapText(c allocator.Conflict) string {
	if c.Overlap.From() == c.Overlap.To() {
		return c.Overlap.From().String()
	}
	return c.Overlap.String()
}
