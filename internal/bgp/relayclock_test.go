package bgp

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/clocktest"
)

func TestWhetherARouterIsSlowIsNotAMatterOfTheWallClock(t *testing.T) {
	for _, tt := range []struct {
		name    string
		after   time.Duration // the write began
		set     time.Duration // the wall clock, meanwhile
		stalled bool
	}{
		{name: "a write that has just begun", after: stallTime / 2},
		{name: "a write that takes long", after: stallTime * 2, stalled: true},
		{name: "a write that has just begun, and the clock is set forward", after: stallTime / 2, set: time.Hour},
		{name: "a write that takes long, and the clock is set back", after: stallTime * 2, set: -time.Hour, stalled: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRelay(Peer{}, nil, nil, nil, &tally{})
			now := time.Now()
			r.writes(now)
			if got := r.stalled(clocktest.Set(now.Add(tt.after), tt.set)); got != tt.stalled {
				t.Errorf("stalled is %v", got)
			}
		})
	}
}
