package allocator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// world is a tiny one: sixteen addresses of a family, among them a .255 and a .0, four pools, and twelve
// Services in three namespaces. It does to the allocator what the controller does to it, and to the model
// the same in the same order.
type world struct {
	real  *Allocator
	model *model
	now   time.Time

	pools    []lb.Pool
	listed   map[netip.Addr]bool          // what any of them lists and does not exclude
	labels   map[string]map[string]string // of namespaces
	requests map[lb.Key]Request
	shown    map[lb.Key]Decision   // the last of each Service, as its status shows it
	sharing  map[lb.Key]lb.Sharing // that goes for each Service

	queue []lb.Key // to be decided again
	first []lb.Key // who may go before those who wait longer: what they had is another's or nobody's
	usage map[string]string
	log   []string
	err   error
}

func newWorld() *world {
	return &world{
		real: New(), model: newModel(), now: time.Unix(1000, 0),
		labels:   map[string]map[string]string{"n0": nil, "n1": nil, "n2": nil},
		requests: map[lb.Key]Request{}, shown: map[lb.Key]Decision{},
		sharing: map[lb.Key]lb.Sharing{}, usage: map[string]string{},
	}
}

func (w *world) printf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *world) String() string { return fmt.Sprintf("%s\n%v", strings.Join(w.log, "\n"), w.err) }

// step does one thing, has everybody decided whom it concerns, and looks at what there is then.
func (w *world) step(s *source) {
	w.queue, w.first = nil, nil
	switch s.n(16) {
	case 0:
		w.setPools(s, w.randomPool(s))
	case 1, 2:
		w.setPools(s, w.changedPool(s))
	case 3:
		w.relabel(s)
	case 4, 5:
		w.release(s)
	case 6:
		w.now = w.now.Add([]time.Duration{0, 5, 10, 30, 60}[s.n(5)] * time.Second)
		w.printf("it is %d", w.now.Unix())
		w.queue = w.real.Expire(w.now)
		w.model.Expire(w.now)
	case 7:
		w.restart(s)
	default:
		w.request(s)
	}
	w.settle()
	w.checkState()
	if s.oneOf(2) {
		w.checkRest()
	}
}

// # Pools

func (w *world) setPools(s *source, p lb.Pool) {
	w.editPools(s, p)
	got, want := w.real.SetPools(w.pools), w.model.SetPools(w.pools)
	w.queue = got.Again
	losses := func(c PoolChange) (list []string) {
		for _, l := range c.Losses {
			list = append(list, fmt.Sprint(l.Service, " lost ", l.Address))
		}
		return list
	}
	w.same("losses", losses(got), losses(want))
	conflicts := func(c PoolChange) (list []string) {
		for _, x := range c.Conflicts {
			list = append(list, fmt.Sprint(x.Pool, " with ", x.With))
		}
		slices.Sort(list)
		return list
	}
	w.same("conflicts", conflicts(got), conflicts(want))
	w.noteMoved()
	for _, l := range got.Losses {
		d := w.shown[l.Service]
		d.Assignments = slices.DeleteFunc(slices.Clone(d.Assignments), func(x Assignment) bool { return x.Address == l.Address })
		w.shown[l.Service] = d
		if !slices.Contains(got.Again, l.Service) {
			w.fail("%s lost %s and is not decided again", l.Service, l.Address)
		}
		if w.listed[l.Address] && len(w.real.Holders(l.Address)) == 0 {
			w.fail("%s lost %s though a pool holds it", l.Service, l.Address)
		}
		if l.Message == "" {
			w.fail("%s is not told why it lost %s", l.Service, l.Address)
		}
	}
}

// editPools replaces a pool, or deletes it, and tells nobody.
func (w *world) editPools(s *source, p lb.Pool) {
	w.pools = slices.DeleteFunc(w.pools, func(q lb.Pool) bool { return q.Name == p.Name })
	if s.oneOf(8) {
		w.printf("pool %s goes", p.Name)
	} else {
		w.printf("pool %s", describePool(p))
		w.pools = append(w.pools, p)
	}
	w.listed = map[netip.Addr]bool{}
	for _, p := range w.pools {
		for _, addr := range w.model.listed(p) {
			w.listed[addr] = true
		}
	}
}

