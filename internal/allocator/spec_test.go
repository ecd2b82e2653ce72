package allocator

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// The specification by example, for the allocator and for its model: what is done, and, behind "=>", who
// has what then. Addresses are those of 192.0.2.0/24 and 2001:db8::/120, without what they have in common.
//
//	pool NAME RANGE... [OPTION...]   comes or changes; the older is the one that came first
//	drop NAME
//	NAME [4|6|46|64] [OPTION...]     a Service asks for this
//	gone NAME
//	after DURATION
//	meanwhile ...                    a pool or a request changes, and nobody is told: a restart follows
//	restart                          from what pools and statuses show
//
// A Service that waits has a question mark; what it is refused for follows its addresses. "x .1@a, y? PoolExhausted".
var specification = []struct{ name, script string }{
	// pools
	{"gives the lowest address of the first pool by name", "pool b .1; pool a .8-.9; x; y; z => x .8@a, y .9@a, z .1@b"},
	{"gives what several pools list to the oldest", "pool b .1-.2; pool a .1-.3; x pool=a; y pool=b => x .3@a, y .1@b"},
	{"gives no excluded address", "pool a .1-.3 exclude=.1-.2; x; y => x .3@a, y? PoolExhausted"},
	{"gives no address that ends in 0 or 255 if the pool avoids them", "pool a .0-.1 avoid; x; y => x .1@a, y? PoolExhausted"},
	{"refuses a withheld address", "pool a .0-.1 avoid; x ip=.0 => x? AddressWithheld"},
	{"leaves an address that comes to be withheld to who has it", "pool a .0-.1; x; pool a .0-.1 avoid; x; => x .0@a"},
	{"gives those with a small priority first, and those with none last", "pool a .1; pool b .2 priority=2; pool c .3 priority=1; x; y; z => x .3@c, y .2@b, z .1@a"},
	{"gives those for certain Services before those for all", "pool a .1 priority=1; pool b .2 ns=default; x; y => x .2@b, y .1@a"},
	{"keeps to the namespaces of a pool", "pool a .1 ns=team; x => x? NotSelected; x ns=team => x? NotSelected, team/x .1@a"},
	{"keeps to the selector of namespaces", "pool a .1 nssel=env=live; x; y nslabel=env=live => x? NotSelected, y .1@a"},
	{"takes names and selectors of namespaces for alternatives", "pool a .1-.2 ns=team nssel=env=live; x ns=team; y nslabel=env=live => y .2@a, team/x .1@a"},
	{"keeps to the selector of Services", "pool a .1 sel=app=web; x; y label=app=web => x? NotSelected, y .1@a"},
	{"serves on request only who asks for the pool", "pool a .1 onrequest; x; y pool=a => x? OnRequestOnly, y .1@a"},
	{"serves on request only who asks for the address", "pool a .1-.2 onrequest; x ip=.2 => x .2@a"},
	{"gives nothing of a disabled pool, and leaves what is given", "pool a .1-.9; x; pool a .1-.9 disabled; y; z ip=.3 => x .1@a, y? PoolDisabled, z? PoolDisabled"},
	{"has a rule that comes later take nothing away", "pool a .1; x; pool a .1 ns=team; x => x .1@a"},
	{"says what is nearest to success", "pool a .1 ns=team; pool b .2 onrequest; pool c ::3; x; y pool=c => x? OnRequestOnly, y? NoAddressOfFamily"},
	{"says that there is no pool", "x; y pool=a => x? NoPool, y? NoPool"},
	{"gives a namespace no more than its quota", "pool a .1-.9 quota=1; x; y; z ns=team => x .1@a, y? QuotaExceeded, team/z .2@a"},
	// what is asked for
	{"gives the requested address, once", "pool a .1-.9; x ip=.5; y ip=.5 => x .5@a, y? AddressInUse"},
	{"refuses an address of no pool", "pool a .1; x ip=.2 => x? AddressNotInPool"},
	{"refuses an address of another pool than the one asked for", "pool a .1; pool b .2; x ip=.1 pool=b => x? AddressNotInPool"},
	{"gives several addresses of a family, in the order in which they are asked for", "pool a .1-.9; x ip=.5,.2 => x .5@a .2@a"},
	{"gives an address of a family that none is asked for of", "pool a .1-.9 ::1; x 64 ip=.5 => x ::1@a .5@a"},
	{"contradicts who asks for an address of a family that it does not have", "pool a .1 ::1; x 4 ip=::1 => x? InvalidRequest"},
	{"moves to the requested address when that can be had", "pool a .1-.9; x; x ip=.5 => x .5@a"},
	{"keeps what it has when another is requested in vain", "pool a .1-.9; x; x ip=.99 => x? .1@a AddressNotInPool"},
	{"keeps no more than places are open", "pool a .1-.9; x ip=.1,.2; x ip=.1,.99; => x? .1@a .2@a AddressNotInPool; x ip=.99; => x? .1@a AddressNotInPool"},
	{"moves to the requested pool", "pool a .1; pool b .2; x; x pool=b => x .2@b"},
	{"keeps what it has when it asks for a pool that can give nothing", "pool a .1; pool b .2; x; y; x pool=b => x? .1@a PoolExhausted, y .2@b"},
	{"moves from one address to another within its quota", "pool a .1-.9 quota=1; x; x ip=.5 => x .5@a"},
	{"changes its family within its quota", "pool a .1 ::1 quota=1; x 4; x 6 => x ::1@a"},
	// families
	{"gives both families, from two pools if need be", "pool a .1; pool b ::1; x 64 require => x ::1@b .1@a"},
	{"gives nothing if both are required and one cannot be had", "pool a .1-.2; x 46 require; y => x? NoAddressOfFamily, y .1@a"},
	{"gives one if two are preferred, and waits for the other", "pool a .1; x 46 prefer => x .1@a NoAddressOfFamily; pool a .1 ::1 => x .1@a ::1@a"},
	{"gives one if two are listed and one cannot be had, and is not satisfied", "pool a .1; x 46 => x? .1@a NoAddressOfFamily"},
	{"is satisfied with one of two that are preferred from one pool", "pool a .1; x 46 prefer pool=a => x .1@a NoAddressOfFamily"},
	{"is not satisfied with one of two that are preferred if it insists on it", "pool a .1; x 46 prefer ip=.1 => x? .1@a NoAddressOfFamily"},
	{"keeps of a family no more than is asked for while it requires another", "pool a .1-.9 ::1; x 46 require ip=.1,.2; pool a .1-.9; " +
		"x 46 require ip=.1 => x? .1@a NoAddressOfFamily"},
	{"keeps what it had when it comes to require what cannot be had", "pool a .1; x; x 46 require => x? .1@a NoAddressOfFamily"},
	{"takes back the address of a family that is not listed any more", "pool a .1 ::1; x 46; x 4; y 6 => x .1@a, y ::1@a"},
	// sharing
	{"shares an address among those of one key", "pool a .1-.9; x key=k port=80; y key=k port=81 => x .1@a, y .1@a"},
	{"shares the lowest of several", "pool a .1-.9; x key=k port=80 ip=.5; y key=k port=80 ip=.4; z key=k port=81 => x .5@a, y .4@a, z .4@a"},
	{"shares with nobody who has another key", "pool a .1-.9; x key=k port=80; y key=l port=81 => x .1@a, y .2@a"},
	{"shares no port", "pool a .1; x key=k port=80; y key=k port=80 => x .1@a, y? PoolExhausted"},
	{"shares with nobody who has other Pods", "pool a .1-.9; x key=k port=80 backends=a; y key=k port=81 => x .1@a, y .2@a"},
	{"shares a requested address", "pool a .1-.9; x key=k port=80 ip=.5; y key=k port=81 ip=.5 => x .5@a, y .5@a"},
	{"takes an address from who comes to clash", "pool a .1-.9; x key=k port=80; y key=k port=81; y key=k port=80 => x .1@a, y .2@a"},
	{"ends the wait of who can share since another's ports changed", "pool a .1; x key=k port=80; y key=k port=80; x key=k port=81 => x .1@a, y .1@a"},
	{"counts a shared address once in a quota", "pool a .1-.9 quota=1; x key=k port=80; y key=k port=81; z => x .1@a, y .1@a, z? QuotaExceeded"},
	{"ends the wait of who can share what another gets", "pool a .1 quota=1; x key=k port=80; y key=k port=80; w key=k port=81 ns=team; gone x => y .1@a, team/w .1@a"},
	{"ends the wait of who can share what another shows", "pool a .1-.2 quota=0; x key=k port=80; y ns=team key=k port=81 shows=.1 => x? QuotaExceeded, team/y .1@a"},
	// retention
	{"keeps the address of who is gone for its return", "pool a .1-.9 retention=60s; x; gone x; y; => y .2@a (.1 for x); x; => x .1@a, y .2@a"},
	{"gives another what waits for one", "pool a .1-.2 retention=60s; x; gone x; y; z => y .2@a, z .1@a"},
	{"gives up first what would be free first", "pool a .1-.2 retention=60s; x; y; gone y; after 5s; gone x; z => z .2@a (.1 for x)"},
	{"refuses an address that waits for another", "pool a .1-.9 retention=60s; x; gone x; y ip=.1 => y? AddressRetained (.1 for x)"},
	{"lets the requested address go when its time is over", "pool a .1-.9 retention=60s; x; gone x; y ip=.1; after 59s; => y? AddressRetained (.1 for x); after 1s => y .1@a"},
	{"does not keep what others share", "pool a .1-.9 retention=60s; x key=k port=80; y key=k port=81; gone x => y .1@a"},
	{"frees what waits for who comes back for another", "pool a .1-.9 retention=60s; x; gone x; x ip=.5; y => x .5@a, y .1@a"},
	{"ends all waits when the pool retains nothing any more", "pool a .1-.9 retention=60s; x; gone x; pool a .1-.9; y => y .1@a"},
	{"moves the end of the waits with the retention", "pool a .1-.9 retention=60s; x; gone x; pool a .1-.9 retention=30s; after 29s; => (.1 for x); after 1s; y => y .1@a"},
	{"keeps what waits over a restart", "pool a .1-.9 retention=60s; x; gone x; restart; y; x => x .1@a, y .2@a"},
	// pools under living Services
	{"keeps an address that moves to another pool", "pool a .1-.9; x; pool b .1-.9; drop a => x .1@b"},
	{"keeps it for who asked for the first pool", "pool a .1-.9; x pool=a; pool b .1-.9; drop a; x pool=a => x .1@b"},
	{"takes an address that no pool holds any more, and gives another", "pool a .1-.9; x; pool a .5-.9 => x .5@a"},
	{"gives a lost address back when it is there again", "pool a .1-.9; x ip=.5; drop a; x => x? NoPool; pool a .1-.9 => x .5@a"},
	{"ends the wait when a pool grows", "pool a .1; x; y; pool a .1-.2 => x .1@a, y .2@a"},
	{"ends the wait of the first who waits", "pool a .1; x; z; y; gone x => y? PoolExhausted, z .1@a"},
	{"lets pass who is helped by what another waits for in vain", "pool a .1 ::1; x 46; y 46 require; z 4; x 6 => x ::1@a, y? PoolExhausted, z .1@a"},
	{"gives a lost address back that another shares by now", "pool b .4-.5; z pool=b ip=.4 key=k port=80; x pool=b key=k port=80; " +
		"y pool=b ip=.5 key=k port=81; y pool=b key=k port=81; drop b; pool b .4-.5 => x .5@b, y .5@b, z .4@b"},
	{"lets both families wait for room in one quota", "pool a .1 ::1 quota=0; x 46; pool a .1 ::1 => x .1@a ::1@a"},
	// what is shown and not known
	{"keeps what the status shows", "pool a .1-.9; x shows=.7; y => x .7@a, y .1@a"},
	{"keeps what the status shows against the rules of today", "pool a .1-.9 disabled ns=team quota=0; x shows=.7 => x .7@a"},
	{"gives nobody's address to who shows it too", "pool a .1-.9; x; y shows=.1 => x .1@a, y .2@a"},
	{"leaves in its place what no pool holds", "pool a .1-.9; x shows=.99 => x? .99@ NotAdopted"},
	{"serves it when a pool does", "pool a .1; x shows=.99; pool a .1 .99 => x .99@a"},
	{"replaces it when another is asked for", "pool a .1-.9; x shows=.99; x ip=.5 => x .5@a"},
	{"keeps what a pool holds rather than what none does", "pool a .1-.9; x shows=.99,.5 => x .5@a"},
	{"keeps its own rather than go without for what is another's", "pool a .1-.9; x; y shows=.1,.5 => x .1@a, y .5@a"},
	{"keeps what works rather than what does not, of more than it may keep", "pool a .5; x ip=.7,.8 shows=.99,.5; " +
		"=> x? .99@ .5@a AddressNotInPool; x ip=.7 => x? .5@a AddressNotInPool"},
	{"keeps what another load balancer gave, whatever pool is asked for", "pool a .1; pool b .2; x pool=b asked=b shows=.1 => x .1@a"},
	{"moves to the pool that was asked for while nobody decided", "pool a .1; pool b .2; x pool=a; meanwhile x pool=b; restart => x .2@b"},
	{"moves to a pool that was asked for for the first time while nobody decided", "pool a .1; pool b .2; x; meanwhile x pool=b; restart => x .2@b"},
	{"keeps what moved to another pool, over a restart", "pool a .1-.9; x pool=a; pool b .1-.4; pool a .5-.9; restart => x .1@b"},
	{"keeps what moved to another pool while nobody decided", "pool a .1-.9; x pool=a; meanwhile pool b .1-.4; meanwhile pool a .5-.9; restart => x .1@b"},
	{"waits on for another pool after a restart", "pool a .1; pool b .2; x; y; x pool=b; restart => x? .1@a PoolExhausted, y .2@b; gone y => x .2@b"},
	{"takes what was given and no pool holds since nobody decided, and gives another", "pool a .1-.9; x; y; meanwhile pool a .2-.9; restart => x .3@a, y .2@a"},
	{"takes it from who asks for it, too", "pool a .1-.9; x ip=.1; meanwhile pool a .2-.9; restart => x? AddressNotInPool; pool a .1-.9 => x .1@a"},
	{"takes of two families the one that no pool holds since", "pool a .1 ::1; x 46; meanwhile pool a .1; restart => x? .1@a NoAddressOfFamily"},
	{"gives back what was lost while nobody decided", "pool a .1-.9; pool b ::1; y; x; meanwhile drop a; restart => " +
		"x? NoAddressOfFamily, y? NoAddressOfFamily; gone y; pool a .1-.9 => x .2@a"},
	{"takes nothing over a restart while there is no pool at all", "pool a .1; x; meanwhile drop a; restart => x? .1@ NotAdopted; pool a .1-.9 => x .1@a"},
	{"leaves in its place over a restart what no pool ever held", "pool a .1-.9; x shows=.99; restart => x? .99@ NotAdopted"},
	{"believes no status that is edited while it knows better", "pool a .1-.9; x; x shows=.7 => x .1@a"},
	{"changes nothing by a restart", "pool a .1-.9 ::1; x 46 prefer; y key=k port=80; z key=k port=81; w ip=.7,.5; v ip=.7; restart => " +
		"v? AddressInUse, w .7@a .5@a, x .1@a ::1@a, y .2@a, z .2@a"},
	{"leaves who shares with one whose key cannot be read alone, over a restart", "pool a .1-.9; x key=k port=80; y key=k port=81; " +
		"x port=80 unreadable; restart => x? .1@a, y .1@a; z key=k port=82; w key=k port=80 => w .2@a, x? .1@a, y .1@a, z .1@a"},
	{"takes it from the one whose key cannot be read, if they have a port in common by then", "pool a .1-.9; x key=k port=80; y key=k port=81; " +
		"x port=80 unreadable; meanwhile y key=k port=80; restart => x?, y .1@a"},
	{"gives nothing new to who is on hold, and takes nothing", "pool a .1-.9 ::1; x hold; y; y 46 hold => x?, y? .1@a; x => x .2@a, y? .1@a"},
}

