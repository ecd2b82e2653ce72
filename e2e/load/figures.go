package load

import (
	"maps"
	"slices"
	"time"
)

// stretch is from one time until another, since the crowd's begin, with an event in it. It begins a moment before the event:
// what is under way then is the event's.
type stretch struct{ from, at, to time.Duration }

// figures are what users noticed in some stretches of time.
type figures struct {
	Requests int
	New      int         // of these, those that a connection was made for
	Late     int         // of these, those that were answered, but took longer than slow, and not because the crowd was late
	Ends     map[end]int // how those ended that were not answered

	// Established connections by the node that they went through: those that there were at the beginning, and those that ended.
	Held, Broken map[uint8]int
	Breaks       map[end]int // how those ended

	// Half of the answered requests took no longer than P50, and so on.
	P50, P99, P999 time.Duration
	// Silence is the longest time, after an event, in which one of the addresses gave no answer.
	Silence time.Duration
	// Hurt is how long after an event the last new connection was due that was late or failed. Zero if there was none.
	Hurt time.Duration
	// Behind is by how much the crowd itself was late with all but one request in a hundred.
	Behind time.Duration
}

// slow is how long a new connection may take without being late. One whose first packet is lost takes a second: TCP waits so
// long before it sends it again (RFC 6298, section 2).
const slow = 500 * time.Millisecond

// Failed is how many new connections were not answered.
func (f figures) Failed() int { return sum(f.Ends) }

// sum adds up counts.
func sum[K comparable](counts map[K]int) (n int) {
	for count := range maps.Values(counts) {
		n += count
	}
	return n
}

// figures counts what was due in these stretches.
func (n notes) figures(stretches ...stretch) figures {
	f := figures{Ends: map[end]int{}, Breaks: map[end]int{}, Broken: map[uint8]int{}, Held: map[uint8]int{}}
	var took, late []time.Duration
	for _, s := range stretches {
		for _, node := range n.held(s.from) {
			f.Held[node]++
		}
		for _, r := range n.due(s) {
			f.Requests++
			late = append(late, r.Late)
			if r.End == answered {
				took = append(took, r.Took)
			}
			switch {
			case !r.New && r.End != answered:
				f.Broken[r.Node]++
				f.Breaks[r.End]++
			case r.New:
				f.New++
				switch {
				case r.End != answered:
					f.Ends[r.End]++
				case r.late():
					f.Late++
				default:
					continue
				}
				f.Hurt = max(f.Hurt, r.Due-s.at)
			}
		}
		f.Silence = max(f.Silence, n.silence(s))
	}
	slices.Sort(took)
	slices.Sort(late)
	f.P50, f.P99, f.P999, f.Behind = part(took, 500), part(took, 990), part(took, 999), part(late, 990)
	return f
}

// due are the requests that were due in a stretch.
func (n notes) due(s stretch) []request {
	at := func(t time.Duration) int {
		i, _ := slices.BinarySearchFunc(n.Requests, t, func(r request, t time.Duration) int { return int(r.Due - t) })
		return i
	}
	return n.Requests[at(s.from):at(s.to)]
}

// held are the nodes that the kept connections went through at a time, by user.
func (n notes) held(at time.Duration) map[uint16]uint8 {
	held := map[uint16]uint8{}
	for _, r := range n.due(stretch{to: at}) {
		switch {
		case !keeps(int(r.User)):
		case r.End == answered:
			held[r.User] = r.Node
		default:
			delete(held, r.User)
		}
	}
	return held
}

// silence is the longest time after an event in which one of the addresses that were asked gave no answer.
func (n notes) silence(s stretch) (longest time.Duration) {
	answers := map[uint16][]time.Duration{}
	for _, r := range n.Requests {
		if at := r.Due + r.Took; r.End == answered && at > s.at && at < s.to {
			answers[r.Target] = append(answers[r.Target], at)
		} else if answers[r.Target] == nil {
			answers[r.Target] = []time.Duration{}
		}
	}
	for _, moments := range answers {
		slices.Sort(moments)
		before := s.at
		for _, m := range append(moments, s.to) {
			longest, before = max(longest, m-before), m
		}
	}
	return longest
}

// part is the duration that so many in a thousand of a sorted list do not exceed.
func part(sorted []time.Duration, thousandths int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*thousandths/1000)]
}