// noteMoved has those go first whose addresses are of other pools now, or of none.
func (w *world) noteMoved() {
	for key, d := range w.shown {
		for _, x := range d.Assignments {
			if of, _ := w.model.PoolOf(x.Address); of != x.Pool {
				w.first = append(w.first, key)
			}
		}
	}
}

func (w *world) randomPool(s *source) lb.Pool {
	p := lb.Pool{Name: fmt.Sprint("p", s.n(4))}
	for range 7 {
		change(&p, s)
	}
	if len(p.Ranges) == 0 {
		p.Ranges = []netipx.IPRange{randomRange(s, lb.IPv4), randomRange(s, lb.IPv6)}
	}
	return p
}

func (w *world) changedPool(s *source) lb.Pool {
	if len(w.pools) == 0 {
		return w.randomPool(s)
	}
	p := w.pools[s.n(len(w.pools))]
	switch s.n(8) {
	case 0: // a new name for the same addresses
		p.Name = fmt.Sprint("p", s.n(4))
	default:
		change(&p, s)
	}
	return p
}

// change changes one field of a pool.
func change(p *lb.Pool, s *source) {
	switch s.n(16) {
	case 0, 1:
		p.Ranges = []netipx.IPRange{randomRange(s, lb.IPv4), randomRange(s, lb.IPv6)}
	case 2:
		p.Ranges = []netipx.IPRange{randomRange(s, lb.Families[s.n(2)])}
	case 3:
		p.Ranges = append(slices.Clone(p.Ranges), randomRange(s, lb.Families[s.n(2)]))
	case 4:
		p.Excluded = nil
	case 5:
		p.Excluded = []netipx.IPRange{randomRange(s, lb.Families[s.n(2)])}
	case 6:
		p.Created = time.Unix(int64(s.n(3)), 0)
	case 7:
		p.AvoidBuggyIPs = !p.AvoidBuggyIPs
	case 8:
		p.OnRequest = s.oneOf(2)
	case 9:
		p.Disabled = s.oneOf(3)
	case 10:
		p.Priority = int32(s.n(3))
	case 11:
		p.Namespaces = [][]string{nil, {"n0"}, {"n1", "n2"}}[s.n(3)]
	case 12:
		p.NamespaceSelectors = [][]lb.Selector{nil, {label("env=live")}, {label("env=live"), label("env=test")}}[s.n(3)]
	case 13:
		p.ServiceSelectors = [][]lb.Selector{nil, {label("app=web")}}[s.n(2)]
	case 14:
		p.Quota = nil
		if n := s.n(4); n < 3 {
			p.Quota = &n
		}
	case 15:
		p.Retention = []time.Duration{0, 10, 60}[s.n(3)] * time.Second
	}
}

// label is a selector that wants one label.
type label string

func (l label) Matches(labels map[string]string) bool {
	name, value, _ := strings.Cut(string(l), "=")
	return labels[name] == value
}

func (l label) String() string { return string(l) }

func (w *world) relabel(s *source) {
	namespace := fmt.Sprint("n", s.n(3))
	labels := []map[string]string{nil, {"env": "test"}, {"env": "live"}}[s.n(3)]
	w.printf("namespace %s has labels %v", namespace, labels)
	w.labels[namespace] = labels
	for key, r := range w.requests {
		if key.Namespace == namespace {
			r.NamespaceLabels = labels
			w.requests[key] = r
		}
	}
	w.queue = w.real.Waiting(namespace)
	waiters := slices.DeleteFunc(w.model.waiters(), func(k lb.Key) bool { return k.Namespace != namespace })
	w.same("waiting", w.queue, waiters)
}

// # Services

func (w *world) key(s *source) lb.Key {
	i := s.n(12)
	return lb.Key{Namespace: fmt.Sprint("n", i%3), Name: fmt.Sprint("s", i/3)}
}

