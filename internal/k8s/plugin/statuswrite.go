package plugin

import (
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// mostLines is how many pools and nodes status lists each, without -o wide. Of more it lists those that are worth it.
const mostLines = 10

// WriteStatus prints the whole, and at its end what is wrong and what to do.
func WriteStatus(w io.Writer, st *Status, f Format) error {
	p := &printer{w: w}
	st.writeRunning(p, f)
	st.writePools(p, f)
	st.writeNodes(p, f)
	st.writeCounts(p, f)
	st.writeProblems(p, f)
	st.writeUnseen(p, f)
	switch {
	case st.Fine():
		p.say("\n%s", good.when(f, "Nothing is wrong."))
	case len(st.Problems) == 0:
		p.say("\n%s", doubt.when(f, "Nothing that could be read is wrong."))
	}
	return p.err
}

// printer prints until something fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) say(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(t *table, width int) {
	if p.err == nil {
		p.err = t.write(p.w, width)
	}
}

func (p *printer) paragraph(width int, text string) {
	if p.err == nil {
		p.err = writeParagraph(p.w, width, text)
	}
}

// when is of if colours are wanted.
func (s style) when(f Format, text string) string {
	if f.Colour {
		return s.of(text)
	}
	return text
}

// readyStyle is that of "2 of 3 ready".
func readyStyle(text string) style {
	var ready, all int
	if n, _ := fmt.Sscanf(text, "%d of %d", &ready, &all); n != 2 {
		return plain
	}
	if ready < all {
		return bad
	}
	return good
}

func (st *Status) writeRunning(p *printer, f Format) {
	t := &table{styles: map[int]func(string) style{1: readyStyle}, colour: f.Colour}
	if c := st.Controllers; c != nil {
		state, more := fmt.Sprintf("%d of %d ready", c.Ready, c.All), "none leads"
		if c.All == 0 {
			state = "no Pod in " + st.Namespace
		}
		if c.Leader != "" {
			more = printable(c.Leader) + " leads"
		} else if c.Ready > 0 && !st.lacks("Leases") && c.All == 1 {
			more = ""
		}
		if st.lacks("Pods") {
			state = "Pods not read"
		}
		if st.lacks("Leases") {
			more = ""
		}
		t.add("Controllers", state, joinedBy(", ", strings.Join(c.Images, " "), more))
	}
	if sp := st.Speakers; sp != nil {
		t.add("Speakers", fmt.Sprintf("%d of %d ready", sp.Ready, sp.All), printable(strings.Join(sp.Versions, " ")))
	}
	p.table(t, f.Width)
	if len(t.rows) > 0 {
		p.say("")
	}
}

// lacks tells whether a kind could not be read.
func (st *Status) lacks(kind string) bool {
	for _, u := range st.Unseen {
		if u.Kind == kind {
			return true
		}
	}
	return false
}

func (st *Status) writePools(p *printer, f Format) {
	rows, left := st.Pools, 0
	if len(rows) > mostLines && !f.Wide {
		rows = nil
		for _, r := range st.Pools {
			if len(rows) < mostLines && (r.Ready != "True" || len(r.Wrong) > 0) {
				rows = append(rows, r)
			} else {
				left++
			}
		}
	}
	if len(rows) > 0 {
		t := poolsTable(rows, f)
		t.header[0] = "POOL"
		p.table(t, f.Width)
	}
	if left > 0 {
		assigned := new(big.Int)
		for _, r := range st.Pools {
			for _, u := range []*v1alpha1.PoolFamilyStatus{r.IPv4, r.IPv6} {
				if u != nil {
					assigned.Add(assigned, big.NewInt(u.Assigned))
				}
			}
		}
		p.say("%s not shown; %s addresses of all %d pools are in use.", counting(left, "pool is", "pools are"), assigned, len(st.Pools))
	}
	if len(st.Pools) > 0 {
		p.say("")
	}
}

