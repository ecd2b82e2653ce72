package chaos

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
)

// struck is a fault that was, and when.
type struck struct {
	fault
	from       time.Time // it struck
	ending, to time.Time // it began to be ended, and was
	victims    []net.HardwareAddr
}

const (
	// before is how much earlier a request may have been sent that a fault catches under way.
	before = 50 * time.Millisecond
	// usual is the longest gap that a shared machine leaves between answers by itself.
	usual = 300 * time.Millisecond
	// unheard is three rounds of the watcher's questions: a frame may be late.
	unheard = 600 * time.Millisecond
	// both is how long two may answer for an address when they meet: one remains within a second.
	both = time.Second
)

// judge says what of an effect is not allowed. Late is how late the machine itself was.
func judge(way string, e fleet.Effect, faults []struck, late time.Duration) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, way+": "+fmt.Sprintf(format, args...)) }
	var (
		windows    [][2]time.Time
		within     time.Duration
		throughout bool
		all        cost
		may        int // owner changes of one address
		victims    []net.HardwareAddr
		anybody    bool // a fault that moves addresses does not say whose
	)
	for _, s := range faults {
		c := s.allowed[way]
		all.breaks = all.breaks || c.breaks
		all.moves = all.moves || c.moves
		if c.moves {
			may += s.strikes()
			victims, anybody = append(victims, s.victims...), anybody || s.victims == nil
		}
		switch {
		case c.throughout:
			throughout = true
			windows = append(windows, [2]time.Time{s.from.Add(-before), s.to.Add(c.within + late)})
		case c.within > 0:
			within += c.within
			windows = append(windows, [2]time.Time{s.from.Add(-before), s.from.Add(c.within + late)},
				[2]time.Time{s.ending.Add(-before), s.to.Add(c.within + late)})
		}
	}
	if e.Sent == 0 {
		say("nobody asked")
	}
	outside := e.FailedOutside(windows...)
	if all.breaks {
		outside = slices.DeleteFunc(outside, func(f fleet.Failure) bool { return errors.Is(f.Err, syscall.ECONNRESET) })
	}
	if len(outside) > 0 {
		first := outside[0]
		say("%d of %d new connections failed that the design does not let fail; the first to %s, %s: %v", len(outside), e.Sent, first.To, when(first.Sent, faults), first.Err)
	}
	if limit := within + usual + late; !throughout && e.Longest.Duration() > limit && (way == fleet.OnSegment || within == 0) {
		say("for %s an address did not answer, %s, and may for %s", e.Longest.Duration().Round(time.Millisecond), when(e.Longest.Start, faults), limit)
	}
	if e.Broken > 0 && !all.breaks {
		say("%d of %d established connections broke; the first: %v", e.Broken, e.Established, e.Break)
	}
	// Nothing moves back: a fault that may take an address from its owner may do so once whenever it strikes.
	for a, n := range changes(e.Moves) {
		if all.moves && n > may {
			say("the owner of %s changed %d times, and may %d times: %s", a, n, may, moments(e.Moves, a, faults))
			break
		}
	}
	if m, stolen := firstStolen(e.Moves, victims); stolen && all.moves && !anybody {
		say("%s moved from %s, which nothing befell, to %s, %s", m.Address, m.From, m.To, when(m.At, faults))
	}
	if len(e.Moves) > 0 && !all.moves {
		m := e.Moves[0]
		say("%d owners changed; the first of %s from %s to %s, %s", len(e.Moves), m.Address, m.From, m.To, when(m.At, faults))
	}
	if d := e.Doubled.Duration(); d > both+late {
		say("two answered for %s for %s, %s", e.Doubled.Address, d, when(e.Doubled.Start, faults))
	}
	if d := e.Silent.Duration(); !throughout && d > within+unheard+late {
		say("nobody answered for %s for %s, %s", e.Silent.Address, d, when(e.Silent.Start, faults))
	}
	if e.WatchError != nil {
		say("%v", e.WatchError)
	}
	return wrong
}

// strikes is how often the fault struck.
func (s struck) strikes() int {
	if s.every == 0 {
		return 1
	}
	return max(1, int(s.ending.Sub(s.from)/s.every))
}

// firstStolen is the first change of owner of an address that was none of the victims'.
func firstStolen(moves []fleet.Move, victims []net.HardwareAddr) (first fleet.Move, found bool) {
	moved := map[netip.Addr]bool{}
	for _, m := range slices.SortedFunc(slices.Values(moves), func(a, b fleet.Move) int { return a.At.Compare(b.At) }) {
		victim := slices.ContainsFunc(victims, func(v net.HardwareAddr) bool { return slices.Equal(v, m.From) })
		if !moved[m.Address] && !victim {
			return m, true
		}
		moved[m.Address] = true
	}
	return first, false
}

// changes is how often the owner of each address changed.
func changes(moves []fleet.Move) map[netip.Addr]int {
	n := map[netip.Addr]int{}
	for _, m := range moves {
		n[m.Address]++
	}
	return n
}

// moments are those at which the owner of an address changed.
func moments(moves []fleet.Move, a netip.Addr, faults []struck) string {
	var list []string
	for _, m := range moves {
		if m.Address == a {
			list = append(list, when(m.At, faults))
		}
	}
	return strings.Join(list, "; ")
}

// when tells a moment by the faults.
func when(at time.Time, faults []struck) string {
	var list []string
	for _, s := range faults {
		if at.Before(s.ending) {
			list = append(list, fmt.Sprintf("%.2f s after the strike of %q", at.Sub(s.from).Seconds(), s.name()))
		} else {
			list = append(list, fmt.Sprintf("%.2f s after the end of %q", at.Sub(s.ending).Seconds(), s.name()))
		}
	}
	return strings.Join(list, ", ")
}

