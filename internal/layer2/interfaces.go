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
	// Weights are the sums of the preferences that match a node; absent where none does. Of several scopes
	// that let a node own an address the highest weight counts: one advertisement is enough to own an
	// address, so one is enough to be preferred, and a second one takes nothing away.
	Weights map[string]int32
	// Interfaces are names or globs in the syntax of path.Match; empty for those with an address in the
	// subnet of the address to announce.
	Interfaces []string
	// Bind is true where the owner is to have the address on its interfaces too.
	Bind bool
}

// matches tells whether a scope lets a node answer for an address on an interface.
func (s *Scope) matches(address netip.Addr, i *lb.Interface) bool {
	if len(s.Interfaces) == 0 {
		return inSubnet(address, i)
	}
	for _, glob := range s.Interfaces {
		if ok, err := path.Match(glob, i.Name); ok && err == nil {
			return true
		}
	}
	return false
}

func inSubnet(address netip.Addr, i *lb.Interface) bool {
	for _, p := range i.Prefixes {
		if isSubnet(p) && p.Contains(address) {
			return true
		}
	}
	return false
}

// Reaches tells whether a scope lets a node with these interfaces answer for an address on one of them.
func (s *Scope) Reaches(address netip.Addr, interfaces []lb.Interface) bool {
	for i := range interfaces {
		if s.matches(address, &interfaces[i]) {
			return true
		}
	}
	return false
}

// fit tells whether advertisements and interfaces let a node own an address, and what weight it has for it.
func (e *Elector) fit(name string, n *node, x *vip) (weight int32, ok bool) {
	for _, scope := range x.Scopes {
		s := e.scopes[scope]
		if s == nil || !s.Nodes[name] || !s.Reaches(x.Address, n.interfaces) {
			continue
		}
		if w := s.Weights[name]; !ok || w > weight {
			weight = w
		}
		ok = true
	}
	return weight, ok
}

// selected tells whether an advertisement selects a node for an address, whatever its interfaces.
func (e *Elector) selected(name string, x *vip) bool {
	return slices.ContainsFunc(x.Scopes, func(scope string) bool {
		s := e.scopes[scope]
		return s != nil && s.Nodes[name]
	})
}

// via returns the interfaces on which a node may answer for an address, those with an address in its subnet
// first, then by name.
func (e *Elector) via(name string, n *node, x *vip) (list []*lb.Interface) {
	for _, scope := range x.Scopes {
		s := e.scopes[scope]
		if s == nil || !s.Nodes[name] {
			continue
		}
		for i := range n.interfaces {
			if f := &n.interfaces[i]; s.matches(x.Address, f) && !slices.Contains(list, f) {
				list = append(list, f)
			}
		}
	}
	slices.SortFunc(list, func(a, b *lb.Interface) int {
		if p := inSubnet(x.Address, a); p != inSubnet(x.Address, b) {
			if p {
				return -1
			}
			return 1
		}
		if a.Name < b.Name {
			return -1
		}
		return 1 // no two have one name
	})
	return list
}

// carries tells whether addresses are announced on such an interface, whosever.
func (e *Elector) carries(i *lb.Interface) bool {
	for _, s := range e.scopes {
		if len(s.Interfaces) > 0 && s.matches(netip.Addr{}, i) {
			return true
		}
	}
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool {
		p = p.Masked()
		populated, known := e.populated[p]
		if !known && isSubnet(p) {
			for _, x := range e.vips {
				if populated = p.Contains(x.Address) && slices.ContainsFunc(x.Scopes, e.bySubnet); populated {
					break
				}
			}
			e.populated[p] = populated
		}
		return populated
	})
}

// bySubnet tells whether a scope has addresses announced on the interfaces in their subnet.
func (e *Elector) bySubnet(scope string) bool {
	s := e.scopes[scope]
	return s != nil && len(s.Interfaces) == 0
}

// allElsewhere takes note that any address may be announced on other interfaces than before.
func (e *Elector) allElsewhere() {
	e.generation++
	clear(e.populated)
}

// elsewhere takes note that an address is announced on other interfaces than before, or is new.
func (e *Elector) elsewhere(a netip.Addr, isNew bool) {
	for p, populated := range e.populated {
		if p.Contains(a) && !(populated && isNew) {
			delete(e.populated, p)
			e.generation++
		}
	}
}

// opposite returns which of another node's interfaces is on the segment of one of this node's: one in the same subnet,
// else that of the same name, or the only one where each node has one; nil if it is not known which.
func opposite(i *lb.Interface, mine, theirs []*lb.Interface) *lb.Interface {
	for _, o := range theirs {
		if shareSubnet(i, o) {
			return o
		}
	}
	for _, o := range theirs {
		named := o.Name == i.Name || len(mine) == 1 && len(theirs) == 1
		if named && !slices.ContainsFunc(mine, func(m *lb.Interface) bool { return shareSubnet(m, o) }) {
			return o
		}
	}
	return nil
}

func shareSubnet(a, b *lb.Interface) bool {
	for _, p := range a.Prefixes {
		for _, q := range b.Prefixes {
			if isSubnet(p) && isSubnet(q) && p.Overlaps(q) {
				return true
			}
		}
	}
	return false
}

// names returns the names of interfaces, sorted.
func names(list []*lb.Interface) []string {
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