func TestSpecification(t *testing.T) {
	for name, start := range map[string]func() subject{
		"allocator": func() subject { return New() },
		"model":     func() subject { return &eagerModel{newModel()} },
	} {
		t.Run(name, func(t *testing.T) {
			for _, tt := range specification {
				t.Run(tt.name, func(t *testing.T) {
					s := script{t: t, start: start, subject: start(), requests: map[lb.Key]Request{}, last: map[lb.Key]Decision{}}
					for _, step := range strings.Split(tt.script, ";") {
						do, want, checks := strings.Cut(step, "=>")
						s.do(strings.Fields(do))
						if got := s.state(); checks && got != strings.TrimSpace(want) {
							t.Fatalf("after %q\ngot  %s\nwant %s", do, got, strings.TrimSpace(want))
						}
					}
				})
			}
		})
	}
}

// subject is what both the allocator and its model do.
type subject interface {
	SetPools([]lb.Pool) PoolChange
	Decide(Request) Decision
	Release(lb.Key, time.Time) []lb.Key
	Expire(time.Time) []lb.Key
	Retain([]Retained)
	Retained(string) []Retained
}

// eagerModel names all that wait whenever anything is done.
type eagerModel struct{ *model }

func (m *eagerModel) SetPools(pools []lb.Pool) PoolChange {
	change := m.model.SetPools(pools)
	change.Again = append(slices.SortedFunc(maps.Keys(m.services), byName), m.waiters()...)
	return change
}

