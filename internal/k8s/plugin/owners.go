package plugin

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/util/duration"
)

// OwnerRow is an address as `kubectl fairlead owners` shows it.
type OwnerRow struct {
	Address string `json:"address"`
	// Services that show the address, the oldest first.
	Services       []string `json:"services"`
	Pool           string   `json:"pool,omitempty"`
	Advertisements []string `json:"advertisements,omitempty"`
	// BGPAdvertisements that are for it, too.
	BGPAdvertisements []string `json:"bgpAdvertisements,omitempty"`
	// Owners are one as a rule, two while the speakers' statuses disagree, none if nobody owns the address or
	// Unknown is true: a speaker's list may leave it out.
	Owners  []string `json:"owners"`
	Unknown bool     `json:"unknown,omitempty"`
	// StandIns answer on the owner's behalf, with its hardware address, while its speaker is gone.
	StandIns   []string         `json:"standIns,omitempty"`
	Interfaces []OwnerInterface `json:"interfaces"`
	// Note says what there is to say beyond that.
	Note string `json:"note,omitempty"`

	address netip.Addr
}

// OwnerInterface is one on which an address is answered for.
type OwnerInterface struct {
	Node            string `json:"node"`
	Name            string `json:"name"`
	HardwareAddress string `json:"hardwareAddress,omitempty"`
}

// Ownership is what `kubectl fairlead owners` says.
type Ownership struct {
	Rows []OwnerRow `json:"addresses"`
	// Incomplete says of each speaker whose list leaves addresses out how many it shows.
	Incomplete []string `json:"incomplete,omitempty"`
}

// Owners are the addresses that Services show or speakers answer for, in order.
func Owners(s *Snapshot) *Ownership {
	g := newSegment(s)
	g.covering = newAdvertising(s).covering
	addresses := map[netip.Addr]bool{}
	for _, a := range slices.Concat(slices.Collect(maps.Keys(g.services)), slices.Collect(maps.Keys(g.said)), slices.Collect(maps.Keys(g.conflicts))) {
		addresses[a] = true
	}
	pools := allocator.New()
	pools.SetPools(poolValues(s.Pools))
	o := &Ownership{Rows: []OwnerRow{}}
	for _, a := range slices.SortedFunc(maps.Keys(addresses), netip.Addr.Compare) {
		o.Rows = append(o.Rows, g.row(a, pools))
	}
	for _, node := range g.cut {
		o.Incomplete = append(o.Incomplete, g.cutNote(node))
	}
	return o
}

func (g *segment) row(a netip.Addr, pools *allocator.Allocator) OwnerRow {
	row := OwnerRow{
		Address: a.String(), Services: []string{}, Owners: nonNilList(g.owners(a)), StandIns: g.standIns(a), Interfaces: []OwnerInterface{},
		Advertisements: g.view.VIPs[a].Scopes, BGPAdvertisements: g.covering(a), address: a,
	}
	row.Pool, _ = pools.PoolOf(a)
	for _, svc := range g.services[a] {
		row.Services = append(row.Services, k8s.Key(svc).String())
	}
	if len(row.Services) == 0 { // Services that may not be read, or are no more
		for _, x := range g.said[a] {
			if x.service != "" && !slices.Contains(row.Services, x.service) {
				row.Services = append(row.Services, x.service)
			}
		}
	}
	for _, x := range g.said[a] {
		if x.standsFor != "" && len(row.StandIns) == 0 {
			continue // its owner answers again
		}
		for _, name := range x.interfaces {
			row.Interfaces = append(row.Interfaces, OwnerInterface{x.node, name, g.hardwareAddress(cmp.Or(x.standsFor, x.node), name)})
		}
	}
	row.Unknown = len(row.Owners) == 0 && len(g.cut) > 0 && (g.unread() || len(row.Advertisements) > 0)
	row.Note = strings.Join(g.notes(row), "; ")
	return row
}

// notes are what there is to say of an address.
func (g *segment) notes(row OwnerRow) (notes []string) {
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	for _, c := range g.conflicts[row.address] {
		say("%s", g.conflictText(c))
	}
	if len(row.StandIns) > 0 {
		say("%s answers for it while %s's speaker is gone", enumerate(row.StandIns), enumerate(row.Owners))
	}
	if len(row.Owners) > 1 {
		say("listed by the speakers of %s", enumerate(row.Owners))
	}
	switch {
	case len(g.services[row.address]) == 0 && !g.lacks("Services"):
		if len(g.said[row.address]) > 0 {
			say("no Service shows it")
		}
	case len(row.Owners) > 0:
	case row.Unknown:
		say("owner unknown")
	case g.unread():
		say("no speaker lists it")
	case row.Pool == "":
		say("nobody: no pool holds it")
	case row.forBGP():
	case len(row.Advertisements) == 0 && slices.Contains(g.s.UnreadBGP, "BGPAdvertisements"):
		say("no L2Advertisement covers it")
	case len(row.Advertisements) == 0:
		say("nobody: no advertisement covers it")
	default:
		say("%s", g.nobody(row.address))
	}
	return notes
}

// mostReasons is of how many addresses it is said why nobody owns them: it costs some milliseconds each where
// there are hundreds of nodes, and as a rule it is the same for all.
const mostReasons = 200