func TestJudgement(t *testing.T) {
	zero := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	fault := func(c cost) struck {
		return struck{fault: fault{target: "it", what: "fails", allowed: allowance{fleet.OnSegment: c}}, from: at(0), ending: at(8), to: at(8.5),
			victims: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}}}
	}
	effect := func(change func(*fleet.Effect)) fleet.Effect {
		e := fleet.Effect{Sent: 100, Established: 5}
		change(&e)
		return e
	}
	failed := func(seconds ...float64) func(*fleet.Effect) {
		return func(e *fleet.Effect) {
			for _, s := range seconds {
				e.Failed++
				e.Failures = append(e.Failures, fleet.Failure{Sent: at(s)})
			}
		}
	}
	reset := func(seconds float64) func(*fleet.Effect) {
		return func(e *fleet.Effect) {
			e.Failures = []fleet.Failure{{Sent: at(seconds), Err: fmt.Errorf("connecting: %w", syscall.ECONNRESET)}}
		}
	}
	gap := func(from, to float64) func(*fleet.Effect) {
		return func(e *fleet.Effect) { e.Longest.Start, e.Longest.End = at(from), at(to) }
	}
	second := cost{within: time.Second}
	victim, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	for _, tt := range []struct {
		name   string
		cost   cost
		effect fleet.Effect
		late   time.Duration
		wrong  string // a part of what is said; nothing is to be said if empty
	}{
		{"nothing happened and nothing may", cost{}, effect(func(*fleet.Effect) {}), 0, ""},
		{"a failure where none is allowed", cost{}, effect(failed(0.1)), 0, "1 of 100 new connections failed"},
		{"a failure in the time to notice", second, effect(failed(-0.01, 0.9)), 0, ""},
		{"a failure after the time to notice", second, effect(failed(1.1)), 0, "1.10 s after the strike"},
		{"a failure while it is being ended, and within the time after", second, effect(failed(8.2, 9.4)), 0, ""},
		{"a failure later than that", second, effect(failed(9.6)), 0, "1.60 s after the end"},
		{"a failure that long after, but the machine was late", second, effect(failed(9.6)), 200 * time.Millisecond, ""},
		{"a connection reset as it is made, where none may break", second, effect(reset(4)), 0, "1 of 100 new connections failed"},
		{"a connection reset as it is made, where some may break", cost{breaks: true}, effect(reset(4)), 0, ""},
		{"failures throughout", cost{throughout: true, within: time.Second}, effect(failed(1, 4, 9.4)), 0, ""},
		{"failures throughout and later", cost{throughout: true, within: time.Second}, effect(failed(1, 9.6)), 0, "1 of 100"},
		{"a gap as the machine leaves", cost{}, effect(gap(1, 1.25)), 0, ""},
		{"a gap where none is allowed, although all was answered in the end", cost{}, effect(gap(1, 1.5)), 0, "500ms"},
		{"a gap of a takeover", second, effect(gap(0, 1.2)), 0, ""},
		{"a connection broke", second, effect(func(e *fleet.Effect) { e.Broken = 1 }), 0, "1 of 5 established"},
		{"a connection broke that may", cost{breaks: true}, effect(func(e *fleet.Effect) { e.Broken = 1 }), 0, ""},
		{"an owner changed", second, effect(func(e *fleet.Effect) { e.Moves = make([]fleet.Move, 1) }), 0, "1 owners changed"},
		{"an owner changed that may", cost{moves: true}, effect(func(e *fleet.Effect) { e.Moves = []fleet.Move{{From: victim}} }), 0, ""},
		{"an owner changed and changed back", cost{moves: true}, effect(func(e *fleet.Effect) { e.Moves = make([]fleet.Move, 2) }), 0, "changed 2 times, and may 1 times"},
		{"a victim's address moved", cost{moves: true}, effect(func(e *fleet.Effect) { e.Moves = []fleet.Move{{From: victim, To: other}} }), 0, ""},
		{"another's address moved", cost{moves: true}, effect(func(e *fleet.Effect) { e.Moves = []fleet.Move{{From: other, To: victim}} }), 0, "which nothing befell"},
		{"two answer for long", cost{moves: true, throughout: true}, effect(func(e *fleet.Effect) { e.Doubled.Start, e.Doubled.End = at(1), at(3) }), 0, "two answered"},
		{"nobody answers for long", second, effect(func(e *fleet.Effect) { e.Silent.Start, e.Silent.End = at(1), at(3) }), 0, "nobody answered"},
		{"nobody asked", cost{}, fleet.Effect{}, 0, "nobody asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wrong := judge(fleet.OnSegment, tt.effect, []struck{fault(tt.cost)}, tt.late)
			if tt.wrong == "" && wrong != nil || tt.wrong != "" && !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tt.wrong) }) {
				t.Errorf("it says %q, want %q", wrong, tt.wrong)
			}
		})
	}
}

func TestStrikes(t *testing.T) {
	zero := time.Unix(1000, 0)
	for _, tt := range []struct {
		every, lasted time.Duration
		want          int
	}{{0, 20 * time.Second, 1}, {2 * time.Second, 20 * time.Second, 10}, {2 * time.Second, 6 * time.Second, 3}, {2 * time.Second, time.Second, 1}} {
		s := struck{fault: fault{every: tt.every}, from: zero, ending: zero.Add(tt.lasted)}
		if got := s.strikes(); got != tt.want {
			t.Errorf("each %s, for %s: %d strikes, want %d", tt.every, tt.lasted, got, tt.want)
		}
	}
}
