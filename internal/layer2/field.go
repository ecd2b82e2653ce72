package layer2

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// field is the candidates of the best class for all addresses of the same scopes and subnets, as far as nothing is
// particular about an address. Where a node is lost all of its addresses are chosen owners for: what a choice costs
// then is to look at the candidates' loads and ranks. It is good until something changes that candidates depend on.
type field struct {
	nodes []fielded
	until time.Time // when the next of them is suppressed no longer; zero if none is
}

type fielded struct {
	name string
	load *int
}

// fromField is plan for most addresses. It tells whether this is one.
func (e *Elector) fromField(x *vip, now time.Time) (node string, ok bool) {
	if x.Endpoints != nil || x.foreign {
		return "", false
	}
	var passed map[string]bool
	if x.wait != nil {
		passed = x.wait.passed
	}
	if len(passed) >= 2 && len(e.flapping) > 0 {
		return "", false // suppression makes no difference to it any more
	}
	nodes := e.field(x, now).nodes
	sum, n := 1, 0
	for i := range nodes {
		if f := &nodes[i]; !passed[f.name] {
			sum, n = sum+*f.load, n+1
		}
	}
	if n == 0 {
		return "", len(nodes) == 0 // others may be of a lower class
	}
	if x.counted != "" {
		for i := range nodes {
			if nodes[i].name == x.counted && !passed[x.counted] {
				sum--
			}
		}
	}
	most := boundOf(sum, n)
	first, rank := -1, uint64(0)
	for i := range nodes {
		f := &nodes[i]
		if load := *f.load; load >= most && (load > most || f.name != x.counted) || passed[f.name] {
			continue
		}
		if r := lb.Rank(x.Address, f.name); first < 0 || r > rank || (r == rank && f.name < nodes[first].name) {
			first, rank = i, r
		}
	}
	return nodes[first].name, true // the least loaded node is below the bound
}

// field returns the field of an address.
func (e *Elector) field(x *vip, now time.Time) *field {
	if len(e.fields) == 0 {
		e.survey()
	}
	e.key = e.key[:0]
	for _, scope := range x.Scopes {
		e.key = append(append(e.key, scope...), 0)
	}
	for _, bits := range e.lengths {
		if p, err := x.Address.Prefix(bits); err == nil && e.subnets[p] {
			b := p.Addr().As16()
			e.key = append(append(e.key, b[:]...), byte(bits))
		}
	}
	f := e.fields[string(e.key)]
	if f != nil && (f.until.IsZero() || now.Before(f.until)) {
		return f
	}
	plain := &vip{VIP: VIP{Address: x.Address, Scopes: x.Scopes}}
	f = &field{}
	for _, c := range e.best(plain, now) {
		n := e.nodes[c.node]
		f.nodes = append(f.nodes, fielded{c.node, n.load})
	}
	for _, n := range e.flapping {
		if n.penalty.suppressed(now) {
			f.until = sooner(f.until, n.penalty.reuse)
		}
	}
	e.fields[string(e.key)] = f
	return f
}

// survey finds the subnets that any node is in: which of them an address is in is all that interfaces say of it.
func (e *Elector) survey() {
	e.subnets, e.lengths = map[netip.Prefix]bool{}, nil
	var seen [129]bool
	for _, n := range e.nodes {
		for i := range n.interfaces {
			for _, p := range n.interfaces[i].Prefixes {
				if isSubnet(p) {
					e.subnets[p.Masked()], seen[p.Bits()] = true, true
				}
			}
		}
	}
	for bits, yes := range seen {
		if yes {
			e.lengths = append(e.lengths, bits)
		}
	}
}
