package layer2

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

const (
	// defendInterval is RFC 5227's DEFEND_INTERVAL: an address is defended no more often.
	defendInterval = 10 * time.Second
	// conflictMemory is how long a foreign host counts after it was seen last.
	conflictMemory = 10 * time.Minute
	// mostConflicts bounds what a host can make us remember.
	mostConflicts = 256
	// settleTime is what two speakers take to settle who is right about an address: the one that is announces it
	// again then.
	settleTime = 100 * time.Millisecond
	// retellAfter is when the segment of a large group is told of a claim for the second time, and of others for the first.
	retellAfter = 50 * time.Millisecond
	// sealedOctets is what a sealed payload may take of a frame.
	sealedOctets = 1400
)

// conflicts are the addresses that foreign hosts were seen to use.
type conflicts struct {
	by         map[netip.Addr]*conflict
	detecting  map[netip.Addr]*Change      // addresses that are asked for before they are announced
	inheriting map[netip.Addr]*inheritance // those of them that another system has
	met        map[string]*meeting         // other speakers that announced an address of this one's
}

// meeting is when it was last told of another speaker, and how often it was not since.
type meeting struct {
	told time.Time
	kept int
}

// tellAgain is how often it is told of one speaker at most: anybody can speak in its name, as often as he likes.
const tellAgain = time.Minute

// meet takes note that another speaker announces an address of this one's. It tells whether that is to be told, and how
// often it was not.
func (c *conflicts) meet(node string, now time.Time) (kept int, tell bool) {
	m := c.met[node]
	if m != nil && now.Sub(m.told) < tellAgain {
		m.kept++
		return 0, false
	}
	if m != nil {
		kept = m.kept
	}
	c.met[node] = &meeting{told: now}
	return kept, true
}

type conflict struct {
	ConflictReport
	seen, defended time.Time
}

func newConflicts() conflicts {
	return conflicts{
		by: map[netip.Addr]*conflict{}, detecting: map[netip.Addr]*Change{}, inheriting: map[netip.Addr]*inheritance{},
		met: map[string]*meeting{},
	}
}

// see takes note of a foreign host; of several at one address the first counts, or a host that changes its
// hardware address would make news without end. It tells whether that is news, and whether to defend the address now.
func (c *conflicts) see(s Sighting, service lb.Key, detected bool, now time.Time) (report ConflictReport, fresh, defend bool) {
	x := c.by[s.Address]
	if x == nil {
		if len(c.by) >= mostConflicts {
			return ConflictReport{}, false, false
		}
		x = &conflict{ConflictReport: ConflictReport{
			Address: s.Address, HardwareAddr: s.HardwareAddr, Interface: s.Interface, Service: service, Since: now, Detected: detected,
		}}
		c.by[s.Address] = x
		fresh = true
	}
	x.seen = now
	if defend = now.Sub(x.defended) >= defendInterval; defend {
		x.defended = now
	}
	return x.ConflictReport, fresh, defend
}

// reports returns what is still true, sorted, and forgets the rest. Of what it forgets it returns the addresses
// that were not answered for because of it.
func (c *conflicts) reports(now time.Time) (list []ConflictReport, free []netip.Addr) {
	for a, x := range c.by {
		if now.Sub(x.seen) >= conflictMemory {
			delete(c.by, a)
			if x.Detected {
				free = append(free, a)
			}
			continue
		}
		list = append(list, x.ConflictReport)
	}
	slices.SortFunc(list, func(a, b ConflictReport) int { return a.Address.Compare(b.Address) })
	return list, free
}

// asked takes note that an address is asked for no longer.
func (c *conflicts) asked(address netip.Addr) {
	delete(c.detecting, address)
	delete(c.inheriting, address)
}

// ended takes note that this node does not own an address any more.
func (c *conflicts) ended(address netip.Addr) {
	c.asked(address)
	if x := c.by[address]; x != nil && !x.Detected {
		delete(c.by, address)
	}
}

// sighted is called by the responder's goroutines.
func (e *Engine) sighted(s Sighting) {
	e.post(func(now time.Time) {
		switch s.Kind {
		case Answer:
			e.answered(s)
			return
		case Alive:
			e.overhear(Target{s.Interface, s.HardwareAddr, s.Address})
			return
		}
		e.contend(s, now)
	})
}

// contend deals with another host that has or wants an address which this node answers for.
func (e *Engine) contend(s Sighting, now time.Time) {
	own, ok := e.status.Owned[s.Address]
	if !ok {
		return
	}
	if node := e.byHardwareAddr[string(s.HardwareAddr)]; node != "" {
		// Another speaker, which gossip has not told of our claim, or us of its: who is right hears it from the
		// other on the segment, and the one that is wrong yields.
		if more, told := e.conflicts.meet(node, now); told {
			e.Log.Info("another speaker announces an address that this one answers for", "vip", s.Address, "node", node, "interface", s.Interface, "more", more)
		}
		e.broadcast([]netip.Addr{s.Address}, own.Interfaces)
		e.reassert = append(e.reassert, assertion{s.Address, now.Add(settleTime)})
		return
	}
	if s.Kind == Wanted {
		return // it was told that the address is taken; whoever uses it all the same is seen to
	}
	report, fresh, defend := e.conflicts.see(s, own.Service, false, now)
	if fresh {
		e.report(report)
	}
	if defend {
		e.responder.Announce(s.Address)
	}
}

