package bgp

import "time"

const (
	// minPause is what an attempt to connect waits after the second failure in a row.
	minPause = time.Second
	// manyFailures in a row, and a passive peer has to wait for minPause too before it may connect again: else one that
	// comes and goes would fill the log.
	manyFailures = 5
	// defaultConnectTime bounds the pause where a peer gives no bound.
	defaultConnectTime = 10 * time.Second
	// steady is for how long a session must have been established for its loss to be followed by an attempt at once:
	// else a router that ends sessions as soon as they are established would be asked without a pause.
	steady = 10 * time.Second
)

// pauseAfter is how long to wait before the next attempt to connect, after so many failures in a row: not at all after
// none, then twice as long each time, up to most. Jitter, from 0 to 1, takes up to a quarter away (RFC 4271 section
// 10), so that many nodes do not come at once.
func pauseAfter(failures int, most time.Duration, jitter float64) time.Duration {
	if failures == 0 {
		return 0
	}
	if most <= 0 {
		most = defaultConnectTime
	}
	pause := min(minPause, most)
	for range failures - 1 {
		if pause = 2 * pause; pause >= most {
			pause = most
			break
		}
	}
	return pause - time.Duration(jitter*float64(pause)/4)
}
