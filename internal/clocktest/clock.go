// Package clocktest is for tests of what must not go by the wall clock. No clock is set by it: time.Now tells both the
// wall clock and the monotonic one, and a time is made in which the two disagree as they do once somebody has set the
// clock.
package clocktest

import (
	"time"
	"unsafe"
)

// Set is a moment as time.Now would tell it if the wall clock had been set forward by so much, in whole seconds: the
// monotonic clock goes on as if nothing were. It panics for a time without a monotonic reading.
func Set(now time.Time, by time.Duration) time.Time {
	// Since Go 1.9 a time with a monotonic reading has the seconds of its wall clock in the 33 bits above its lowest 30.
	const secondsAt = 30
	set := now
	*(*uint64)(unsafe.Pointer(&set)) += uint64(by/time.Second) << secondsAt
	if set.Sub(now) != 0 || set.Round(0).Sub(now.Round(0)) != by {
		panic("clocktest: the time has no monotonic reading, or Go keeps it in another way than this package knows")
	}
	return set
}
