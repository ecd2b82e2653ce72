package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// outcome is what became of a round.
type outcome struct {
	faults  []struck
	effects map[string]fleet.Effect
	settled time.Duration // from the end of the last fault until all that holds held again
	wrong   []string
}

const (
	// calm is how long the users ask before and after.
	calm = 500 * time.Millisecond
	// steady is the longest gap in what is asked directly with which a round that went wrong tells anything: a machine that
	// stands still for longer has BFD sessions of 300 ms fail without a fault. Above stalled one that went well does not either.
	steady, stalled = 250 * time.Millisecond, time.Second
	// attempts is how often a round is begun that the machine spoils.
	attempts = 3
	// restLimit is how long it may take until all is settled, if a fault does not say otherwise.
	restLimit = 30 * time.Second
	// seenLimit is how long the product may take to tell.
	seenLimit = 15 * time.Second
)

// round strikes, leaves the faults alone for as long as they last, ends them, and waits for rest; all under load.
func round(ctx context.Context, t *testing.T, f *fleet.Fleet, strokes []stroke, full bool) (o outcome) {
	t.Helper()
	say := func(format string, args ...any) { o.wrong = append(o.wrong, fmt.Sprintf(format, args...)) }
	users, err := f.Users(ctx, fleet.UsersConfig{})
	if err != nil {
		t.Fatalf("before the fault: %v", err)
	}
	defer users.Stop()
	still, err := measure.Still(ctx)
	defer still()
	if err != nil {
		t.Fatal(err)
	}
	measure.Pause(ctx, t, calm)
	type ending struct {
		index int
		due   time.Time
		end   func(context.Context) error
	}
	var endings []ending
	for i, s := range strokes {
		if s.after > 0 {
			measure.Pause(ctx, t, s.after)
		}
		from := time.Now()
		end, err := s.fault.strike(ctx, f, s.draws())
		o.faults = append(o.faults, struck{fault: s.fault, from: from, ending: from, to: time.Now(), victims: victimsOf(ctx, f, s, say)})
		if err != nil {
			say("striking with %q: %v", s.fault.name(), err)
		}
		if end == nil {
			end = func(context.Context) error { return nil }
		}
		endings = append(endings, ending{i, from.Add(s.fault.length(full)), end})
	}
	slices.SortFunc(endings, func(a, b ending) int { return a.due.Compare(b.due) })
	for _, e := range endings {
		// What has struck is ended, whatever else has come to an end.
		select {
		case <-time.After(time.Until(e.due)):
		case <-ctx.Done():
		}
		s := &o.faults[e.index]
		s.ending = time.Now()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		if err := e.end(limited); err != nil {
			say("ending %q: %v", s.name(), err)
		}
		cancel()
		s.to = time.Now()
	}
	o.settled = o.settle(ctx, f, say)
	if err := f.Serves(ctx); err != nil {
		say("a new Service after the fault: %v", err)
	}
	measure.Pause(ctx, t, calm)
	o.effects = users.Stop()
	stood, longest := still()
	for _, s := range o.faults {
		if s.seen == nil {
			continue
		}
		if err := eventually(ctx, seenLimit, func() error { return s.seen(ctx, f) }); err != nil {
			say("%q was not told: %v", s.name(), err)
		}
	}
	direct := o.effects[fleet.Direct]
	late := max(0, direct.Longest.Duration()-2*before)
	for _, way := range fleet.Ways {
		o.wrong = append(o.wrong, judge(way, o.effects[way], o.faults, late)...)
	}
	if limit := map[bool]time.Duration{true: stalled, false: steady}[len(o.wrong) == 0]; direct.Failed > 0 || direct.Broken > 0 || direct.Longest.Duration() > limit {
		say("the machine: what is asked directly: %s", direct)
	}
	if len(o.wrong) > 0 && stood > 0 {
		say("the machine: a processor stood still %d times, for %s at most", stood, longest.Round(time.Millisecond))
	}
	return o
}

// victimsOf are the hardware addresses of a stroke's victims, nil where it does not tell them.
func victimsOf(ctx context.Context, f *fleet.Fleet, s stroke, say func(string, ...any)) (list []net.HardwareAddr) {
	if s.fault.victims == nil {
		return nil
	}
	hosts, err := s.fault.victims(ctx, f, s.draws())
	if err != nil {
		say("the victims of %q: %v", s.fault.name(), err)
	}
	for _, h := range hosts {
		list = append(list, h.MAC)
	}
	return list
}