func (m *eagerModel) Decide(r Request) Decision {
	before := fmt.Sprint(m.services[r.Service])
	d := m.model.Decide(r)
	if fmt.Sprint(m.services[r.Service]) != before {
		d.Again = m.waiters()
	}
	return d
}

func (m *eagerModel) Release(key lb.Key, now time.Time) []lb.Key {
	m.model.Release(key, now)
	return m.waiters()
}

func (m *eagerModel) Expire(now time.Time) []lb.Key {
	m.model.Expire(now)
	return m.waiters()
}

// script runs the lines of an example.
type script struct {
	t     *testing.T
	start func() subject
	subject
	pools    []lb.Pool
	requests map[lb.Key]Request
	last     map[lb.Key]Decision
	now      time.Duration
	away     bool // nobody is told of what changes
}

func (s *script) do(words []string) {
	if len(words) == 0 {
		return
	}
	now := time.Unix(0, 0).Add(s.now)
	switch words[0] {
	case "pool":
		p := lb.Pool{Name: words[1], Created: time.Unix(int64(len(s.pools)), 0)}
		i := slices.IndexFunc(s.pools, func(q lb.Pool) bool { return q.Name == p.Name })
		if i >= 0 {
			p.Created = s.pools[i].Created
			s.pools = slices.Delete(slices.Clone(s.pools), i, i+1)
		}
		s.pools = append(slices.Clone(s.pools), s.poolOf(p, words[2:]))
		s.change()
	case "meanwhile":
		s.away = true
		s.do(words[1:])
	case "drop":
		s.pools = slices.DeleteFunc(slices.Clone(s.pools), func(q lb.Pool) bool { return q.Name == words[1] })
		s.change()
	case "gone":
		delete(s.requests, key(words[1]))
		delete(s.last, key(words[1]))
		s.settle(s.Release(key(words[1]), now))
	case "after":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now += d
		s.settle(s.Expire(now.Add(d)))
	case "restart":
		var retained []Retained
		for _, p := range s.pools {
			retained = append(retained, s.Retained(p.Name)...)
		}
		s.subject, s.away = s.start(), false
		s.SetPools(s.pools)
		keys := slices.SortedFunc(maps.Keys(s.requests), byName)
		slices.SortStableFunc(keys, func(x, y lb.Key) int { return onHold(s.requests[x]) - onHold(s.requests[y]) })
		for _, k := range keys {
			r := s.requests[k]
			r.Hold, r.Current, r.Asked, r.Given = true, nil, s.last[k].Asked, given(s.last[k])
			for _, x := range s.last[k].Assignments {
				r.Current = append(r.Current, x.Address)
			}
			s.Decide(r)
		}
		s.Retain(retained)
		s.settle(keys)
	default:
		r := s.request(words)
		s.requests[r.Service] = r
		s.settle([]lb.Key{r.Service})
	}
}

