package layer2

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Status is what the engine shows of itself.
type Status struct {
	Links []Link
	// Owned are the addresses that this node answers for, as owner or as stand-in.
	Owned map[netip.Addr]Owned
	// Damped are the nodes that were lost too often, sorted by name.
	Damped []Damped
	// Conflicts are the addresses that foreign hosts use too, sorted.
	Conflicts []ConflictReport
	// Detection is the timing of the sessions, such as "fast: 50 ms x 3"; Sessions are sorted by node.
	Detection string
	Sessions  []SessionStatus
	// LooseARP are the interfaces on which this node's kernel speaks ARP for the addresses of kube-proxy in IPVS mode,
	// sorted; none while no address is to be answered for.
	LooseARP []string
	// Takeovers are the last ones of this node, oldest first.
	Takeovers []Takeover
}

// Owned is an address that this node answers for.
type Owned struct {
	Service    lb.Key
	Interfaces []string
	// For is the resting node that this one stands in for; empty if this one is the owner.
	For string
	// Since is when this node became the owner, zero if it stands in. Cause is why; Resumed after a restart of the
	// speaker, whose former life knows the rest. From is who was the owner before.
	Since time.Time
	Cause Cause
	From  string
}

// ConflictReport is an address that a host uses which is none of the speakers' nodes.
type ConflictReport struct {
	Address      netip.Addr
	HardwareAddr net.HardwareAddr
	Interface    string
	Service      lb.Key
	// Since is when the host was first seen.
	Since time.Time
	// Detected is true if the host was found before the address was first announced.
	Detected bool
}

// SessionStatus is the state of a failure detection session with another node.
type SessionStatus struct {
	Node  string
	Up    bool
	Since time.Time
}

// Status returns a copy of the engine's status.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	s.Owned = maps.Clone(e.status.Owned)
	s.Takeovers = slices.Clone(e.status.Takeovers)
	return s
}

// Members returns the nodes whose speakers are heard, sorted, this one included. A node that was lost is none
// from the moment at which its addresses are taken over.
func (e *Engine) Members() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.members))
}

func (e *Engine) setMember(node string, member bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.members, node); member {
		e.members[node] = true
	}
}

// State returns how far this speaker takes part.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// setState tells whether the state is new.
func (e *Engine) setState(s State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.state != s
	e.state = s
	return changed
}

// Owns tells whether this node is the owner of an address.
func (e *Engine) Owns(address netip.Addr) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, ok := e.status.Owned[address]
	return ok && o.For == ""
}

// note brings the rest of the status up to date. It tells whether something has changed that is worth to be
// written down.
func (e *Engine) note(now time.Time) (changed bool) {
	damped := e.elector.Damped(now)
	detection, sessions := e.sessions.Status()
	e.Metrics.known.Set(float64(e.elector.counts.known))
	e.Metrics.ownerless.Set(float64(e.elector.counts.ownerless))
	conflicts, free := e.conflicts.reports(now)
	for _, address := range free {
		e.elector.Foreign(address, false) // whoever takes it asks the segment again
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var loose []string
	if e.elector.counts.known > 0 { // else nobody asks for one: with BGP alone it does no harm
		for _, l := range e.status.Links {
			if l.LooseARP {
				loose = append(loose, l.Name)
			}
		}
	}
	changed = !slices.EqualFunc(damped, e.status.Damped, func(a, b Damped) bool { return a.Node == b.Node && a.Reuse.Sub(b.Reuse).Abs() < time.Second }) ||
		!slices.Equal(sessions, e.status.Sessions) ||
		!slices.EqualFunc(conflicts, e.status.Conflicts, ConflictReport.same) ||
		!slices.Equal(loose, e.status.LooseARP)
	if changed {
		e.status.Damped, e.status.Detection, e.status.Sessions, e.status.Conflicts, e.status.LooseARP = damped, detection, sessions, conflicts, loose
		e.Metrics.damped.Set(float64(len(damped)))
		e.Metrics.conflicts.Set(float64(len(conflicts)))
	}
	return changed
}

func (r ConflictReport) same(other ConflictReport) bool {
	return r.Address == other.Address && string(r.HardwareAddr) == string(other.HardwareAddr) && r.Interface == other.Interface &&
		r.Since.Equal(other.Since) && r.Detected == other.Detected && r.Service == other.Service
}
