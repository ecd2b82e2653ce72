package layer2

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/clocktest"
)

func TestAbsence(t *testing.T) {
	before := time.Now()
	for _, tt := range []struct {
		name string
		ran  time.Duration // by the monotonic clock
		set  time.Duration // the wall clock, meanwhile
		gap  time.Duration
		why  string
	}{
		{"it was here", time.Second, 0, time.Second, "this process did not run for 1s"},
		{"it was frozen", time.Minute, 0, time.Minute, "this process did not run for 1m0s"},
		{"it was frozen, and the clock was set back", time.Minute, -time.Hour, time.Minute, "this process did not run for 1m0s"},
		{"the clock was set back", time.Second, -time.Hour, time.Second, "this process did not run for 1s"},
		{"the clock was set forward, or the machine was suspended", time.Second, time.Hour, time.Hour + time.Second,
			"the clock went ahead by 1h0m0s: it was set, or this machine stood still"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gap, why := absence(before, clocktest.Set(before.Add(tt.ran), tt.set))
			if gap != tt.gap || why != tt.why {
				t.Errorf("%s, %q; want %s, %q", gap, why, tt.gap, tt.why)
			}
		})
	}
}
