package plugin

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// WriteExplanation prints an explanation.
func WriteExplanation(w io.Writer, e *Explanation, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	if _, err := fmt.Fprintf(w, "Service %s\n", e.Service); err != nil {
		return err
	}
	if e.NotOurs != "" {
		return writeProse(w, f.Width, e.NotOurs)
	}
	facts := table{}
	addFacts(&facts, []factLines{{"asks for", e.Asks}, {"has", e.Has}, {"condition", []string{e.Condition}}, {"ignored", e.Ignored}, {"endpoints", e.Endpoints}})
	if err := facts.write(w, f.Width); err != nil {
		return err
	}
	for _, family := range e.Families {
		if _, err := fmt.Fprintf(w, "\n%s, in the order in which pools are tried:\n", family.Family); err != nil {
			return err
		}
		t := table{header: []string{"  POOL", "SERVES", "WHY"}}
		for _, p := range family.Pools {
			t.add("  "+p.Pool, string(p.Serves), p.Why)
		}
		if err := t.write(w, f.Width); err != nil {
			return err
		}
	}
	if len(e.Answers) > 0 {
		if _, err := fmt.Fprintln(w, "\nOn the local segment:"); err != nil {
			return err
		}
		t := table{header: []string{"  ADDRESS", "ANSWERED-BY", "WHY"}}
		for _, a := range e.Answers {
			t.add("  "+a.Address, cmp.Or(strings.Join(a.Owners, ","), "nobody"), a.Why)
		}
		if err := t.write(w, f.Width); err != nil {
			return err
		}
	}
	if err := writeRoutesSection(w, e.Routes, f); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeProse(w, f.Width, e.Outcome)
}

// writeProse prints sentences, wrapped to the terminal.
func writeProse(w io.Writer, width int, text string) error {
	lines := []string{printable(text)}
	if width > 0 {
		lines = wrap(lines[0], width)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