// request has a Service come, or ask for something else.
func (w *world) request(s *source) {
	key := w.key(s)
	r, known := w.requests[key]
	if !known {
		r = Request{Service: key, Families: v4, NamespaceLabels: w.labels[key.Namespace]}
		if s.oneOf(5) { // as out of a backup, or written by somebody else
			r.Current, r.Asked, r.Given = randomAddresses(s, 3), fmt.Sprint("p", s.n(5)), s.oneOf(2)
		}
		ask(&r, s)
	}
	ask(&r, s)
	w.printf("%s", describe(r))
	w.requests[key] = r
	if !known && s.oneOf(2) {
		w.admit(r)
	}
	w.queue = append(w.queue, key)
}

// admit makes a Service known with what its status shows.
func (w *world) admit(r Request) {
	if r.Hold { // how many addresses it asked for when it got them nobody knows
		r.Addresses = r.Current
	}
	r.Hold = true
	w.decide(r)
}

// ask changes one thing that a Service asks for.
func ask(r *Request, s *source) {
	switch s.n(16) {
	case 0, 1, 2:
		r.Families = [][]lb.Family{v4, v6, both, {lb.IPv6, lb.IPv4}}[s.n(4)]
	case 3, 4:
		r.Policy = lb.FamilyPolicy(s.n(3))
	case 5:
		r.Addresses = nil
	case 6, 7:
		r.Addresses = randomAddresses(s, 3)
	case 8:
		r.Pool = ""
	case 9:
		r.Pool = fmt.Sprint("p", s.n(5))
	case 10, 11:
		r.Sharing.Key = []string{"", "k1", "k2"}[s.n(3)]
	case 12, 13:
		r.Sharing.Ports = nil
		for n := uint16(80); n < 83; n++ {
			if s.oneOf(3) {
				r.Sharing.Ports = append(r.Sharing.Ports, lb.Port{Protocol: "TCP", Number: n})
			}
		}
		if s.oneOf(5) {
			r.Sharing.Backends = "app=web"
		} else {
			r.Sharing.Backends = ""
		}
	case 14:
		r.Labels = []map[string]string{nil, {"app": "web"}, {"app": "db"}}[s.n(3)]
	case 15:
		r.Hold = s.oneOf(3)
		r.KeyUnknown = r.Hold && s.oneOf(2)
	}
	if r.KeyUnknown {
		r.Sharing.Key, r.Sharing.Backends = "", ""
	}
}

func (w *world) release(s *source) {
	key := w.key(s)
	if s.oneOf(8) { // its status is to be read anew, and somebody has written to it meanwhile
		w.printf("%s is forgotten", key)
		w.queue = w.real.Forget(key)
		w.model.Forget(key)
		if r, known := w.requests[key]; known {
			r.Current, r.Asked, r.Given = edited(s, w.shows(key)), w.shown[key].Asked, false
			w.printf("%s", describe(r))
			w.requests[key] = r
			delete(w.shown, key)
			delete(w.sharing, key)
			w.admit(r)
			w.queue = append(w.queue, key)
		}
		return
	}
	w.printf("%s is gone", key)
	w.queue = w.real.Release(key, w.now)
	w.model.Release(key, w.now)
	delete(w.requests, key)
	delete(w.shown, key)
	delete(w.sharing, key)
}

// restart has another allocator take over from what pools and statuses show, as a new leader does. Nobody
// may notice, unless somebody wrote to the statuses or edited a pool meanwhile.
func (w *world) restart(s *source) {
	before, edit := maps.Clone(w.shown), s.oneOf(3)
	victims := []lb.Key{w.key(s), w.key(s)}
	order := slices.SortedFunc(maps.Keys(w.requests), byName)
	random := rand.New(rand.NewPCG(uint64(s.n(256)), 0))
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(x, y lb.Key) int { return onHold(w.requests[x]) - onHold(w.requests[y]) })
	var retained []Retained
	for _, p := range w.pools {
		retained = append(retained, w.real.Retained(p.Name)...)
	}
	poolEdit := s.oneOf(4)
	if poolEdit {
		w.editPools(s, w.changedPool(s))
	}
	w.printf("restart, adopting %v", order)
	if edit {
		clear(w.shown)
	}
	clear(w.sharing)
	w.real, w.model, w.usage = New(), newModel(), map[string]string{}
	w.real.SetPools(w.pools)
	w.model.SetPools(w.pools)
	w.noteMoved()
	for _, key := range order {
		r := w.requests[key]
		r.Current, r.Asked, r.Given = nil, before[key].Asked, given(before[key])
		for _, x := range before[key].Assignments {
			r.Current = append(r.Current, x.Address)
		}
		if edit && slices.Contains(victims, key) {
			r.Current = edited(s, r.Current)
			ask(&r, s)
			w.printf("%s", describe(r))
		}
		w.requests[key] = r
		if len(r.Current) > 0 {
			w.admit(r)
		}
	}
	w.real.Retain(retained)
	w.model.Retain(retained)
	for _, key := range order {
		w.decide(w.requests[key])
	}
	w.settle()
	switch {
	case poolEdit && !edit:
		w.checkLost(before)
	case !edit:
		w.checkRestart(before)
	}
}

