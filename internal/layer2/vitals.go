package layer2

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// mostTargets is how many addresses of a node are asked at once, and mostWitnesses how many hosts are, beside those
// that spoke last.
const (
	mostTargets   = 3
	mostWitnesses = 8
	mostOverheard = 4
)

// neighborhood is what is known of another node's place on our segments.
type neighborhood struct {
	interfaces []lb.Interface
	gossip     netip.Addr // where it is reached by gossip; invalid until that is known
	served     bool       // its speaker has answered for what it owns since it was first heard

	// targets are where it is asked whether it is there, as long as addresses are announced where they were in this
	// generation of the elector's; zero if that is to be found out.
	targets    []Target
	generation uint64
}

// targets returns where to ask a node whether it is there: at addresses of its interfaces on segments of ours, those in a
// subnet that an interface of ours is in too. One on each of our interfaces is enough, IPv4 rather than IPv6.
//
// It is asked for clients, who need the segments where addresses are announced: a node whose cable there is cut may
// answer for ever where it has its storage. If it gossips on one of them, it is that one. If addresses are announced
// where it is and this node is not, all that counts is where it gossips.
func targets(links []Link, p *neighborhood, carries func(*lb.Interface) bool) []Target {
	var all, carrying, gossiping []Target
	for _, family := range lb.Families {
		for _, l := range links {
			if slices.ContainsFunc(all, func(t Target) bool { return t.Interface == l.Name }) {
				continue
			}
			t, of := target(l, p.interfaces, family)
			if of == nil {
				continue
			}
			all = append(all, t)
			gossips := hasAddress(*of, p.gossip)
			switch c := carries(&l.Interface); {
			case c && gossips:
				return []Target{t}
			case c:
				carrying = append(carrying, t)
			case gossips:
				gossiping = append(gossiping, t)
			}
		}
	}
	switch {
	case len(carrying) > 0:
		all = carrying
	case slices.ContainsFunc(p.interfaces, func(i lb.Interface) bool { return slices.ContainsFunc(i.Prefixes, isSubnet) && carries(&i) }):
		all = gossiping
	}
	return all[:min(mostTargets, len(all))]
}

// target returns an address at which a node can be asked from an interface of ours, and the interface that has it.
func target(l Link, interfaces []lb.Interface, family lb.Family) (t Target, of *lb.Interface) {
	for _, own := range l.Prefixes {
		for n, i := range interfaces {
			for _, p := range i.Prefixes {
				// One address at both ends is no segment: bridges for containers have the same one on each node.
				if lb.FamilyOf(p.Addr()) == family && isSubnet(own) && own.Masked() == p.Masked() && own.Addr() != p.Addr() && len(i.HardwareAddr) == 6 {
					return Target{Interface: l.Name, HardwareAddr: i.HardwareAddr, Address: p.Addr()}, &interfaces[n]
				}
			}
		}
	}
	return Target{}, nil
}

