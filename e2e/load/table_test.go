package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// section is what was measured, as the page has it.
func section(c crowd, idle cost, runs []run) string {
	var (
		b     strings.Builder
		late  []string
		again []string
	)
	perSecond := float64(c.Users) / c.Think.Seconds()
	fmt.Fprintf(&b, "%d users, a request each per %s: %.0f a second.\n\n", c.Users, c.Think, perSecond)
	b.WriteString("| what happens | by way of | requests | new connections | established | p50 | p99 | p99.9 | silence | hurt for |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, name := range order {
		for _, r := range runs {
			var list []stretch
			var through, others [2]int // held and broken, through the nodes that it happened to and others
			for _, e := range r.events {
				if e.name != name {
					continue
				}
				list = append(list, e.stretch)
				f := r.figures(e.stretch)
				through[0], through[1] = through[0]+f.Held[e.node], through[1]+f.Broken[e.node]
				others[0], others[1] = others[0]+sum(f.Held)-f.Held[e.node], others[1]+sum(f.Broken)-f.Broken[e.node]
			}
			if list == nil {
				continue
			}
			f := r.figures(list...)
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %s | %s | %s | %s |\n", name, r.name, f.Requests, newOnes(f), established(through, others),
				short(f.P50), short(f.P99), short(f.P999), short(f.Silence), short(f.Hurt))
		}
	}
	b.WriteString("\n" + costs(idle, runs))
	for _, r := range runs {
		if r.again > 0 {
			again = append(again, fmt.Sprintf("%d (%s)", r.again, r.name))
		}
		for _, e := range r.events {
			if e.node == 0 {
				late = append(late, fmt.Sprintf("%s (%s)", short(r.figures(e.stretch).Behind), r.name))
			}
		}
	}
	fmt.Fprintf(&b, "\nAt rest 99 of 100 requests were under way so soon after they were due: %s.\n", strings.Join(late, ", "))
	if again != nil {
		fmt.Fprintf(&b, "\nNodes that were taken down once more, since the machine's host took more than %.0f %% of its processors for half a second: %s.\n",
			100*stolen, strings.Join(again, ", "))
	}
	return b.String()
}

func newOnes(f figures) string {
	text := fmt.Sprintf("%d", f.New)
	if f.Late > 0 {
		text += fmt.Sprintf(", %d late", f.Late)
	}
	if f.Failed() > 0 {
		return text + ", " + inWords(f.Ends)
	}
	return text + ", 0 failed"
}

func established(through, others [2]int) string {
	if through[0] == 0 {
		return fmt.Sprintf("%d of %d broken", others[1], others[0])
	}
	return fmt.Sprintf("%d of %d through the node broken, %d of %d others", through[1], through[0], others[1], others[0])
}

// short is a duration to be read.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// costs is the table of processor time: without users, and at rest with them.
func costs(idle cost, runs []run) string {
	var b strings.Builder
	b.WriteString("| hundredths of a processor | without users |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %s |", r.name)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(runs)) + "\n")
	row := func(name string, of func(cost) float64, without string) {
		fmt.Fprintf(&b, "| %s | %s |", name, without)
		for _, r := range runs {
			fmt.Fprintf(&b, " %.1f |", 100*of(r.cost))
		}
		b.WriteString("\n")
	}
	names := map[string]bool{}
	for name := range idle.process {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row(name, func(c cost) float64 { return c.process[name] }, fmt.Sprintf("%.1f", 100*idle.process[name]))
	}
	fmt.Fprintf(&b, "| the users | |")
	for _, r := range runs {
		fmt.Fprintf(&b, " %.1f |", 100*r.crowd)
	}
	b.WriteString("\n")
	row("the machine, of 100 for each processor", func(c cost) float64 { return c.machine }, fmt.Sprintf("%.1f", 100*idle.machine))
	return b.String()
}

func TestTableWords(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{newOnes(figures{New: 7}), "7, 0 failed"},
		{newOnes(figures{New: 7, Late: 2}), "7, 2 late, 0 failed"},
		{newOnes(figures{New: 7, Ends: map[end]int{timedOut: 2, reset: 1}}), "7, 1 reset, 2 timed out"},
		{established([2]int{}, [2]int{5, 1}), "1 of 5 broken"},
		{established([2]int{3, 2}, [2]int{5, 1}), "2 of 3 through the node broken, 1 of 5 others"},
		{short(0), "0"}, {short(430 * time.Microsecond), "0.4 ms"}, {short(12300 * time.Microsecond), "12 ms"}, {short(1020 * ms), "1.02 s"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
