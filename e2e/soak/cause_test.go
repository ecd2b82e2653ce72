package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
)

// What happens to an address or to a request needs a cause that the design knows: people asked for it, at that time, of
// that node. All else counts against Fairlead, unless the machine itself stood still.

// kind is what happened.
type kind string

const (
	moved   kind = "another node answers for an address" // on the wire
	doubled kind = "two nodes answer for an address"
	silent  kind = "no node answers for an address"
	told    kind = "a speaker says that it took an address over as people asked"
	lost    kind = "a speaker says that it took an address over for a reason of its own"
	changed kind = "a Service has another address"
	broken  kind = "an established connection broke"
	failed  kind = "a new connection failed"
	late    kind = "what people asked for did not come in time"
)

// happening is something that happened to an address, between two moments.
type happening struct {
	kind     kind
	way      string // by which clients come: fleet.OnSegment and so on
	address  netip.Addr
	subject  string // the Service whose address changed
	node     string // whose the address was, or through which the connection went; empty if nobody knows
	from, to time.Time
	why      string
}

func (h happening) String() string {
	return fmt.Sprintf("%s %s: %s (%s, %s) %s", h.from.Format("15:04:05.000"), h.to.Format("15:04:05.000"), h.kind, h.address, h.node, h.why)
}

// cause is a time in which people have asked for something that clients may notice.
type cause struct {
	what     string
	kinds    []kind    // what it may do; all but changed, lost and late if nil
	ways     []string  // to whom; all if nil
	node     string    // the one that is asked; any if empty
	subject  string    // the Service, for changed
	outage   bool      // new connections fail as long as it lasts, and not only those that are under way in one moment
	from, to time.Time // to is zero while it lasts
}

// under tells whether this is among what the cause may do. A new connection fails only in the moment of a change, if it
// is under way just then: one for each address, which is what taken counts.
func (c cause) under(h happening) bool {
	if c.ways != nil && !slices.Contains(c.ways, h.way) || c.subject != h.subject {
		return false
	}
	if c.kinds != nil && !slices.Contains(c.kinds, h.kind) || c.kinds == nil && (h.kind == changed || h.kind == lost || h.kind == late) {
		return false
	}
	// Routers spread the connections anew over the next hops that are left, others' as well (docs/bgp.md, Limits), so
	// that of theirs the node says nothing.
	if c.node != "" && h.node != "" && c.node != h.node && (h.way == fleet.OnSegment || h.way == "") {
		return false
	}
	end := c.to
	if h.kind == changed {
		end = end.Add(seen)
	}
	return h.to.After(c.from) && (c.to.IsZero() || h.from.Before(end))
}

// seen is within what who watches Services sees a change after who asked for it did: the API server may be restarted
// between.
const seen = 10 * time.Second

// stall is a time in which the machine did nothing: a request that goes past Fairlead was not answered either, or a
// processor did not run what was next on it.
type stall struct{ from, to time.Time }

// before and after are how far from a stall something may happen and still come from it: what was missed takes a while to
// show. Of one that takes two intervals of BFD or more a router's session may be lost, which costs a BGP session, which takes
// seconds to come back.
const (
	before, after = time.Second, time.Second
	long          = 2 * bfdInterval
	afterLong     = 5 * time.Second
)

// around is the time near a stall.
func (s stall) around() stall {
	if s.to.Sub(s.from) >= long {
		return stall{s.from.Add(-before), s.to.Add(afterLong)}
	}
	return stall{s.from.Add(-before), s.to.Add(after)}
}

func (s stall) near(h happening) bool {
	a := s.around()
	return h.to.After(a.from) && h.from.Before(a.to)
}

// rows are stalls in the order of time, those that follow each other within an interval of BFD as one.
func rows(list []stall) []stall { return join(list, bfdInterval) }

