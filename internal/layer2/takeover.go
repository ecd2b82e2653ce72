package layer2

import (
	"net/netip"
	"time"
)

const (
	// mostTakeovers is how many are remembered, and mostTaken how many addresses of each.
	mostTakeovers = 32
	mostTaken     = 16
	// oneTakeover is within what time addresses that come from one node by one cause are one takeover.
	oneTakeover = time.Second
)

// Takeover is one or more addresses that this node took over from another at one time.
type Takeover struct {
	Time  time.Time
	From  string
	Cause Cause
	// Count is how many addresses, Addresses the first of them.
	Count     int
	Addresses []netip.Addr
	// Reason is why From may own the first of them no longer, where it Moved.
	Reason string
	// Duration is from when From was last heard until all were announced, where it was Lost; else zero: its node
	// forwarded meanwhile.
	Duration time.Duration
}

// tookOver takes note of an address that this node has just announced for the first time, having it from another.
func (e *Engine) tookOver(c Change) {
	now := e.clock()
	t := Takeover{Time: now, From: c.From, Cause: c.Cause, Count: 1, Addresses: []netip.Addr{c.Address}}
	if last, ok := e.lastHeard[c.From]; ok && c.Cause == Lost {
		t.Duration = max(now.Sub(last), 0)
	}
	if x, n := e.elector.vips[c.Address], e.elector.nodes[c.From]; x != nil && n != nil && c.Cause == Moved {
		t.Reason = e.elector.objection(c.From, n, x)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status.Takeovers = withTakeover(e.status.Takeovers, t)
}

// withTakeover adds a takeover of one address to a list, which it changes.
func withTakeover(list []Takeover, t Takeover) []Takeover {
	for i := len(list) - 1; i >= 0; i-- {
		same := &list[i]
		if same.From != t.From || same.Cause != t.Cause || t.Time.Sub(same.Time).Abs() > oneTakeover {
			continue
		}
		same.Count++
		same.Duration = max(same.Duration, t.Duration)
		if len(same.Addresses) < mostTaken {
			same.Addresses = append(same.Addresses, t.Addresses...)
		}
		return list
	}
	list = append(list, t)
	return list[max(len(list)-mostTakeovers, 0):]
}

// owned is what the status says of an address that this node answers for from now on.
func (e *Engine) owned(c Change, now time.Time) Owned {
	o := Owned{Service: c.Service, Interfaces: c.Interfaces, For: c.For}
	before, had := e.status.Owned[c.Address]
	switch {
	case c.For != "":
	case c.Claimed:
		o.Since, o.Cause, o.From = now, c.Cause, c.From
	case had && before.For == "": // on other interfaces, or for another Service
		o.Since, o.Cause, o.From = before.Since, before.Cause, before.From
	default:
		o.Since, o.Cause = now, Resumed
	}
	return o
}
