package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// Bounds on what Fairlead asks of the API server, and says. A change is a step with a Service or a Pod, and each address
// that moves: it costs a status, an event each of the controller and of the new owner, and a line of those two and of the
// old owner. Each Speaker's status is written at most once a second for all of them, and leases are renewed besides.
const (
	writesPerChange = 6
	writesPerMinute = 60
	eventsPerChange = 3
	linesPerChange  = 3
	linesPerStart   = 50 // of a process: its own lines, one for each address it has, and what the others say of it

	// busy is how much of the time the machine may stand still and these bounds count: sessions that are lost and come
	// back in that cost, too.
	busy = 0.02
	// spoilt is how much of an hour may be near a time in which it stood still, and so explain what happened, and the hour
	// tell anything.
	spoilt = 0.25
)

// row of the table: what, what was measured, and what is to hold.
type row struct{ what, measured, bound string }

func (l *life) report(t *testing.T, length time.Duration, seed uint64, took time.Duration, begin time.Time, s *sampler, rest map[string]float64) {
	t.Helper()
	v := l.diary.judge()
	// Of each kind and way the first: what is rare is not to be lost among what is not.
	const most = 10
	said := map[string]int{}
	for _, h := range v.faults {
		of := fmt.Sprintf("%s, %s", h.kind, h.way)
		if said[of]++; said[of] <= most {
			l.failf("not asked for: %s; near it: %q", h, near(h, l.diary.causes))
		}
	}
	for of, n := range said {
		if n > most {
			l.failf("%s: %d more", of, n-most)
		}
	}
	count := func(list []happening, kinds ...kind) (n int) {
		for _, h := range list {
			if slices.Contains(kinds, h.kind) {
				n++
			}
		}
		return n
	}
	var rows []row
	add := func(what, bound, format string, args ...any) {
		rows = append(rows, row{what, fmt.Sprintf(format, args...), bound})
	}

	add("what people did", "", "%s", l.acts())
	add("what they asked for and did not get in time", "0", "%d", count(v.faults, late))
	moves, causes := l.owners.moves()
	add("addresses that another node took over", "each asked for", "%d: %s; %d unasked", moves, causeText(causes), count(v.faults, told, lost, moved))
	add("questions to the segment who has an address", "one answer each", "%d; %d unasked changes, %d times two answers, %d times none", l.owners.rounds, count(v.faults, moved), count(v.faults, doubled), count(v.faults, silent))
	add("Services whose address changed without their asking", "0", "%d", count(v.faults, changed))
	for _, way := range fleet.Ways {
		c := l.users.counts[way]
		if c == nil {
			l.failf("nobody came by %s", way)
			continue
		}
		of := func(list []happening) []happening {
			return slices.DeleteFunc(slices.Clone(list), func(h happening) bool { return h.way != way })
		}
		planned, outage := l.planned(way)
		text := ""
		if outage > 0 {
			text = fmt.Sprintf(", %d while the router's sessions were opened anew", outage)
		}
		add("new connections, "+way, "0 failed but one an address under way at a planned change", "%d, slowest answer %d ms; %d failed, %d more under way at a planned change%s",
			c.sent, c.slowest.Milliseconds(), count(of(v.faults), failed), planned[failed], text)
		add("established connections, "+way, "0 broken but by a planned change", "%d, %d requests; %d broken, %d more by a planned change",
			c.established, c.requests, count(of(v.faults), broken), planned[broken])
	}
	direct := l.users.counts[fleet.Direct]
	stood, total := standstills(l.diary.stalls)
	doubtful := around(l.diary.stalls)
	add("the machine: the backend itself, asked each 50 ms, and each processor, each 10 ms", fmt.Sprintf("an hour: < %.0f %% of it near that", 100*spoilt),
		"stood still %d times (an answer took 0.3 s, a processor 0.15 s), for %.1f s in all, slowest answer %d ms; near that, %.0f %% of the time, and not counted above, %d new connections failed, %d established ones broke, %d other things happened",
		stood, total.Seconds(), direct.slowest.Milliseconds(), 100*doubtful.Seconds()/took.Seconds(), count(v.stalled, failed), count(v.stalled, broken), len(v.stalled)-count(v.stalled, failed, broken))

	changes := l.changes() + moves
	minutes := took.Minutes()
	if length >= time.Hour && doubtful.Seconds() > spoilt*took.Seconds() {
		l.failf("the machine: %s of %s are near a time in which it or a processor stood still, which tells nothing: it is to be run on a quieter one", doubtful, took)
	}
	judged := total.Seconds() <= busy*took.Seconds()
	if !judged {
		t.Logf("the machine stood still for %s of %s: what Fairlead asks of the API server and says is not held to its bounds", total, took)
	}
	since := begin.Add(length * settledPart / 100)
	for _, component := range []string{"controllers", "speakers"} {
		reads, writes, events := s.count(component, "reads"), s.count(component, "writes"), s.count(component, "events")
		add(map[string]string{"controllers": "two controllers", "speakers": "three speakers"}[component]+" ask the API server", fmt.Sprintf("< %d writes a change and %d a minute, < %d events a change", writesPerChange, writesPerMinute, eventsPerChange),
			"%.0f reads, %.0f writes, %.0f events a minute; %.1f writes, %.1f events a change", reads/minutes, writes/minutes, events/minutes, writes/float64(changes), events/float64(changes))
		if judged && (writes > writesPerChange*float64(changes)+writesPerMinute*minutes || events > eventsPerChange*float64(changes)) {
			l.failf("%s: %.0f writes and %.0f events for %d changes", component, writes, events, changes)
		}
		for _, h := range holdings {
			all, grown := s.trends(h.name, h.bound, since)
			var list []string
			for _, process := range slices.Sorted(maps.Keys(all)) {
				if strings.HasPrefix(process, strings.TrimSuffix(component, "s")) {
					list = append(list, fmt.Sprintf("%.3g to %.3g%s", all[process].first, all[process].last, h.unit))
				}
			}
			for _, g := range grown {
				if component == "speakers" { // once
					l.failf("it grows: %s", g)
				}
			}
			add(h.name+" of "+component, fmt.Sprintf("< %.0f%s or %.0f %% more", h.bound.least, h.unit, 100*h.bound.part), "%s", strings.Join(list, "; "))
		}
	}
	lines, err := logLines(l.Product())
	if err != nil {
		l.fail(err)
	}
	lines -= l.lines
	starts := l.counts["operations: speakers"]*len(l.Nodes) + l.counts["operations: controllers"]*len(l.Controllers)
	add("lines of log of all five", fmt.Sprintf("< %d a change and %d a process that was started anew", linesPerChange, linesPerStart), "%.0f a minute, %.1f a change", float64(lines)/minutes, float64(lines)/float64(changes))
	if judged && lines > linesPerChange*changes+linesPerStart*starts {
		l.failf("%d lines of log for %d changes and %d processes started anew", lines, changes, starts)
	}
	add("then nobody asks for anything: status writes, events", "0; counters of KEEPALIVEs when they have doubled", "%.0f, %.0f; %.0f of counters",
		rest[speakersWrites]+rest["status writes"], rest["events"], rest[keepaliveCounters])

	table := &strings.Builder{}
	fmt.Fprintf(table, "%s of normal life, SEED=%d.\n\n| | measured | to hold |\n|---|---|---|\n", length, seed)
	for _, r := range rows {
		fmt.Fprintf(table, "| %s | %s | %s |\n", r.what, r.measured, r.bound)
	}
	measure.Section(t, "performance.md", "soak", table.String())
}

// planned are what happened by one way and has a cause.
func (l *life) planned(way string) (planned map[kind]int, outage int) {
	l.diary.mu.Lock()
	defer l.diary.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.diary.happenings), func(h happening) bool { return h.way != way })
	v := judge(list, l.diary.causes, l.diary.stalls)
	return v.planned, v.outage
}

// acts are what was done, by lane.
func (l *life) acts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	lane := ""
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		of, act, _ := strings.Cut(name, ": ")
		text := fmt.Sprintf("%d %s", l.counts[name], act)
		if of != lane {
			text = of + ": " + text
			lane = of
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// changes are how many steps there were.
func (l *life) changes() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.counts {
		n += c
	}
	return n
}

func causeText(causes map[v1alpha1.TakeoverCause]int) string {
	var list []string
	for _, c := range slices.Sorted(maps.Keys(causes)) {
		list = append(list, fmt.Sprintf("%d %s", causes[c], c))
	}
	return strings.Join(list, ", ")
}
