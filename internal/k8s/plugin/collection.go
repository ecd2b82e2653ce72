package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// collection is rows in the making.
type collection struct {
	rows     map[string]*RouteRow
	services map[netip.Prefix]map[string]bool
}

// add takes note that a node does what a row says with a prefix, for these Services among others. It is called for
// one node after another.
func (c *collection) add(row RouteRow, services []string, on RouteNode) {
	if c.services[row.prefix] == nil {
		c.services[row.prefix] = map[string]bool{}
	}
	for _, name := range services {
		c.services[row.prefix][name] = true
	}
	pref := ""
	if row.LocalPref != nil {
		pref = fmt.Sprint(*row.LocalPref)
	}
	key := strings.Join(append([]string{row.prefix.String(), row.Peer, pref, row.Why}, row.Communities...), "\x00")
	known := c.rows[key]
	if known == nil {
		known = &row
		c.rows[key] = known
	}
	if n := len(known.Nodes); n == 0 || known.Nodes[n-1].Name != on.Name { // else for another address of an aggregate
		known.Nodes = append(known.Nodes, on)
	}
}

// sorted returns the rows.
func (c *collection) sorted() []RouteRow {
	rows := make([]RouteRow, 0, len(c.rows))
	served := map[netip.Prefix]bool{}
	for _, r := range c.rows {
		served[r.prefix] = served[r.prefix] || (!r.moot && r.Peer != "")
	}
	for _, r := range c.rows {
		if r.moot && served[r.prefix] {
			continue
		}
		r.Prefix = r.prefix.String()
		r.Services = slices.Sorted(maps.Keys(c.services[r.prefix]))
		slices.SortFunc(r.Nodes, func(x, y RouteNode) int { return cmp.Compare(x.Name, y.Name) })
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(x, y RouteRow) int {
		return cmp.Or(x.prefix.Compare(y.prefix), cmp.Compare(x.Peer, y.Peer), cmp.Compare(x.Nodes[0].Name, y.Nodes[0].Name), cmp.Compare(x.Why, y.Why))
	})
	return rows
}
