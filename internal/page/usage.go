package page

import (
	"slices"
	"sync"
	"time"
)

const (
	// usageStep is the least time between two steps of a pool's usage, and usageKept how far back they go: at most
	// 1440 of them, 34 KiB.
	usageStep = time.Minute
	usageKept = 24 * time.Hour
)

// History is the usage of pools over time. It is noted down as it changes, whether somebody looks or not. It may be
// used by several goroutines.
type History struct {
	mu    sync.Mutex
	pools map[string][]Step
}

// Note takes note of how many addresses of a pool are assigned from now on.
func (h *History) Note(pool string, now time.Time, ipv4, ipv6 int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pools == nil {
		h.pools = map[string][]Step{}
	}
	h.pools[pool] = note(h.pools[pool], now, ipv4, ipv6)
}

// Forget forgets a pool.
func (h *History) Forget(pool string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pools, pool)
}

// Of returns a pool's steps.
func (h *History) Of(pool string) []Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.pools[pool])
}

// note adds a step. Within a minute of the last one it replaces that.
func note(steps []Step, now time.Time, ipv4, ipv6 int64) []Step {
	step := Step{now.UnixMilli(), ipv4, ipv6}
	if len(steps) > 0 {
		last := &steps[len(steps)-1]
		switch {
		case last[1] == ipv4 && last[2] == ipv6:
			return steps
		case step[0]-last[0] < usageStep.Milliseconds(): // also if the clock was set back
			last[1], last[2] = ipv4, ipv6
			return steps
		}
	}
	return append(expire(steps, now), step)
}

// expire leaves out what is over. The last step before that time says what was so then.
func expire(steps []Step, now time.Time) []Step {
	begin := now.Add(-usageKept).UnixMilli()
	for len(steps) > 1 && steps[1][0] <= begin {
		steps = steps[1:]
	}
	return steps
}

// newSteps are the steps that somebody who has some of them lacks: from the last of these on.
func newSteps(has, steps []Step) []Step {
	if len(has) == 0 {
		return steps
	}
	last := has[len(has)-1]
	i := slices.IndexFunc(steps, func(s Step) bool { return s[0] > last[0] || s[0] == last[0] && s != last })
	if i < 0 {
		return nil
	}
	return steps[i:]
}

// join adds steps. The first replaces the last one that there was, if that is of its time.
func join(has, steps []Step) []Step {
	if n := len(has); n > 0 && has[n-1][0] == steps[0][0] {
		has = has[:n-1]
	}
	joined := slices.Concat(has, steps)
	return expire(joined, time.UnixMilli(joined[len(joined)-1][0]))
}
