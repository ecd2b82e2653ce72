package load

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// What users with even numbers keep are connections. The stretch is the second from one second on.
func TestFigures(t *testing.T) {
	for _, test := range []struct {
		name     string
		requests []request
		want     figures // without the percentiles
	}{
		{
			"what was due before or after is not counted",
			[]request{{Due: 900 * ms, User: 1, New: true, End: timedOut}, {Due: 2000 * ms, User: 1, New: true, End: timedOut}},
			figures{Silence: time.Second},
		},
		{
			"a request counts where it was due, wherever it ends",
			[]request{{Due: 1900 * ms, Took: 300 * ms, User: 1, New: true}},
			figures{Requests: 1, New: 1, Silence: time.Second},
		},
		{
			"an established connection that is not answered is broken, through the node that it was made through",
			[]request{
				{Due: 500 * ms, User: 2, Node: 3, New: true}, {Due: 600 * ms, User: 4, Node: 1, New: true},
				{Due: 1500 * ms, User: 2, Node: 3, End: reset}, {Due: 1600 * ms, User: 4, Node: 1},
			},
			figures{Requests: 2, Broken: map[uint8]int{3: 1}, Breaks: map[end]int{reset: 1}, Held: map[uint8]int{1: 1, 3: 1}, Silence: 600 * ms},
		},
		{
			"one that broke before is not held at the beginning, and what it is made again for is a new one",
			[]request{
				{Due: 100 * ms, User: 2, Node: 3, New: true}, {Due: 900 * ms, User: 2, Node: 3, End: reset},
				{Due: 1500 * ms, User: 2, New: true, End: refused},
			},
			figures{Requests: 1, New: 1, Ends: map[end]int{refused: 1}, Hurt: 500 * ms, Silence: time.Second},
		},
		{
			"users without a kept connection hold none",
			[]request{{Due: 500 * ms, User: 1, Node: 3, New: true}, {Due: 1500 * ms, User: 1, Node: 3, New: true}},
			figures{Requests: 1, New: 1, Silence: 500 * ms},
		},
		{
			"a new connection that took longer than half a second is late, and hurt like one that failed",
			[]request{
				{Due: 1100 * ms, User: 1, New: true, End: timedOut}, {Due: 1200 * ms, Took: 600 * ms, User: 3, New: true},
				{Due: 1300 * ms, Took: 400 * ms, User: 5, New: true},
			},
			figures{Requests: 3, New: 3, Late: 1, Ends: map[end]int{timedOut: 1}, Hurt: 200 * ms, Silence: 700 * ms},
		},
		{
			"the silence is that of the address which was silent for longest",
			[]request{
				{Due: 990 * ms, User: 1, New: true}, {Due: 1050 * ms, User: 3, Target: 1, New: true}, {Due: 1300 * ms, User: 1, New: true},
				{Due: 1500 * ms, User: 3, Target: 1, New: true}, {Due: 1600 * ms, User: 1, New: true},
				{Due: 1900 * ms, User: 3, Target: 1, New: true}, {Due: 2100 * ms, User: 1, New: true},
			},
			figures{Requests: 5, New: 5, Silence: 450 * ms},
		},
		{
			"an address that is silent all the time is silent as long as the stretch",
			[]request{{Due: 0, User: 1, New: true}, {Due: 5000 * ms, User: 1, New: true}},
			figures{Silence: time.Second},
		},
		{
			"by how much the crowd was late itself",
			[]request{{Due: 1400 * ms, Late: 20 * ms, Took: 21 * ms, User: 1, New: true}},
			figures{Requests: 1, New: 1, Behind: 20 * ms, Silence: 579 * ms},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := notes{Requests: test.requests}.figures(stretch{time.Second, time.Second, 2 * time.Second})
			got.P50, got.P99, got.P999 = 0, 0, 0
			for _, m := range []*map[uint8]int{&test.want.Broken, &test.want.Held} {
				if *m == nil {
					*m = map[uint8]int{}
				}
			}
			for _, m := range []*map[end]int{&test.want.Ends, &test.want.Breaks} {
				if *m == nil {
					*m = map[end]int{}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// Percentiles are of what was answered: what was not is counted, and has no time.
func TestPercentiles(t *testing.T) {
	var n notes
	for i := range 1000 {
		n.Requests = append(n.Requests, request{Due: time.Second, User: 1, Took: time.Duration(i) * ms, New: true})
	}
	n.Requests = append(n.Requests, request{Due: time.Second, User: 1, Took: 2 * time.Hour, New: true, End: timedOut})
	f := n.figures(stretch{time.Second, time.Second, 2 * time.Second})
	if got, want := []time.Duration{f.P50, f.P99, f.P999}, []time.Duration{500 * ms, 990 * ms, 999 * ms}; !cmp.Equal(got, want) {
		t.Errorf("the percentiles are %s, want %s", got, want)
	}
}

// What is said of several stretches is of all of them.
func TestFiguresOfStretches(t *testing.T) {
	n := notes{Requests: []request{
		{Due: 500 * ms, User: 2, Node: 1, New: true},
		{Due: 1300 * ms, User: 1, New: true, End: reset},
		{Due: 1500 * ms, User: 2, Node: 1},
		{Due: 2300 * ms, User: 1, New: true, End: reset}, // in none
		{Due: 3100 * ms, User: 1, New: true, End: timedOut},
		{Due: 3500 * ms, User: 2, Node: 1, End: timedOut},
	}}
	got := n.figures(stretch{time.Second, time.Second, 2 * time.Second}, stretch{3 * time.Second, 3 * time.Second, 4 * time.Second})
	want := figures{
		Requests: 4, New: 2, Ends: map[end]int{reset: 1, timedOut: 1}, Held: map[uint8]int{1: 2}, Broken: map[uint8]int{1: 1}, Breaks: map[end]int{timedOut: 1},
		Silence: time.Second, Hurt: 300 * ms,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// A stretch begins before its event: what is under way then counts, and hurts for no time.
func TestWhatIsUnderWay(t *testing.T) {
	n := notes{Requests: []request{
		{Due: 950 * ms, Took: 900 * ms, User: 1, New: true, End: timedOut}, {Due: 1100 * ms, Took: 600 * ms, User: 3, New: true}, {Due: 1990 * ms, User: 5, New: true},
	}}
	got := n.figures(stretch{900 * ms, time.Second, 2 * time.Second})
	if got.New != 3 || got.Failed() != 1 || got.Late != 1 || got.Hurt != 100*ms || got.Silence != 700*ms {
		t.Errorf("%+v", got)
	}
	if got := n.figures(stretch{900 * ms, time.Second, 1050 * ms}); got.Failed() != 1 || got.Hurt != 0 {
		t.Errorf("%+v", got)
	}
}
