package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fairlead-lb/fairlead/internal/k8s"
)

// Listing is a table that can be watched: each of its rows begins with cells that tell it from the others.
type Listing struct {
	// Keys is how many cells that are.
	Keys int
	// Kinds of objects that it is made of.
	Kinds []string
	rows  func(*Snapshot) *table
	// width of the terminal, at which the last column continues below itself; 0 for none.
	width int
}

// widthOf is what a listing wraps at.
func widthOf(f Format) int {
	if f.Wide {
		return 0
	}
	return f.Width
}

var (
	layer2Kinds = []string{"Services", "IPAddressPools", "Speakers", "Nodes", "L2Advertisements", "EndpointSlices", "BGPAdvertisements"}
	bgpKinds    = []string{"Services", "IPAddressPools", "Speakers", "Nodes", "EndpointSlices", "BGPAdvertisements", "BGPPeers", "BFDProfiles", "Communities"}
	// StatusKinds are those that status is made of.
	StatusKinds = slices.Concat(layer2Kinds, bgpKinds, []string{"Pods", "Leases"})
)

// PoolsListing is the table of pools, with what is wrong in its last column.
func PoolsListing(f Format) Listing {
	return Listing{1, []string{"IPAddressPools"}, func(s *Snapshot) *table {
		rows := Pools(s.Pools)
		t := poolsTable(rows, f)
		t.header = append(t.header, "WRONG")
		for i, r := range rows {
			var texts []string
			for _, fault := range r.Wrong {
				texts = append(texts, fault.Kind+": "+fault.Sentence)
			}
			t.rows[i] = append(t.rows[i], strings.Join(texts, "; "))
		}
		return t
	}, widthOf(f)}
}

// ServicesListing is the table of Services that are chosen.
func ServicesListing(f Format, choose func([]ServiceRow) []ServiceRow) Listing {
	return Listing{2, []string{"Services", "IPAddressPools"}, func(s *Snapshot) *table { return servicesTable(choose(Services(s)), f) }, widthOf(f)}
}

// OwnersListing is the table of addresses that are chosen.
func OwnersListing(f Format, choose func(*Ownership) *Ownership) Listing {
	return Listing{1, layer2Kinds, func(s *Snapshot) *table { return ownersTable(choose(Owners(s)).Rows, f) }, widthOf(f)}
}

// PeersListing is the table of sessions that are chosen.
func PeersListing(f Format, choose func([]PeerRow) []PeerRow) Listing {
	return Listing{2, []string{"Speakers", "Nodes", "BGPPeers"}, func(s *Snapshot) *table { return peersTable(choose(Peers(s)), f) }, widthOf(f)}
}

// RoutesListing is the table of routes that are selected, with a row for each node.
func RoutesListing(f Format, want Selection) Listing {
	return Listing{3, bgpKinds, func(s *Snapshot) *table {
		var rows []RouteRow
		for _, r := range Routes(s, want) {
			for _, n := range r.Nodes {
				one := r
				one.Nodes = []RouteNode{n}
				rows = append(rows, one)
			}
		}
		t := routesTable(rows, f, "")
		for i := range t.rows { // the node comes before what is to be said of it
			t.rows[i][2], t.rows[i][3] = t.rows[i][3], t.rows[i][2]
		}
		t.header[2], t.header[3] = "NODE", "ADVERTISED"
		t.styles = map[int]func(string) style{3: stateStyle}
		return t
	}, widthOf(f)}
}

// Watch prints a table, and then its rows as they change, each again in full; of one that is no more, what tells it
// from others and "(gone)". What changes with time alone, such as an uptime, is no change.
func Watch(ctx context.Context, c *k8s.Cluster, first *Snapshot, l Listing, w io.Writer, say func(string)) error {
	x := &watching{l: l, w: w, last: first}
	if err := x.begin(first); err != nil {
		return err
	}
	return Follow(ctx, c, first, l.Kinds, say, x.see)
}