// edited is what somebody made of addresses in a status.
func edited(s *source, list []netip.Addr) []netip.Addr {
	switch s.n(4) {
	case 1:
		return randomAddresses(s, 3)
	case 2:
		return append(slices.Clone(list), randomAddresses(s, 2)...)
	case 3:
		return slices.Concat(randomAddresses(s, 2), list)
	}
	return list
}

// shows returns the addresses in a Service's status.
func (w *world) shows(key lb.Key) (list []netip.Addr) {
	for _, x := range w.shown[key].Assignments {
		list = append(list, x.Address)
	}
	return list
}

// # Addresses

// nth is an address of the world: 192.0.1.248 to 192.0.2.7, 2001:db8::f8 to 2001:db8::107.
func nth(f lb.Family, i int) netip.Addr {
	i = min(i, 15) + 0xf8
	if f == lb.IPv4 {
		return netip.AddrFrom4([4]byte{192, 0, byte(1 + i>>8), byte(i)})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)})
}

func randomRange(s *source, f lb.Family) netipx.IPRange {
	from := s.n(16)
	return netipx.IPRangeFrom(nth(f, from), nth(f, from+s.n(5)))
}

func randomAddresses(s *source, most int) (list []netip.Addr) {
	for range 1 + s.n(most) {
		list = append(list, nth(lb.Families[s.n(2)], s.n(16)))
	}
	return list
}

func describePool(p lb.Pool) string {
	quota := -1
	if p.Quota != nil {
		quota = *p.Quota
	}
	return fmt.Sprintf("%s of %d: %v", p.Name, p.Created.Unix(), p.Ranges) + options(
		option{"excluded", p.Excluded, len(p.Excluded) > 0},
		option{"avoidBuggyIPs", true, p.AvoidBuggyIPs},
		option{"onRequest", true, p.OnRequest},
		option{"disabled", true, p.Disabled},
		option{"priority", p.Priority, p.Priority != 0},
		option{"namespaces", p.Namespaces, p.Namespaces != nil},
		option{"namespaceSelectors", p.NamespaceSelectors, p.NamespaceSelectors != nil},
		option{"serviceSelectors", p.ServiceSelectors, p.ServiceSelectors != nil},
		option{"quota", quota, p.Quota != nil},
		option{"retention", p.Retention, p.Retention != 0},
	)
}

func describe(r Request) string {
	return fmt.Sprint(r.Service, " asks for ", r.Families) + options(
		option{"policy", []string{"single", "prefer", "require"}[r.Policy], r.Policy != lb.SingleStack},
		option{"addresses", r.Addresses, len(r.Addresses) > 0},
		option{"pool", r.Pool, r.Pool != ""},
		option{"sharing", r.Sharing, r.Sharing.Key != ""},
		option{"labels", r.Labels, r.Labels != nil},
		option{"hold", true, r.Hold},
		option{"key unknown", true, r.KeyUnknown},
		option{"and shows", r.Current, len(r.Current) > 0},
		option{"as given", true, r.Given && len(r.Current) > 0},
	)
}

type option struct {
	name  string
	value any
	set   bool
}

func options(list ...option) (text string) {
	for _, o := range list {
		switch {
		case o.set && o.value == true:
			text += ", " + o.name
		case o.set:
			text += fmt.Sprintf(", %s %v", o.name, o.value)
		}
	}
	return text
}
