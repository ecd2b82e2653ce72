package layer2

import (
	"net/netip"
	"path"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Scope says where an address may be announced from: what one advertisement allows. Scopes are shared
// between the addresses that an advertisement covers.
type Scope struct {
	// Name tells scopes apart; the advertisement's name.
	Name string
	// Nodes are the names of the nodes that its selectors match.
	Nodes map[string]bool
	// Interfaces are names or globs in the syntax of path.Match; empty for those with an address in the
	// subnet of the address to announce.
	Interfaces []string
}

// reach returns the names of the interfaces of a node on which a scope lets it answer for an address.
func (s *Scope) reach(address netip.Addr, interfaces []lb.Interface) (names []string) {
	for _, i := range interfaces {
		var match bool
		if len(s.Interfaces) == 0 {
			match = slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return isSubnet(p) && p.Contains(address) })
		} else {
			match = slices.ContainsFunc(s.Interfaces, func(glob string) bool {
				ok, err := path.Match(glob, i.Name)
				return ok && err == nil
			})
		}
		if match {
			names = append(names, i.Name)
		}
	}
	return names
}