// onHold is 1 for who adopts after the others what it shows, so that nobody else loses by what it asks for.
func onHold(r Request) int {
	if r.Hold {
		return 1
	}
	return 0
}

// change tells of the pools.
func (s *script) change() {
	if !s.away {
		s.settle(s.SetPools(s.pools).Again)
	}
}

func (s *script) settle(queue []lb.Key) {
	for rounds := 0; len(queue) > 0 && !s.away; rounds++ {
		if rounds > 1000 {
			s.t.Fatal("the same Services are decided again and again")
		}
		r := s.requests[queue[0]]
		d := s.Decide(r)
		s.last[r.Service] = d
		queue = append(queue[1:], d.Again...)
	}
}

func (s *script) poolOf(p lb.Pool, words []string) lb.Pool {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "exclude":
			p.Excluded = append(p.Excluded, s.parse(value))
		case "avoid":
			p.AvoidBuggyIPs = true
		case "onrequest":
			p.OnRequest = true
		case "disabled":
			p.Disabled = true
		case "priority":
			n, _ := strconv.Atoi(value)
			p.Priority = int32(n)
		case "ns":
			p.Namespaces = append(p.Namespaces, value)
		case "nssel":
			p.NamespaceSelectors = append(p.NamespaceSelectors, label(value))
		case "sel":
			p.ServiceSelectors = append(p.ServiceSelectors, label(value))
		case "quota":
			n, _ := strconv.Atoi(value)
			p.Quota = &n
		case "retention":
			p.Retention, _ = time.ParseDuration(value)
		default:
			p.Ranges = append(p.Ranges, s.parse(word))
		}
	}
	return p
}

