package layer2

import (
	"sync/atomic"
	"time"
)

// lease is until when this node may answer without hearing more. A process that was frozen, or a machine that
// was starved, finds requests and timers waiting when it goes on: by then the addresses may be another's. The
// time is the monotonic clock's, so that setting the clock neither ends nor extends it.
type lease struct {
	began time.Time
	end   atomic.Int64 // nanoseconds after began
}

func (l *lease) renew(until time.Time) { l.end.Store(int64(until.Sub(l.began))) }

func (l *lease) holds() bool { return int64(time.Since(l.began)) < l.end.Load() }
