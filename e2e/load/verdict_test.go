package load

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ordinary are the requests of some seconds in which nothing fails: user 0 keeps a connection through node 1, user 2 one
// through node 2, user 1 makes new ones.
func ordinary(seconds int) (list []request) {
	for i := range seconds * 10 {
		due := time.Duration(i) * 100 * ms
		for user := range uint16(3) {
			list = append(list, request{Due: due, Took: ms, User: user, Node: uint8(user/2 + 1), New: i == 0 || user == 1})
		}
	}
	return list
}

// Each row is a first second at rest, then an event to node 1 that lasts for three.
func TestFaults(t *testing.T) {
	layer2 := way{name: "layer 2"}
	bgp := way{name: "BGP", spreads: true}
	direct := way{name: "NodePort", direct: true}
	lost, gone, back := event{name: "lost", node: 1, down: true}, event{name: "drained", node: 1, leaves: true}, event{name: "back", node: 1, back: true}
	off := event{name: "off after a drain", node: 1}
	type change struct {
		at   int // tenth of a second
		user uint16
		end  end
		took time.Duration
		late time.Duration
	}
	breaks := change{at: 12, user: 0, end: reset}
	for _, test := range []struct {
		name    string
		way     way
		event   event
		changes []change
		want    string // parts of the faults, with + between them
	}{
		{"a connection through a lost node breaks", layer2, lost, []change{breaks}, ""},
		{"a node was lost that nobody used", layer2, lost, nil, "nobody used it"},
		{"a connection through another node breaks", layer2, lost, []change{breaks, {at: 12, user: 2, end: reset}}, "1 connections broke that did not go through the node"},
		{"a router moves connections between the nodes that are left", bgp, lost, []change{breaks, {at: 12, user: 2, end: reset}}, ""},
		{"new connections fail while a node is taken over from", layer2, lost, []change{breaks, {at: 19, user: 1, end: timedOut}}, ""},
		{"new connections fail after that", layer2, lost, []change{breaks, {at: 21, user: 1, end: timedOut}}, "failed for 1.1s"},
		{"new connections are late after that", layer2, lost, []change{breaks, {at: 21, user: 1, took: time.Second}}, "late or failed for 1.1s, 1 and 0+took 1s, at rest 1ms"},
		{"a connection through a drained node breaks", layer2, gone, []change{breaks}, ""},
		{"a connection through another node than the drained one breaks", layer2, gone, []change{{at: 12, user: 2, end: reset}}, "did not go through the node"},
		{"a new connection is under way when its node is drained", layer2, gone, []change{{at: 10, user: 1, end: reset}}, ""},
		{"two of one address are under way then", layer2, gone, []change{{at: 10, user: 1, end: reset, took: 150 * ms}, {at: 11, user: 1, end: reset}}, ""},
		{"two of one address are, one after the other", layer2, gone, []change{{at: 10, user: 1, end: reset}, {at: 11, user: 1, end: reset}}, "2 failed (2 reset)"},
		{"a new connection is not answered when a node is drained", layer2, gone, []change{{at: 10, user: 1, end: timedOut}}, "1 failed (1 timed out)"},
		{"a new connection is late when a node is drained", layer2, gone, []change{{at: 10, user: 1, took: 600 * ms}}, "1 new connections were late"},
		{"nothing happens when a drained node is powered off", layer2, off, nil, ""},
		{"a connection still went through a drained node", layer2, off, []change{breaks}, "1 connections through the node broke"},
		{"a new connection still went to a drained node", bgp, off, []change{{at: 10, user: 1, end: reset}}, "1 failed"},
		{"nothing happens when a node comes back", layer2, back, nil, ""},
		{"a connection breaks when a node comes back", layer2, back, []change{{at: 12, user: 2, end: reset}}, "did not go through the node"},
		{"a new connection fails when a node comes back", layer2, back, []change{{at: 10, user: 1, end: reset}}, "1 failed"},
		{"a router moves connections to a node that comes back", bgp, back, []change{{at: 12, user: 2, end: reset}, {at: 10, user: 1, end: reset}}, ""},
		{"a router sends new connections to a node that does not forward yet", bgp, back, []change{{at: 10, user: 1, end: timedOut}, {at: 11, user: 1, end: timedOut}}, "2 failed (2 timed out)"},
		{"a router repeats a new connection to a node that comes back", bgp, back, []change{{at: 10, user: 1, took: 600 * ms}}, ""},
		{"two of one address are late", bgp, back, []change{{at: 10, user: 1, took: 600 * ms}, {at: 11, user: 1, took: 600 * ms}}, "2 new connections were late"},
		{"a connection breaks on a machine that is too busy", layer2, off, []change{breaks, {at: 20, user: 1, took: time.Second, late: time.Second}}, "this machine had too much to do"},
		{"an answer is late because the crowd is", layer2, back, []change{{at: 20, user: 1, took: time.Second, late: time.Second}}, ""},
		{"a connection breaks at rest", layer2, back, []change{{at: 2, user: 2, end: reset}}, "at rest, node 0: 1 connections broke"},
		{"a new connection fails at rest", bgp, back, []change{{at: 2, user: 1, end: reset}}, "at rest, node 0: 0 new connections were late and 1 failed"},
		{"requests stay slow", layer2, back, []change{{at: 25, user: 2, took: 200 * ms}}, "took 200ms, at rest 1ms"},
		{"requests are slow for a moment", layer2, back, []change{{at: 12, user: 2, took: 200 * ms}}, ""},
		{"without a load balancer a node that is lost is missed", direct, lost, []change{breaks, {at: 20, user: 1, end: timedOut}}, ""},
		{"without a load balancer only established connections miss a node", direct, lost, []change{breaks}, "0 new ones failed: the comparison shows nothing"},
		{"without a load balancer a node that is lost is not missed", direct, lost, nil, "the comparison shows nothing"},
		{"without a load balancer a new connection fails at rest", direct, back, []change{{at: 2, user: 1, end: reset}}, "at rest, node 0: 1 new connections failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := notes{Requests: ordinary(4)}
			for _, c := range test.changes {
				i := slices.IndexFunc(n.Requests, func(r request) bool { return r.Due == time.Duration(c.at)*100*ms && r.User == c.user })
				n.Requests[i].End, n.Requests[i].Took = c.end, max(c.took, ms)
				n.Requests[i].Late = c.late
			}
			got := test.way.faults(n, []taken{
				{event{name: "at rest"}, stretch{50 * ms, 50 * ms, time.Second}}, {test.event, stretch{time.Second, time.Second, 4 * time.Second}},
			})
			var want []string
			if test.want != "" {
				want = strings.Split(test.want, "+")
			}
			if !slices.EqualFunc(got, want, strings.Contains) {
				t.Errorf("the faults are %q, want %q", got, want)
			}
		})
	}
}

func TestHarmed(t *testing.T) {
	n := notes{Requests: ordinary(4)}
	for i := range n.Requests {
		switch r := &n.Requests[i]; {
		case r.User == 1 && r.Due == 2100*ms:
			r.Took = time.Second
		case r.User == 0 && r.Due == 2500*ms:
			r.End = reset
		case r.User == 2:
			r.Target = 1
		}
	}
	want := map[uint16]string{0: "2 late or failed (1 answered, 1 reset), due from 1.1s to 1.5s after the event"}
	if diff := cmp.Diff(want, n.harmed(stretch{900 * ms, time.Second, 4 * time.Second})); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
