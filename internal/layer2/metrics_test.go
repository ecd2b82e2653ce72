package layer2

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricSaysWhetherThisNodeAnswers(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		expect := func(when string, want float64) {
			t.Helper()
			synctest.Wait()
			if got := testutil.ToFloat64(e.Metrics.answering); got != want {
				t.Errorf("%s: %g, want %g", when, got, want)
			}
		}
		expect("before it has heard the others", 0)
		time.Sleep(joinGrace)
		expect("alone", 1)
		hang := make(chan bool)
		e.Update(func(*Elector) { e.start = func(func()) { hang <- true } }) // the others do not answer
		time.Sleep(pulse)
		e.post(func(now time.Time) { go func() { <-hang }(); e.freshen(now, "a test") })
		expect("cut off", 0)
	})
}

// The watchdog sees a turn that does not end, and no turn while there is nothing to do.
func TestEngineTellsWhenItIsBusy(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		busy := false
		e.Update(func(*Elector) { e.Busy = func(is bool) { busy = is } }) // in the loop
		time.Sleep(time.Minute)
		synctest.Wait()
		if busy {
			t.Error("busy, with nothing to do")
		}
		stuck := make(chan struct{})
		e.Update(func(*Elector) { <-stuck })
		time.Sleep(time.Minute)
		synctest.Wait()
		if !busy {
			t.Error("not busy, in a turn that does not end")
		}
		close(stuck)
	})
}
