package layer2

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/clocktest"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// What a node says of itself is in times of its wall clock, which come without a monotonic one.
func TestAPenaltyEndsInTimeWhereTheClockIsSetBack(t *testing.T) {
	now := time.Now()
	e := NewElector("node1")
	e.SetPenalty("node2", lb.Penalty{Value: 4000, At: now.Round(0), Reuse: now.Round(0).Add(5 * time.Minute)}, now)
	if len(e.Damped(clocktest.Set(now.Add(4*time.Minute), -time.Hour))) != 1 {
		t.Error("node2 is not suppressed for as long as it said")
	}
	if damped := e.Damped(clocktest.Set(now.Add(6*time.Minute), -time.Hour)); len(damped) != 0 {
		t.Errorf("six minutes later, the clock having been set back by an hour: %v", damped)
	}
	e.SetPenalty("node3", lb.Penalty{Value: 1000, At: now.Round(0)}, now)
	if p := e.Penalty("node3"); !p.Reuse.IsZero() || p.Value != 1000 {
		t.Errorf("of a node that never was suppressed is known %+v", p)
	}
}