// watching is the state of a Watch.
type watching struct {
	l      Listing
	w      io.Writer
	last   *Snapshot
	widths []int
	header bool
}

// begin prints the table, but for its header where there is no row yet.
func (x *watching) begin(s *Snapshot) error {
	t := x.l.rows(s)
	if len(t.rows) == 0 {
		return nil
	}
	return x.print(t, t.rows)
}

// see prints the rows that are not what they were. The last snapshot is looked at again as of now, so that times that
// have passed are the same in both.
func (x *watching) see(s *Snapshot) error {
	before := *x.last
	before.Time = s.Time
	was := map[string][]string{}
	for _, row := range x.l.rows(&before).rows {
		was[x.key(row)] = row
	}
	t := x.l.rows(s)
	var changed [][]string
	for _, row := range t.rows {
		if old, is := was[x.key(row)]; !is || !slices.Equal(old, row) {
			changed = append(changed, row)
		}
		delete(was, x.key(row))
	}
	x.last = s
	var gone [][]string
	for _, row := range was {
		last := make([]string, len(row))
		copy(last, row[:x.l.Keys])
		last[x.l.Keys] = "(gone)"
		gone = append(gone, last)
	}
	slices.SortFunc(gone, slices.Compare)
	return x.print(t, append(changed, gone...))
}

func (x *watching) key(row []string) string { return strings.Join(row[:x.l.Keys], "\x00") }

// print prints rows in columns that are never narrower than they once were.
func (x *watching) print(t *table, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	lines := rows
	if !x.header {
		lines = append([][]string{t.header}, rows...)
	}
	if x.widths == nil {
		x.widths = make([]int, len(t.header))
	}
	for _, row := range append([][]string{t.header}, rows...) {
		for i, cell := range row {
			x.widths[i] = max(x.widths[i], utf8.RuneCountInString(printable(cell)))
		}
	}
	indent := 0 // of the last column
	for _, n := range x.widths[:len(x.widths)-1] {
		indent += n + gap
	}
	var b strings.Builder
	for at, row := range lines {
		var line strings.Builder
		for i, cell := range row {
			cell = printable(cell)
			if i == len(row)-1 && x.l.width > 0 {
				if broken := wrap(cell, max(x.l.width-indent, leastWrap)); len(broken) > 1 {
					line.WriteString(strings.Join(broken, "\n"+strings.Repeat(" ", indent)))
					continue
				}
			}
			padding := strings.Repeat(" ", x.widths[i]-utf8.RuneCountInString(cell)+gap)
			if of := t.styles[i]; t.colour && of != nil && (x.header || at > 0) && cell != "(gone)" {
				cell = of(cell).of(cell)
			}
			line.WriteString(cell + padding)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	x.header = true
	if _, err := io.WriteString(x.w, b.String()); err != nil {
		return fmt.Errorf("printing what changed: %w", err)
	}
	return nil
}

// WatchStatus prints the status whenever something of it changes: on a terminal in place of what was there, else below
// it, with the time.
func WatchStatus(ctx context.Context, c *k8s.Cluster, first *Snapshot, w io.Writer, f func() Format, say func(string)) error {
	shown := ""
	see := func(s *Snapshot) error {
		var b strings.Builder
		format := f()
		if err := WriteStatus(&b, MakeStatus(s), format); err != nil || b.String() == shown {
			return err
		}
		var err error
		switch {
		case format.Width > 0:
			_, err = io.WriteString(w, "\x1b[H\x1b[2J"+b.String()) // ECMA-48 8.3.21 and 8.3.39: home, erase the page
		case shown == "":
			_, err = io.WriteString(w, b.String())
		default:
			_, err = fmt.Fprintf(w, "\n%s\n%s", s.Time.Format(time.RFC3339), b.String())
		}
		shown = b.String()
		return err
	}
	if err := see(first); err != nil {
		return err
	}
	return Follow(ctx, c, first, StatusKinds, say, see)
}
