package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdog(t *testing.T) {
	const bound = mostLooks * watchInterval
	tests := []struct {
		name  string
		turn  func(*Loop) // for as long as the watchdog watches
		stuck bool
	}{
		{name: "a loop that has nothing to do is none the worse for it", turn: func(*Loop) {}},
		{name: "a loop that turns is alive", turn: func(l *Loop) {
			for range 10 {
				l.Busy(true)
				time.Sleep(bound / 5)
				l.Busy(false)
			}
		}},
		{name: "a turn may take long", turn: func(l *Loop) { l.Busy(true); time.Sleep(bound - watchInterval); l.Busy(false) }},
		{name: "a turn that does not end is stuck", turn: func(l *Loop) { l.Busy(true) }, stuck: true},
		{name: "it is told twice that a turn begins", turn: func(l *Loop) { l.Busy(true); l.Busy(true) }, stuck: true},
		{name: "a turn that ended after all", turn: func(l *Loop) { l.Busy(true); time.Sleep(2 * bound); l.Busy(false) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				w := &Watchdog{Log: slog.New(slog.NewTextHandler(&out, nil))}
				idle, loop := w.Watch("idle"), w.Watch("decider")
				idle.Busy(false)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				tt.turn(loop)
				time.Sleep(bound + watchInterval)
				synctest.Wait()
				err := w.Alive()
				if tt.stuck != (err != nil) || err != nil && err.Error() != "stuck for over 1m0s: decider" {
					t.Errorf("Alive = %v", err)
				}
				if told := strings.Count(out.String(), "stuck: to be restarted"); tt.stuck && told != 1 || told == 1 && !strings.Contains(out.String(), "goroutine ") {
					t.Errorf("told %d times:\n%s", told, &out)
				}
				cancel()
				<-done
			})
		})
	}
}

// A process that was stopped for an hour comes back with a turn that has taken an hour: ticks are what counts.
func TestWatchdogCountsNoTimeInWhichItDidNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Watchdog{Log: slog.New(slog.DiscardHandler)}
		w.Watch("decider").Busy(true)
		time.Sleep(time.Hour) // nobody looks
		w.look()
		if err := w.Alive(); err != nil {
			t.Error(err)
		}
	})
}
