package layer2

import "time"

const (
	// refresh is the slow pace at which an address is announced for as long as it is owned. Switches forget
	// after five minutes, as a rule; some caches only learn from announcements.
	refresh = time.Minute
)

// burst are the pauses between the first announcements of an address: a takeover must be heard although
// frames get lost and ports come up late, and it is of use only if it is heard soon.
var burst = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// together is how far apart the times are at which addresses are announced at the slow pace: those of one time share
// a wake-up of the process, which costs more than a frame.
const together = time.Second

// next returns when an address is announced next, after so many announcements, the last of them now. Once the burst is
// over, jitter, from 0 to 1, spreads the addresses over time, so that they are not all announced in one instant.
func next(sent int, now time.Duration, jitter float64) time.Duration {
	if sent-1 < len(burst) {
		return now + burst[sent-1]
	}
	return (now + time.Duration(float64(refresh)*(0.75+jitter/2))).Round(together)
}