func hasAddress(i lb.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// join takes note of a node that says that it is there. It tells whether its speaker took no part before.
func (e *Engine) join(s lb.NodeState, now time.Time) (changed bool) {
	p := e.place(s.Node, s.Interfaces)
	e.elector.SetPenalty(s.Node, s.Penalty, now)
	switch {
	case s.Starting && e.health.Resting(s.Node):
		return false // it does not answer yet: whoever stands in for it goes on
	case s.Starting && p.served && e.health.Serving(s.Node):
		p.served = false
		return e.leave(s.Node, now) // it restarted so quickly that nobody missed it
	}
	p.served = !s.Starting
	delete(e.missed, s.Node)
	delete(e.lastHeard, s.Node)
	e.health.Serves(s.Node, s.Version)
	e.health.Askable(s.Node, len(e.targets(s.Node)) > 0)
	e.setMember(s.Node, true)
	if e.elector.Join(s.Node, s.Interfaces) {
		e.Log.Info("speaker takes part", "node", s.Node)
		changed = true
	}
	return changed
}

// meet takes note of a node that others hold to rest, and finds out itself.
func (e *Engine) meet(s lb.NodeState, now time.Time) {
	if e.peers[s.Node] != nil {
		return
	}
	e.place(s.Node, s.Interfaces)
	e.health.Serves(s.Node, s.Version)
	e.health.Askable(s.Node, len(e.targets(s.Node)) > 0)
	e.health.Leaves(s.Node, now)
	e.elector.Join(s.Node, s.Interfaces)
	e.rest(s.Node)
}

// rest has a node keep its addresses although its speaker is gone.
func (e *Engine) rest(node string) {
	e.setMember(node, false)
	e.group.Rest(node, true)
	e.elector.Rest(node)
}

// part takes a node's addresses from it.
func (e *Engine) part(node string, lost bool, now time.Time) {
	e.setMember(node, false)
	e.group.Rest(node, false)
	e.elector.Part(node, lost, now)
	e.Lost(node)
}

// forget forgets the places of those who were lost, once they are many: they may still be on the segment, but
// not all that ever were.
func (e *Engine) forget() {
	if len(e.peers) <= 2*len(e.health.peers)+64 {
		return
	}
	for name := range e.peers {
		if e.health.peers[name] == nil {
			e.place(name, nil)
			delete(e.peers, name)
			delete(e.missed, name)
			delete(e.lastHeard, name)
		}
	}
}

// place takes note of another node's interfaces.
func (e *Engine) place(node string, interfaces []lb.Interface) *neighborhood {
	p := e.peers[node]
	if p == nil {
		p = &neighborhood{}
		e.peers[node] = p
	}
	for _, i := range p.interfaces {
		for _, hw := range i.HardwareAddrs() {
			if e.byHardwareAddr[string(hw)] == node {
				delete(e.byHardwareAddr, string(hw))
			}
		}
	}
	for _, i := range interfaces {
		for _, hw := range i.HardwareAddrs() {
			e.byHardwareAddr[string(hw)] = node
		}
	}
	p.interfaces, p.generation = interfaces, 0
	return p
}

// leave takes note of a speaker's good-bye: it may only be restarting. It tells whether that is news.
func (e *Engine) leave(node string, now time.Time) bool {
	if !e.health.Leaves(node, now) {
		return false
	}
	e.Log.Info("speaker left, its addresses stay while it may come back", "node", node, "for", e.RestartGrace)
	e.rest(node)
	return true
}

// SessionChanged takes note of a session with another speaker that went up, or down because nothing was heard
// any more, which was last heard then. It may be called from any goroutine.
func (e *Engine) SessionChanged(node string, up bool, lastHeard time.Time) {
	e.post(func(now time.Time) {
		if up {
			if !e.health.Serving(node) {
				e.group.Suspect(node, false, 0) // for it to hear, and to contradict
			}
			return
		}
		fresh := e.health.Miss(node, now)
		e.health.LastHeard(node, lastHeard) // also if others were quicker to miss it
		if fresh {
			e.missed[node] = true
			e.group.Suspect(node, false, now.Sub(lastHeard))
		}
	})
}

// NotHeardBy takes note that another speaker says that it does not hear this one any more. It speaks, but it may hear
// nobody, as its clients are not: its kernel is asked. It may be called from any goroutine.
func (e *Engine) NotHeardBy(node string) {
	e.post(func(now time.Time) { e.health.Deaf(node, now) })
}

// judgement is what came of a look at the health of the others.
type judgement struct {
	changed bool
	wake    time.Time
}

// judge finds out what became of those who are heard no more, and tells the elector.
func (e *Engine) judge(now time.Time, late time.Duration) judgement {
	if e.health.allWell() {
		clear(e.asking)
	}
	for name := range e.health.unwell {
		e.targets(name) // whether it can be asked at all may have changed
	}
	f := e.health.Decide(now, late)
	for _, name := range f.Ask {
		for _, t := range e.targets(name) {
			e.ask(t)
		}
	}
	if f.Witness {
		for _, t := range e.witnesses(f.Ask) {
			e.ask(t)
		}
	}
	for _, name := range f.Query {
		for _, t := range e.queries(name) {
			e.ask(t)
		}
	}
	if e.isolated = f.Isolated; e.isolated {
		e.elector.Isolated(now)
	}
	for _, name := range f.Silent {
		e.group.Suspect(name, true, now.Sub(f.LastHeard[name]))
	}
	for _, name := range f.Resting {
		e.Log.Info("speaker is not heard, its node is there: its addresses stay while it may come back", "node", name, "for", e.RestartGrace)
		e.rest(name)
	}
	for _, name := range f.Lost {
		e.Log.Warn("node lost", "node", name, "found after", f.Detection[name].Round(time.Millisecond))
		e.Metrics.detection.Observe(f.Detection[name].Seconds())
		e.lastHeard[name] = f.LastHeard[name]
		e.part(name, true, now)
		if e.missed[name] {
			e.group.Suspect(name, true, now.Sub(f.LastHeard[name])) // for it to hear when it is back, and those who suspected nothing
		}
	}
	if len(f.Lost) > 0 {
		for _, name := range e.rewatch() {
			e.health.Doubt(name, now)
			f.Wake = now
		}
	}
	for _, name := range f.Gone {
		e.Log.Warn("speaker did not come back", "node", name, "within", e.RestartGrace)
		e.part(name, false, now)
	}
	e.forget()
	return judgement{changed: len(f.Resting)+len(f.Lost)+len(f.Gone) > 0, wake: f.Wake}
}

// prove finds out whether anybody hears this node, before it insists against the claims of others. Who is on no segment
// of ours cannot be asked: gossip shows it, within a second. It tells whether there is something to ask now.
func (e *Engine) prove(claimants []string, now time.Time) bool {
	claimants = slices.DeleteFunc(claimants, func(name string) bool { return len(e.targets(name)) == 0 })
	return len(claimants) > 0 && e.health.Prove(claimants, now)
}

// rewatch has those watched who take part. It returns whom this node watches from now on.
func (e *Engine) rewatch() (fresh []string) {
	addresses := e.group.Addresses()
	for name, a := range addresses {
		if p := e.peers[name]; p != nil && p.gossip != a {
			p.gossip, p.generation = a, 0
		}
	}
	return e.sessions.SetMembers(addresses, func(name string) bool { _, lost := e.lastHeard[name]; return lost })
}

// targets are where a node is asked: nowhere if it is forgotten.
func (e *Engine) targets(node string) []Target {
	p := e.peers[node]
	if p == nil {
		return nil
	}
	if p.generation != e.elector.generation {
		p.targets, p.generation = targets(e.status.Links, p, e.elector.carries), e.elector.generation
		e.health.Askable(node, len(p.targets) > 0)
	}
	return p.targets
}

// askable tells whether any other node can be asked.
func (e *Engine) askable() bool {
	for name := range e.peers {
		if len(e.targets(name)) > 0 {
			return true
		}
	}
	return false
}

func (e *Engine) ask(t Target) {
	e.asking[t.Interface] = true
	if err := e.responder.Probe(t); err != nil {
		e.Log.Debug("asking on the segment", "interface", t.Interface, "address", t.Address, "error", err)
	}
}

// witnesses returns hosts that would answer if this node were not cut off: other nodes, and whoever the kernel
// had to do with lately.
func (e *Engine) witnesses(suspects []string) (list []Target) {
	// Only where the suspects are: the Pods on a bridge of this node answer whatever becomes of its cable.
	var names []string
	for _, name := range suspects {
		for _, t := range e.targets(name) {
			if !slices.Contains(names, t.Interface) {
				names = append(names, t.Interface)
			}
		}
	}
	for name := range e.peers {
		if len(list) == mostWitnesses/2 {
			break
		}
		if slices.Contains(suspects, name) || !e.health.Serving(name) {
			continue
		}
		there := e.targets(name)
		if i := slices.IndexFunc(there, func(t Target) bool { return slices.Contains(names, t.Interface) }); i >= 0 {
			list = append(list, there[i])
		}
	}
	add := func(t Target) {
		if !slices.Contains(suspects, e.byHardwareAddr[string(t.HardwareAddr)]) {
			list = append(list, t)
		}
	}
	found, err := e.neighbors(names)
	if err != nil {
		e.Log.Debug("reading the kernel's neighbours failed", "error", err)
	}
	for _, t := range found {
		if len(list) < mostWitnesses {
			add(t)
		}
	}
	for _, t := range e.overheard {
		if slices.Contains(names, t.Interface) {
			add(t)
		}
	}
	return list
}

// queries returns an address of each family that a node owns, to be asked of its speaker.
func (e *Engine) queries(node string) (list []Target) {
	for _, family := range lb.Families {
		address, ok := e.elector.OneOf(node, family)
		if !ok {
			continue
		}
		for _, t := range e.targets(node) {
			list = append(list, Target{Interface: t.Interface, HardwareAddr: t.HardwareAddr, Address: address})
		}
	}
	return list
}

// overhear takes note of a host that speaks, though not to us: that shows no more than that we hear. It is a witness to
// be asked, and where a client asks for an address it may be the only one.
func (e *Engine) overhear(t Target) {
	if !t.Address.IsValid() || t.Address.IsUnspecified() {
		return
	}
	e.overheard = slices.DeleteFunc(e.overheard, func(o Target) bool { return string(o.HardwareAddr) == string(t.HardwareAddr) })
	e.overheard = append(e.overheard, t)
	e.overheard = e.overheard[max(0, len(e.overheard)-mostOverheard):]
}

// answered takes note of another host's answer to a question of this node's. Its kernel has questions too, on segments
// that tell nothing of what clients see.
func (e *Engine) answered(s Sighting) {
	if !e.asking[s.Interface] {
		return
	}
	e.health.Heard(s.At)
	node := e.byHardwareAddr[string(s.HardwareAddr)]
	for _, t := range e.targets(node) {
		switch {
		case t.Interface != s.Interface:
		case t.Address == s.Address:
			e.health.Answered(node, s.At)
		case e.byHardwareAddr[string(s.Source)] == node && e.elector.owner(s.Address) == node:
			// Not its kernel, which speaks of link-local addresses by itself, nor somebody who stands in for it: those
			// send from their own hardware address.
			e.health.Attested(node, s.At)
		}
	}
}
