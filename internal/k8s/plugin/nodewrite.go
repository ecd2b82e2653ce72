package plugin

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// WriteNodes prints the nodes with their standing.
func WriteNodes(w io.Writer, rows []NodeStanding, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	t := table{header: []string{"NODE", "STANDING", "OWNS", "PEERS-UP", "WHY"}}
	for _, r := range rows {
		t.add(r.Node, string(r.Standing), strconv.Itoa(r.Owned), r.sessions(), r.Why)
	}
	return t.write(w, f.Width)
}

func (r NodeStanding) sessions() string {
	if r.Peers == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", r.PeersUp, r.Peers)
}

// WriteNodeExplanation prints an explanation.
func WriteNodeExplanation(w io.Writer, e *NodeExplanation, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	if _, err := fmt.Fprintf(w, "Node %s\n", printable(e.Node)); err != nil {
		return err
	}
	owns := counting(e.Owned, "address", "addresses")
	if e.StandingIn > 0 {
		owns += fmt.Sprintf(", and stands in for %s of others", counting(e.StandingIn, "address", "addresses"))
	}
	if n := e.IfLost; n != nil && n.Unlisted > 0 {
		owns += fmt.Sprintf(", of which its speaker lists all but %d", n.Unlisted)
	}
	standing := string(e.Standing)
	if e.Why != "" {
		standing += ": " + e.Why
	}
	facts := table{}
	addFacts(&facts, []factLines{{"standing", []string{standing}}, {"owns", []string{owns}}, {"interfaces", orNone(e.Interfaces)},
		{"conflicts", e.Conflicts}, {"if lost", e.IfLost.lines("nowhere")}, {"if drained", e.IfDrained.after(e.IfLost)}})
	if err := facts.write(w, f.Width); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		t     table
	}{{"Addresses, and why they are here:", e.addressTable()}, {"Advertisements:", e.advertisementTable()}, {"BGP sessions:", e.sessionTable()}} {
		if len(part.t.rows) == 0 {
			continue
		}
		if _, err := fmt.Fprintln(w, "\n"+part.title); err != nil {
			return err
		}
		if err := part.t.write(w, f.Width); err != nil {
			return err
		}
	}
	if e.Outcome == "" {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeProse(w, f.Width, e.Outcome)
}

// factLines are a name and the lines that there are of it; without lines it is left out.
type factLines struct {
	name  string
	lines []string
}

func addFacts(t *table, facts []factLines) {
	for _, fact := range facts {
		for i, line := range fact.lines {
			name := fact.name
			if i > 0 {
				name = ""
			}
			t.add("  "+name, line)
		}
	}
}

// lines say where addresses go, and what becomes of the rest in a word, and why.
func (f *Foresight) lines(rest string) []string {
	if f == nil {
		return nil
	}
	const most = 5
	lines := []string{f.text(rest)}
	for i, x := range f.Nowhere {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(f.Nowhere)-most))
			break
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %s", x.Address, x.Service, x.Why))
	}
	return lines
}

// after is what there is to say of a drain when what happens at a loss was said: why something goes nowhere is as a rule
// the same.
func (f *Foresight) after(lost *Foresight) []string {
	lines := f.lines("kept, as no other node may own it")
	if f != nil && lost != nil && slices.Equal(f.Nowhere, lost.Nowhere) {
		return lines[:1]
	}
	return lines
}

func (e *NodeExplanation) addressTable() table {
	t := table{header: []string{"  ADDRESS", "SERVICE", "FOR", "WHY"}}
	for _, a := range e.Addresses {
		age, why := "?", "its speaker does not say: it is of an earlier release"
		switch {
		case a.For == e.Node:
			age, why = "-", a.Node+" answers for it, while this node's speaker is gone"
		case a.For != "":
			age, why = "-", "on behalf of "+a.For+", whose speaker is gone for the moment"
		case a.Since != nil:
			age, why = a.age, a.because()
		}
		t.add("  "+a.Address, a.Service, age, why)
	}
	return t
}

func (e *NodeExplanation) advertisementTable() table {
	t := table{header: []string{"  ADVERTISEMENT", "SELECTS", "MAY-OWN", "WHY"}}
	for _, a := range e.Advertisements {
		selects, may := "yes", "-"
		if !a.Selects {
			selects = "no"
		}
		if a.Kind == "L2Advertisement" {
			may = fmt.Sprintf("%d of %d", a.May, a.All)
		}
		t.add("  "+strings.TrimSuffix(a.Kind, "Advertisement")+" "+a.Name, selects, may, a.Why)
	}
	return t
}

func (e *NodeExplanation) sessionTable() table {
	t := table{header: []string{"  PEER", "STATE", "UP", "PREFIXES", "WHY"}}
	for _, p := range e.Sessions {
		t.add("  "+p.Peer, p.state(), p.upFor(), p.prefixes(), cmp.Or(p.trouble(false), ""))
	}
	return t
}