// assertion is an address to announce again at a time, if it still is this node's.
type assertion struct {
	address netip.Addr
	at      time.Time
}

// reasserts announces what this node turned out to be right about. It returns when to look again.
func (e *Engine) reasserts(now time.Time) (next time.Time) {
	for len(e.reassert) > 0 {
		first := e.reassert[0]
		if first.at.After(now) {
			return first.at
		}
		e.reassert = e.reassert[1:]
		if _, owned := e.status.Owned[first.address]; owned {
			e.responder.Announce(first.address)
		}
	}
	return time.Time{}
}

// tidings is what the segment of a large group is told of this node's claims. A frame may be lost, and in a group of more
// than fewNodes nothing else brings a claim to who missed it before it is confirmed: by then that one may have claimed the
// address itself. So it is told twice. Where many nodes are lost each of the others claims address after address, as the
// losses are found: what is claimed between two frames goes with the second one.
type tidings struct {
	told, fresh []netip.Addr // once, and not yet
	at          time.Time    // of the next frame; zero if there is nothing to tell
}

// tell tells the segment of claims of this node.
func (e *Engine) tell(addresses []netip.Addr, now time.Time) {
	switch t := &e.tidings; {
	case len(e.elector.nodes) <= fewNodes:
		e.tellSegment(addresses)
	case t.at.IsZero():
		e.tellSegment(addresses)
		t.told, t.at = addresses, now.Add(retellAfter)
	default:
		t.fresh = append(t.fresh, addresses...)
	}
}

// retell tells the segment what is due. It returns when to look again.
func (e *Engine) retell(now time.Time) (next time.Time) {
	t := &e.tidings
	if t.at.IsZero() || t.at.After(now) {
		return t.at
	}
	e.tellSegment(slices.Concat(t.told, t.fresh))
	if *t = (tidings{told: t.fresh}); len(t.told) > 0 {
		t.at = now.Add(retellAfter)
	}
	return t.at
}

func (e *Engine) report(r ConflictReport) {
	e.Log.Warn("a foreign host uses an address of ours", "vip", r.Address, "service", r.Service, "hardware address", r.HardwareAddr, "interface", r.Interface)
	e.Metrics.conflictsSeen.Inc()
}

// detect asks the segment for an address before it is announced for the first time.
func (e *Engine) detect(c Change) {
	e.conflicts.detecting[c.Address] = &c
	e.askSegment(&c)
}

func (e *Engine) askSegment(c *Change) {
	e.responder.Detect(c.Address, c.Interfaces, c.Inherit, func(s *Sighting) {
		e.post(func(now time.Time) {
			switch {
			case e.conflicts.detecting[c.Address] != c:
				return // no longer ours, or asked for again
			case e.elector.claim(c.Address).Node != e.Node, // another's, as was just heard: it may not stay so
				c.Inherit && s != nil && e.inherit(c, s, now):
				time.AfterFunc(inheritPause, func() {
					e.post(func(time.Time) {
						if e.conflicts.detecting[c.Address] == c {
							e.askSegment(c)
						}
					})
				})
				return
			}
			e.conflicts.asked(c.Address)
			e.elector.Answers(c.Address)
			if s == nil || c.Inherit || e.byHardwareAddr[string(s.HardwareAddr)] != "" {
				// Another speaker that took the address at the same time, and asks for it too, is no foreign host:
				// its claim settles it. What a Service had before is not taken from it.
				e.own(*c)
				return
			}
			if report, fresh, _ := e.conflicts.see(*s, c.Service, true, now); fresh {
				e.report(report)
			}
			e.elector.Foreign(c.Address, true)
		})
	})
}

// heard is called by the responder's goroutines with what another speaker says on the segment.
func (e *Engine) heard(iface string, payload []byte) {
	beaten, err := e.group.Open(payload)
	if err != nil {
		e.Log.Debug("a frame with claims is not believed", "interface", iface, "error", err)
		return
	}
	if len(beaten) > 0 {
		// Whoever says so has not heard of the better claim: its owner tells it.
		e.post(func(time.Time) { e.tellSegment(beaten) })
	}
}

// tellSegment tells speakers that gossip may not reach the claims to those addresses that this node owns.
func (e *Engine) tellSegment(addresses []netip.Addr) {
	by := map[string][]netip.Addr{}
	for _, a := range addresses {
		if o := e.status.Owned[a]; o.For == "" { // nothing if it is not this node's any more
			for _, i := range o.Interfaces {
				by[i] = append(by[i], a)
			}
		}
	}
	for i, addresses := range by {
		e.broadcast(addresses, []string{i})
	}
}

func (e *Engine) broadcast(addresses []netip.Addr, interfaces []string) {
	for _, payload := range e.group.Seal(addresses, sealedOctets) {
		e.responder.Broadcast(interfaces, payload)
	}
}