// nobody says why no node owns an address.
func (g *segment) nobody(a netip.Addr) string {
	if g.reasons++; g.reasons > mostReasons {
		return "nobody; kubectl fairlead explain address says why"
	}
	verdicts := g.verdicts(a)
	switch {
	case next(verdicts) != "":
		return fmt.Sprintf("nobody yet: %s is to take it", next(verdicts))
	case len(verdicts) == 0:
		return "nobody: there is no node"
	}
	return "nobody may: " + refusals(verdicts)
}

// lacks tells whether a kind of objects could not be read.
func (g *segment) lacks(kind string) bool { return slices.Contains(g.s.Unread, kind) }

// conflictText says who else uses an address.
func (g *segment) conflictText(c conflict) string {
	text := "conflict: another host"
	if c.HardwareAddress != "" {
		text = "conflict: " + c.HardwareAddress
	}
	text += " uses it too"
	if c.Detected {
		text = strings.TrimSuffix(text, " too") + ", so it was not announced"
	}
	text += ", says " + c.node
	if c.Interface != "" {
		text += " on " + c.Interface
	}
	return fmt.Sprintf("%s (for %s)", text, g.since(c.Since.Time))
}

// Select returns the rows of certain addresses and Services, or all if none are named, of those that a node
// owns or answers for, or of all nodes for "". Missing are those that are named and have no row.
func (o *Ownership) Select(node string, addresses []netip.Addr, services []lb.Key) (selected *Ownership, missing []string) {
	named := map[string]bool{} // and whether there is a row
	for _, a := range addresses {
		named[a.String()] = false
	}
	for _, key := range services {
		named[key.String()] = false
	}
	selected = &Ownership{Rows: []OwnerRow{}, Incomplete: o.Incomplete}
	for _, row := range o.Rows {
		wanted := len(named) == 0
		for _, name := range append([]string{row.Address}, row.Services...) {
			if _, is := named[name]; is {
				wanted, named[name] = true, true
			}
		}
		if wanted && (node == "" || slices.Contains(row.Owners, node) || slices.Contains(row.StandIns, node)) {
			selected.Rows = append(selected.Rows, row)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !named[name] {
			missing = append(missing, name)
		}
	}
	return selected, missing
}

func ownersTable(rows []OwnerRow, f Format) *table {
	t := &table{header: []string{"ADDRESS", "SERVICE", "OWNER", "INTERFACE"}, styles: map[int]func(string) style{2: ownerStyle}, colour: f.Colour}
	if f.Wide {
		t.header = append(t.header, "HARDWARE-ADDRESS", "POOL", "ADVERTISEMENTS")
	}
	t.header = append(t.header, "NOTE")
	for _, r := range rows {
		cells := []string{r.Address, r.service(f.Wide), r.owner(), r.interfaces(func(i OwnerInterface) string { return i.Name })}
		if f.Wide {
			cells = append(cells, r.interfaces(func(i OwnerInterface) string { return i.HardwareAddress }),
				cmp.Or(r.Pool, "-"), cmp.Or(strings.Join(slices.Concat(r.Advertisements, r.BGPAdvertisements), ","), "-"))
		}
		t.add(append(cells, r.Note)...)
	}
	return t
}

// WriteOwners prints a table, with the notes beneath it where the terminal is too narrow for them, and what
// the speakers' lists leave out.
func WriteOwners(w io.Writer, o *Ownership, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	t := ownersTable(o.Rows, f)
	noted := slices.ContainsFunc(o.Rows, func(r OwnerRow) bool { return r.Note != "" })
	beneath := noted && !t.fits(f.Width)
	if !noted || beneath {
		t.dropLast()
	}
	if err := t.write(w, 0); err != nil {
		return err
	}
	var paragraphs []string
	if beneath {
		for _, r := range o.Rows {
			if r.Note != "" {
				paragraphs = append(paragraphs, r.Address+": "+r.Note)
			}
		}
	}
	for i, text := range append(paragraphs, o.Incomplete...) {
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

func (r OwnerRow) service(all bool) string {
	switch n := len(r.Services); {
	case n == 0:
		return "-"
	case n > 1 && !all:
		return fmt.Sprintf("%s +%d", r.Services[0], n-1)
	}
	return strings.Join(r.Services, ",")
}

func (r OwnerRow) owner() string {
	if r.Unknown {
		return "?"
	}
	if r.forBGP() {
		return "(BGP)"
	}
	return cmp.Or(strings.Join(r.Owners, ","), "-")
}

// forBGP tells whether nobody owns the address, and nobody is to: BGP alone is to advertise it.
func (r OwnerRow) forBGP() bool {
	return len(r.Owners) == 0 && len(r.Advertisements) == 0 && len(r.BGPAdvertisements) > 0
}

// interfaces joins something of the interfaces, each once.
func (r OwnerRow) interfaces(of func(OwnerInterface) string) string {
	var texts []string
	for _, i := range r.Interfaces {
		if text := cmp.Or(of(i), "?"); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return cmp.Or(strings.Join(texts, ","), "-")
}

func nonNilList(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ago is a time that has passed, in short. A clock that is behind the API server's makes it no less than nothing.
func ago(d time.Duration) string { return duration.HumanDuration(max(d, 0)) }
