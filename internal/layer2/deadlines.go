package layer2

import (
	"net/netip"
	"time"
)

// deadlines is a queue of addresses to come back to after one fixed time, so that what is due is at its
// front. Entries that no longer hold stay until they come to the front.
type deadlines struct {
	after time.Duration
	queue []deadline
}

type deadline struct {
	address netip.Addr
	since   time.Time
}

func (d *deadlines) add(a netip.Addr, since time.Time) {
	d.queue = append(d.queue, deadline{a, since})
}

// due takes out what is due and holds still.
func (d *deadlines) due(now time.Time, holds func(deadline) bool) (list []netip.Addr) {
	for len(d.queue) > 0 {
		first := d.queue[0]
		if valid := holds(first); valid && now.Sub(first.since) < d.after {
			break
		} else if valid {
			list = append(list, first.address)
		}
		d.queue = d.queue[1:]
	}
	return list
}

// next returns when something may be due; zero if never.
func (d *deadlines) next() time.Time {
	if len(d.queue) == 0 {
		return time.Time{}
	}
	return d.queue[0].since.Add(d.after)
}

// sooner returns the earlier of two times of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