func (st *Status) writeNodes(p *printer, f Format) {
	rows, hidden := st.Nodes, []NodeRow{}
	if len(rows) > mostLines && !f.Wide {
		rows = nil
		for _, r := range st.Nodes {
			if r.remarkable() && len(rows) < mostLines {
				rows = append(rows, r)
			} else {
				hidden = append(hidden, r)
			}
		}
	}
	bgp := st.Sessions != nil && st.Sessions.All > 0
	t := &table{header: []string{"NODE", "SPEAKER", "ADDRESSES"}, colour: f.Colour, styles: map[int]func(string) style{1: speakerStyle}}
	if bgp {
		t.header = append(t.header, "BGP")
		t.styles[3] = func(text string) style { return readyStyle(strings.Replace(text, "/", " of ", 1)) }
	}
	t.header = append(t.header, "NOTE")
	noted := false
	for _, r := range rows {
		cells := []string{r.Name, r.Speaker, fmt.Sprint(r.Addresses)}
		if bgp {
			session := "-"
			if r.Sessions != nil {
				session = fmt.Sprintf("%d/%d", r.Sessions.Established, r.Sessions.All)
			}
			cells = append(cells, session)
		}
		t.add(append(cells, r.note())...)
		noted = noted || r.note() != ""
	}
	if !noted {
		t.dropLast()
	}
	if len(rows) > 0 {
		p.table(t, f.Width)
	}
	if len(hidden) > 0 {
		ready, owned := 0, 0
		for _, r := range hidden {
			owned += r.Addresses
			if r.Speaker == "ready" {
				ready++
			}
		}
		p.say("%s not shown: %d ready, with %s in all.", counting(len(hidden), "node is", "nodes are"), ready, counting(owned, "address", "addresses"))
	}
	if len(st.Nodes) > 0 {
		p.say("")
	}
}

// speakerStyle does not mind a node without a speaker: it may be meant to have none.
func speakerStyle(word string) style {
	if word == "none" {
		return plain
	}
	return stateStyle(word)
}

func (st *Status) writeCounts(p *printer, f Format) {
	if !st.lacks("Services") || st.Services.Namespace != "" {
		text := fmt.Sprintf("%d assigned", st.Services.Assigned)
		if n := st.Services.Pending; n > 0 {
			text += ", " + bad.when(f, fmt.Sprintf("%d pending", n))
		}
		if st.Services.Namespace != "" {
			text += " in namespace " + st.Services.Namespace + ", the rest was not read"
		}
		p.say("Services      %s", text)
	}
	if u := st.Sessions; u != nil && u.All > 0 {
		text := fmt.Sprintf("%d of %d established", u.Established, u.All)
		p.say("BGP sessions  %s", readyStyle(text).when(f, text))
	}
}

func (st *Status) writeProblems(p *printer, f Format) {
	if len(st.Problems) == 0 {
		return
	}
	p.say("\n%s", strong.when(f, "What is wrong, the worst first, and what to do:"))
	for _, x := range st.Problems {
		mark, s := "error", bad
		if x.Severity == SeverityWarning {
			mark, s = "warning", doubt
		}
		st.writeMarked(p, f, s.when(f, mark), len(mark), x.What)
		for _, text := range []string{x.Remedy, x.Command} {
			if text != "" {
				p.say("    %s", strings.Join(wrapIf(f.Width, 4, text, text == x.Command), "\n    "))
			}
		}
	}
}

// writeMarked prints a text behind a word, of which the terminal shows so many columns.
func (st *Status) writeMarked(p *printer, f Format, mark string, columns int, text string) {
	lines := []string{printable(text)}
	if f.Width > 0 {
		// The first line is shorter by the mark: it is wrapped with something in its place.
		lines = wrap(strings.Repeat("x", columns)+": "+lines[0], max(f.Width-2, leastWrap))
		lines[0] = strings.TrimPrefix(lines[0], strings.Repeat("x", columns)+": ")
	}
	p.say("%s: %s", mark, strings.Join(lines, "\n  "))
}

// wrapIf wraps a text behind an indent, but not a command, which is to be copied.
func wrapIf(width, indent int, text string, command bool) []string {
	if width == 0 || command {
		return []string{printable(text)}
	}
	return wrap(printable(text), max(width-indent, leastWrap))
}

func (st *Status) writeUnseen(p *printer, f Format) {
	if len(st.Unseen) == 0 {
		return
	}
	p.say("\n%s", strong.when(f, "What could not be seen, since you may not read it:"))
	t := &table{}
	for _, u := range st.Unseen {
		t.add("  "+u.Kind, u.Unknown)
	}
	p.table(t, f.Width)
}
