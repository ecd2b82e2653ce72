package plugin

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteRoutes prints a table, with the reasons why something is not advertised beneath it where the terminal is too
// narrow for them: each once.
func WriteRoutes(w io.Writer, rows []RouteRow, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	return writeRoutes(w, rows, f, "")
}

func routesTable(rows []RouteRow, f Format, indent string) *table {
	t := &table{header: []string{indent + "PREFIX", "PEER", "ADVERTISED", "NODES"}, styles: map[int]func(string) style{2: stateStyle}, colour: f.Colour}
	if f.Wide {
		t.header = append(t.header, "NEXT-HOPS", "SERVICES")
	}
	t.header = append(t.header, "LOCAL-PREF", "COMMUNITIES", "WHY-NOT")
	for _, r := range rows {
		cells := []string{indent + r.Prefix, cmp.Or(r.Peer, "-"), "no", r.nodes(f.Wide)}
		if r.Advertised {
			cells[2] = "yes"
		}
		if f.Wide {
			cells = append(cells, r.hops(), cmp.Or(strings.Join(r.Services, ","), "-"))
		}
		pref := "-"
		if r.LocalPref != nil {
			pref = strconv.FormatUint(uint64(*r.LocalPref), 10)
		}
		t.add(append(cells, pref, cmp.Or(strings.Join(r.Communities, ", "), "-"), r.Why)...)
	}
	return t
}

// writeRoutes prints the table indented.
func writeRoutes(w io.Writer, rows []RouteRow, f Format, indent string) error {
	t := routesTable(rows, f, indent)
	var why refused
	for _, r := range rows {
		why.add(r)
	}
	if len(why.list) > 0 && t.fits(f.Width) {
		return t.write(w, f.Width)
	}
	t.dropLast()
	if err := t.write(w, f.Width); err != nil {
		return err
	}
	for i, text := range why.texts() {
		if i == 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := writeParagraph(w, f.Width, text); err != nil {
			return err
		}
	}
	return nil
}

// writeRoutesSection prints what BGP does as a part of an explanation, if there is anything to say.
func writeRoutesSection(w io.Writer, rows []RouteRow, f Format) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "\nBGP:"); err != nil {
		return err
	}
	return writeRoutes(w, rows, f, "  ")
}

// names are those of the nodes.
func (r RouteRow) names() (names []string) {
	for _, n := range r.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// nodes are the names of the nodes, or how many there are where these would take too much of a terminal.
func (r RouteRow) nodes(all bool) string {
	const most = 24
	text := strings.Join(r.names(), ",")
	if !all && len(r.Nodes) > 1 && len(text) > most {
		return count(len(r.Nodes), "node")
	}
	return text
}

// hops are the next hops, in the order of the nodes.
func (r RouteRow) hops() string {
	if !r.Advertised {
		return "-"
	}
	var hops []string
	for _, n := range r.Nodes {
		hops = append(hops, cmp.Or(n.NextHop, "?"))
	}
	return strings.Join(hops, ",")
}

// refused are reasons why prefixes are not advertised, in the order of the first prefix of each.
type refused struct {
	list     []refusal
	prefixes map[refusal][]string
}

// refusal is a reason with what it is the same for.
type refusal struct{ peer, nodes, why string }

func (x *refused) add(r RouteRow) {
	if r.Why == "" {
		return
	}
	of := refusal{r.Peer, few("node", r.names()), r.Why}
	if x.prefixes == nil {
		x.prefixes = map[refusal][]string{}
	}
	if x.prefixes[of] == nil {
		x.list = append(x.list, of)
	}
	x.prefixes[of] = append(x.prefixes[of], r.Prefix)
}

func (x *refused) texts() (texts []string) {
	for _, of := range x.list {
		what := enumerate(x.prefixes[of])
		if n := len(x.prefixes[of]); n > 3 {
			what = fmt.Sprintf("%d prefixes", n)
		}
		if of.peer != "" {
			what += " to " + of.peer
		}
		texts = append(texts, fmt.Sprintf("%s from %s: %s", what, of.nodes, of.why))
	}
	return texts
}
