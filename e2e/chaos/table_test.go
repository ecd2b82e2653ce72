package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// row is a fault and what became of it.
type row struct {
	fault
	outcome
}

// table is a Markdown table of what was seen and what is allowed.
func table(rows []row) string {
	var s strings.Builder
	s.WriteString("| what | fault | layer 2 | BGP, BFD | BGP, graceful restart | at rest after | allowed |\n|---|---|---|---|---|---|---|\n")
	target := ""
	for _, r := range rows {
		shown := r.target
		if r.target == target {
			shown = ""
		}
		target = r.target
		fmt.Fprintf(&s, "| %s | %s |", shown, r.what)
		for _, way := range fleet.Ways {
			fmt.Fprintf(&s, " %s |", noticed(r.effects[way]))
		}
		fmt.Fprintf(&s, " %.1f s | %s |\n", r.settled.Seconds(), r.allowed)
	}
	return s.String()
}

// noticed is what clients of one way noticed: nothing, or what failed, broke and moved, and the longest time without an
// answer.
func noticed(e fleet.Effect) string {
	var parts []string
	if e.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d failed", e.Failed, e.Sent))
	}
	if e.Broken > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d broken", e.Broken, e.Established))
	}
	if len(e.Moves) > 0 {
		parts = append(parts, fmt.Sprintf("%d moved", len(e.Moves)))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ") + fmt.Sprintf("; %d ms", e.Longest.Duration().Milliseconds())
}

// String is what is allowed, for a person.
func (a allowance) String() string {
	var parts []string
	for _, way := range fleet.Ways {
		c := a[way]
		if c == (cost{}) {
			continue
		}
		var list []string
		switch {
		case c.throughout:
			list = append(list, "all the time, and "+length(c.within)+" after")
		case c.within > 0:
			list = append(list, length(c.within))
		}
		if c.breaks {
			list = append(list, "connections")
		}
		if c.moves {
			list = append(list, "owners")
		}
		text := way + ": " + strings.Join(list, ", ")
		if c.why != "" {
			text += " (" + c.why + ")"
		}
		parts = append(parts, text)
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func length(d time.Duration) string {
	if d < time.Second || d%time.Second != 0 {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// report shows the table, and writes it into the page if that is asked for and the day was whole.
func report(t *testing.T, seed uint64, rows []row) {
	t.Helper()
	if *measure.Update && len(rows) != len(every()) {
		t.Fatalf("the table has %d of %d faults: it is written by a whole day", len(rows), len(every()))
	}
	if t.Failed() {
		t.Logf("not written, since what clients noticed is not all allowed:\n%s", table(rows))
		return
	}
	measure.Section(t, "reliability.md", "faults", fmt.Sprintf("`SEED=%d make chaos` repeats it.\n\n%s", seed, table(rows)))
}