// join returns stalls in the order of time, those with no more than a gap between them as one.
func join(list []stall, gap time.Duration) (joined []stall) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b stall) int { return a.from.Compare(b.from) })
	for _, s := range list {
		if n := len(joined); n > 0 && !s.from.After(joined[n-1].to.Add(gap)) {
			if s.to.After(joined[n-1].to) {
				joined[n-1].to = s.to
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// around is how much time is near one of some stalls.
func around(list []stall) time.Duration {
	wide := rows(list)
	for i, s := range wide {
		wide[i] = s.around()
	}
	_, total := standstills(wide)
	return total
}

// verdict on what happened.
type verdict struct {
	planned map[kind]int
	outage  int         // connections that failed while an outage lasted
	stalled []happening // the machine stood still
	faults  []happening // nothing explains them
}

// judge explains what happened by its causes. The order of what is given to it does not matter.
func judge(list []happening, causes []cause, stalls []stall) verdict {
	v := verdict{planned: map[kind]int{}}
	stalls = rows(stalls)
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b happening) int { return a.from.Compare(b.from) })
	type use struct {
		cause   int
		way     string
		address netip.Addr
	}
	used := map[use]bool{}
	explain := func(h happening) (explained, outage bool) {
		if h.kind == failed && slices.ContainsFunc(causes, func(c cause) bool { return c.outage && c.under(h) }) {
			return true, true
		}
		for i, c := range causes {
			if u := (use{i, h.way, h.address}); c.under(h) && (h.kind != failed || !used[u]) {
				used[u] = used[u] || h.kind == failed // who is established takes nothing from who is not
				return true, false
			}
		}
		return false, false
	}
	for _, h := range list {
		explained, outage := explain(h)
		switch {
		case outage:
			v.outage++
		case explained:
			v.planned[h.kind]++
		case slices.ContainsFunc(stalls, func(s stall) bool { return s.near(h) }):
			v.stalled = append(v.stalled, h)
		default:
			v.faults = append(v.faults, h)
		}
	}
	return v
}

// standstills are the times in which the machine stood still, those that overlap as one, and how long that was.
func standstills(list []stall) (n int, total time.Duration) {
	list = join(list, 0)
	for _, s := range list {
		total += s.to.Sub(s.from)
	}
	return len(list), total
}

// near are the causes about the time of something, for who has to find out why.
func near(h happening, causes []cause) (list []string) {
	const about = 15 * time.Second
	for _, c := range causes {
		if h.to.Add(about).After(c.from) && (c.to.IsZero() || h.from.Add(-about).Before(c.to)) {
			list = append(list, fmt.Sprintf("%s from %s to %s", c.what, c.from.Format("15:04:05.000"), c.to.Format("15:04:05.000")))
		}
	}
	return list
}

// diary collects causes and happenings while they come.
type diary struct {
	mu         sync.Mutex
	causes     []cause
	happenings []happening
	stalls     []stall
}

// begin notes a cause and returns what ends it.
func (d *diary) begin(c cause) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.from = time.Now()
	d.causes = append(d.causes, c)
	i := len(d.causes) - 1
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.causes[i].to = time.Now()
	}
}

func (d *diary) note(h happening) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.happenings = append(d.happenings, h)
}

func (d *diary) stood(s stall) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stalls = append(d.stalls, s)
}

// stoodStill tells whether the machine did, when something happened.
func (d *diary) stoodStill(h happening) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(rows(d.stalls), func(s stall) bool { return s.near(h) })
}

func (d *diary) judge() verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	return judge(d.happenings, d.causes, d.stalls)
}

