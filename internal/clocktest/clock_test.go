package clocktest

import (
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 48 * time.Hour, 0} {
		later := Set(now, by)
		if got := later.Sub(now); got != 0 {
			t.Errorf("set by %s, the monotonic clock goes by %s", by, got)
		}
		if got := later.UnixNano() - now.UnixNano(); got != int64(by) {
			t.Errorf("set by %s, the wall clock goes by %s", by, time.Duration(got))
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a time without a monotonic reading is set")
		}
	}()
	Set(now.Round(0), time.Hour)
}