func (s *script) request(words []string) Request {
	r := Request{Service: key(words[0]), Families: v4}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "4", "6", "46", "64":
			r.Families = map[string][]lb.Family{"4": v4, "6": v6, "46": both, "64": {lb.IPv6, lb.IPv4}}[name]
		case "prefer":
			r.Policy = lb.PreferDualStack
		case "require":
			r.Policy = lb.RequireDualStack
		case "ip", "shows":
			for _, text := range strings.Split(value, ",") {
				if addr := s.parse(text).From(); name == "ip" {
					r.Addresses = append(r.Addresses, addr)
				} else {
					r.Current = append(r.Current, addr)
				}
			}
		case "pool":
			r.Pool = value
		case "asked":
			r.Asked = value
		case "ns":
			r.Service.Namespace = value
		case "key":
			r.Sharing.Key = value
		case "port":
			n, _ := strconv.Atoi(value)
			r.Sharing.Ports = append(r.Sharing.Ports, lb.Port{Protocol: "TCP", Number: uint16(n)})
		case "backends":
			r.Sharing.Backends = value
		case "label":
			k, v, _ := strings.Cut(value, "=")
			r.Labels = map[string]string{k: v}
		case "nslabel":
			k, v, _ := strings.Cut(value, "=")
			r.NamespaceLabels = map[string]string{k: v}
		case "hold":
			r.Hold = true
		case "unreadable": // the sharing key
			r.Hold, r.KeyUnknown = true, true
		default:
			s.t.Fatalf("what is %q?", word)
		}
	}
	return r
}

// parse reads an address or a range without what all have in common.
func (s *script) parse(text string) netipx.IPRange {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	long := func(short string) netip.Addr {
		if strings.HasPrefix(short, ".") {
			return netip.MustParseAddr("192.0.2" + short)
		}
		return netip.MustParseAddr("2001:db8" + short)
	}
	return netipx.IPRangeFrom(long(first), long(last))
}

// state tells who has what, and what waits for whom.
func (s *script) state() string {
	short := func(addr netip.Addr) string {
		return strings.TrimPrefix(strings.TrimPrefix(addr.String(), "192.0.2"), "2001:db8")
	}
	name := func(k lb.Key) string { return strings.TrimPrefix(k.String(), "default/") }
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(s.last), byName) {
		d := s.last[k]
		text := name(k)
		if !d.Satisfied {
			text += "?"
		}
		for _, x := range d.Assignments {
			text += " " + short(x.Address) + "@" + x.Pool
		}
		for _, reason := range reasons(d) {
			text += " " + string(reason)
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	for _, p := range s.pools {
		for _, r := range s.Retained(p.Name) {
			text += fmt.Sprintf(" (%s for %s)", short(r.Address), name(r.Service))
		}
	}
	return strings.TrimSpace(text)
}