func TestJudge(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	a, b := netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("192.0.2.201")
	drained := cause{what: "node1 drained", node: "node1", from: at(10), to: at(12)}
	happened := func(k kind, way, node string, from, to float64) happening {
		return happening{kind: k, way: way, address: a, node: node, from: at(from), to: at(to)}
	}
	for _, test := range []struct {
		name   string
		list   []happening
		causes []cause
		stalls []stall
		want   string // planned, stalled, faults
	}{
		{"a move away from a drained node is planned", []happening{happened(moved, fleet.OnSegment, "node1", 10.5, 11)}, []cause{drained}, nil, "1 0 0"},
		{"a move away from another node is not", []happening{happened(moved, fleet.OnSegment, "node2", 10.5, 11)}, []cause{drained}, nil, "0 0 1"},
		{"a connection under way fails, and one that was established had broken", []happening{happened(broken, fleet.OnSegment, "node1", 9.5, 10.3), happened(failed, fleet.OnSegment, "", 10.1, 10.2)}, []cause{drained}, nil, "2 0 0"},
		{"a move before the drain is not", []happening{happened(moved, fleet.OnSegment, "node1", 9, 9.5)}, []cause{drained}, nil, "0 0 1"},
		{"a move after it is not", []happening{happened(moved, fleet.OnSegment, "node1", 13, 13.5)}, []cause{drained}, nil, "0 0 1"},
		{"a move while the drain lasts is planned", []happening{happened(moved, fleet.OnSegment, "node1", 50, 51)}, []cause{{node: "node1", from: at(10)}}, nil, "1 0 0"},
		{"a router spreads the connections through other nodes anew", []happening{happened(broken, fleet.WithBFD, "node2", 10.5, 11)}, []cause{drained}, nil, "1 0 0"},
		{"one new connection may be under way, in each address", []happening{
			happened(failed, fleet.OnSegment, "", 10.5, 11.5), {kind: failed, way: fleet.OnSegment, address: b, from: at(10.5), to: at(11.5)},
		}, []cause{drained}, nil, "2 0 0"},
		{"a second one may not", []happening{happened(failed, fleet.OnSegment, "", 10.5, 11.5), happened(failed, fleet.OnSegment, "", 10.6, 11.6)}, []cause{drained}, nil, "1 0 1"},
		{"a new connection fails without a cause", []happening{happened(failed, fleet.OnSegment, "", 20, 21)}, []cause{drained}, nil, "0 0 1"},
		{"the machine stood still", []happening{happened(failed, fleet.OnSegment, "", 20, 21)}, nil, []stall{{at(20.3), at(20.9)}}, "0 1 0"},
		{"it stood still just before", []happening{happened(failed, fleet.WithBFD, "", 20, 21)}, nil, []stall{{at(16), at(17)}}, "0 1 0"},
		{"it stood still just before, for too short a time to lose a router's session", []happening{happened(failed, fleet.WithBFD, "", 20, 21)}, nil, []stall{{at(16.6), at(17)}}, "0 0 1"},
		{"it stood still just before, again and again", []happening{happened(failed, fleet.WithBFD, "", 20, 21)}, nil, []stall{{at(16.6), at(17)}, {at(16.2), at(16.4)}}, "0 1 0"},
		{"it stood still long before", []happening{happened(failed, fleet.OnSegment, "", 20, 21)}, nil, []stall{{at(13), at(14)}}, "0 0 1"},
		{"it stood still later", []happening{happened(failed, fleet.OnSegment, "", 20, 21)}, nil, []stall{{at(23), at(24)}}, "0 0 1"},
		{"more may in an outage", []happening{happened(failed, fleet.Graceful, "", 10.5, 11.5), happened(failed, fleet.Graceful, "", 10.6, 11.6)},
			[]cause{{outage: true, from: at(9)}}, nil, "2 0 0"},
		{"more may in an outage that comes after another cause", []happening{happened(failed, fleet.WithBFD, "", 10.5, 11.5), happened(failed, fleet.WithBFD, "", 10.6, 11.6)},
			[]cause{{from: at(9)}, {outage: true, from: at(10)}}, nil, "2 0 0"},
		{"each cause has one under way", []happening{happened(failed, fleet.WithBFD, "", 10.5, 11.5), happened(failed, fleet.WithBFD, "", 10.6, 11.6), happened(failed, fleet.WithBFD, "", 10.7, 11.7)},
			[]cause{{from: at(9)}, {from: at(10)}}, nil, "2 0 1"},
		{"a cause of one kind is not another's", []happening{happened(moved, fleet.OnSegment, "node1", 10, 11)}, []cause{{kinds: []kind{broken}, from: at(9)}}, nil, "0 0 1"},
		{"no cause explains a node that was taken for lost", []happening{{kind: lost, from: at(11), to: at(11.1)}}, []cause{drained}, nil, "0 0 1"},
		{"an edited Service changes its address", []happening{{kind: changed, subject: "a", from: at(10), to: at(10.1)}}, []cause{{subject: "a", kinds: []kind{changed}, from: at(9)}}, nil, "1 0 0"},
		{"and is seen to a moment later", []happening{{kind: changed, subject: "a", from: at(10), to: at(10.1)}}, []cause{{subject: "a", kinds: []kind{changed}, from: at(9), to: at(9.9)}}, nil, "1 0 0"},
		{"another does not", []happening{{kind: changed, subject: "b", from: at(10), to: at(10.1)}}, []cause{{subject: "a", kinds: []kind{changed}, from: at(9)}}, nil, "0 0 1"},
		{"nor by a drain", []happening{{kind: changed, subject: "a", from: at(10.5), to: at(10.6)}}, []cause{drained}, nil, "0 0 1"},
		{"a cause on one way is not another's", []happening{happened(broken, fleet.OnSegment, "node1", 10, 11)}, []cause{{ways: []string{fleet.WithBFD}, from: at(9)}}, nil, "0 0 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := judge(test.list, test.causes, test.stalls)
			planned := v.outage
			for _, n := range v.planned {
				planned += n
			}
			if got := fmt.Sprint(planned, len(v.stalled), len(v.faults)); got != test.want {
				t.Errorf("planned, stalled, faults: %s, want %s", got, test.want)
			}
		})
	}
}
