package bfd

import (
	"context"
	"time"
)

const (
	// A socket is looked into at least so often; and where packets may follow each other quickly, as when a
	// session comes up or in a flood of them, so often for a while.
	lookEvery, lookOften = 50 * time.Millisecond, 5 * time.Millisecond
	busyFor              = 500 * time.Millisecond
	flood                = 100
)

// pace is when a socket is looked into, and what follows from when it was.
type pace struct {
	// looked is when it was last empty, busy until when to look into it more often; more is true while it was not
	// emptied.
	looked, busy time.Time
	more         bool
}

// hurry has it looked into more often for a while.
func (p *pace) hurry(now time.Time) { p.busy = now.Add(busyFor) }

// read takes note of how many datagrams were there.
func (p *pace) read(n int, now time.Time) {
	if n >= flood {
		p.hurry(now)
	}
	if p.more = n >= readAtOnce; !p.more {
		p.looked = now
	}
}

// arrived is when a datagram came that came at a time that the kernel tells: after the socket was last empty,
// whatever the clock says that the kernel reads.
func (p *pace) arrived(at, now time.Time) time.Time {
	switch {
	case at.Before(p.looked):
		return p.looked
	case at.After(now):
		return now
	}
	return at
}

// One draw of jitter is for all sessions: so packets that once went out together do again, and the process wakes once
// for all of them. What is due soon, within this part of its interval, goes along; the jitter keeps above the least
// of 0.75 (RFC 5880 section 6.8.7) by as much.
const along = 16

// jitterOf is the factor for the interval from a draw of [0,1).
func jitterOf(draw float64) float64 { return 1 - (.25-1./along)*draw }

// look is when to look again.
func (p *pace) look(now time.Time) time.Time {
	switch {
	case p.more:
		return now
	case now.Before(p.busy):
		return now.Add(lookOften)
	}
	return now.Add(lookEvery)
}

// sooner returns the earlier of two times, of which the second may be zero for never.
func sooner(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// loop takes steps until ctx ends: when it is kicked, and at the time that the last one said. A step is told when
// it was to be, so that it knows how late it is. The zero time is never.
func loop(ctx context.Context, kick <-chan struct{}, step func(wake time.Time) time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wake := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-kick:
		case <-timer.C:
		}
		if wake = step(wake); wake.IsZero() {
			wake = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(wake))
	}
}

func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