// settle waits until all that holds does.
func (o outcome) settle(ctx context.Context, f *fleet.Fleet, say func(string, ...any)) time.Duration {
	limit := restLimit
	for _, s := range o.faults {
		limit = max(limit, s.rest)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	took, err := f.Settled(limited)
	if err != nil {
		say("not at rest %v", err)
	}
	return took
}

func eventually(ctx context.Context, limit time.Duration, check func() error) error {
	_, err := measure.Await(ctx, limit, check)
	return err
}

func name(strokes []stroke) string {
	names := make([]string, len(strokes))
	for i, s := range strokes {
		names[i] = s.fault.name()
	}
	return strings.Join(names, " + ")
}

// run runs a round as a test of its own, and again in a new fleet if the machine was at fault.
func run(t *testing.T, strokes []stroke, full bool) (o outcome) {
	t.Helper()
	for attempt := range attempts {
		f := start(t)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		if _, err := f.Settled(ctx); err != nil {
			t.Fatalf("before the fault: %v", err)
		}
		before := usage(ctx, t, f)
		o = round(ctx, t, f, strokes, full)
		if len(o.wrong) == 0 {
			o.wrong = append(o.wrong, leaked(ctx, f, before)...)
		}
		cancel()
		for _, way := range append(slices.Clone(fleet.Ways), fleet.Direct) {
			t.Logf("%s: %s", way, o.effects[way])
		}
		t.Logf("at rest after %d ms", o.settled.Milliseconds())
		if len(o.wrong) == 0 {
			return o
		}
		again := attempt < attempts-1 && slices.ContainsFunc(o.wrong, func(s string) bool { return strings.HasPrefix(s, "the machine") })
		if !again {
			t.Logf("%s", tails(f, 25))
			t.Errorf("%s", strings.Join(o.wrong, "\n"))
		}
		spoil()
		if !again {
			return o
		}
		t.Logf("once more, since the machine stood still: %q", o.wrong)
	}
	return o
}

// Each fault alone. A short day has one of each family; named with -run, all of them.
func TestFaults(t *testing.T) {
	full := *measure.Full
	n := seed(t, full)
	faults := sampleOf(n)
	if full || chosen("TestFaults") {
		faults = every()
	}
	var rows []row
	for _, strokes := range alone(n, faults) {
		f := strokes[0].fault
		t.Run(f.target+"/"+f.what, func(t *testing.T) {
			rows = append(rows, row{f, run(t, strokes, full)})
		})
	}
	report(t, n, rows)
}

// Faults at random, most of them two at a time.
func TestDay(t *testing.T) {
	full := *measure.Full
	n := seed(t, full)
	began := time.Now()
	for i, strokes := range day(n, every(), measure.Less(3, 200)) {
		if time.Since(began) > dayLength {
			t.Logf("%d rounds", i)
			break
		}
		t.Run(name(strokes), func(t *testing.T) { run(t, strokes, full) })
	}
}

// dayLength bounds the part of a whole day that is drawn at random.
const dayLength = 6 * time.Minute

// usage is what the processes of the product use now.
func usage(ctx context.Context, t *testing.T, f *fleet.Fleet) map[string]fleet.Usage {
	t.Helper()
	u, err := f.Usage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// What a process may use more after a fault than before: connections to the API server and routers that it has made anew
// close the old ones some seconds later, and each has two goroutines. What is lost for good adds up, and TestLeaks sees
// that by repetition.
const (
	moreGoroutines  = 40
	moreDescriptors = 12
)

// leaked says which processes that were there all the time use more than before, a few seconds long.
func leaked(ctx context.Context, f *fleet.Fleet, before map[string]fleet.Usage) []string {
	var wrong []string
	err := eventually(ctx, 15*time.Second, func() error {
		wrong = nil
		now, err := f.Usage(ctx)
		if err != nil {
			return err
		}
		for name, u := range now {
			b := before[name]
			if u.PID == b.PID && (u.Goroutines > b.Goroutines+moreGoroutines || u.Descriptors > b.Descriptors+moreDescriptors) {
				wrong = append(wrong, fmt.Sprintf("%s used %s before, and uses %s", name, b, u))
			}
		}
		if wrong != nil {
			return errors.New(strings.Join(wrong, "; "))
		}
		return nil
	})
	if err != nil {
		return []string{"leaked: " + err.Error()}
	}
	return nil
}
