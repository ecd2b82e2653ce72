package measure

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// A processor that somebody more urgent has is noticed, for as long as that lasts.
func TestProcessors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	type stall struct{ from, to time.Time }
	stalls := make(chan stall, 100)
	wait, err := Processors(ctx, func(from, to time.Time) { stalls <- stall{from, to} })
	if err != nil {
		t.Fatal(err)
	}
	// Not one of our own threads: the runtime would have others run in its place.
	hog := exec.CommandContext(ctx, "taskset", "-c", "0", "chrt", "-f", "2", "sh", "-c", "while :; do :; done")
	if err := hog.Start(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	time.Sleep(400 * time.Millisecond)
	end := time.Now()
	_ = hog.Process.Kill()
	_ = hog.Wait()
	time.Sleep(10 * beat)
	cancel()
	wait()
	close(stalls)
	for s := range stalls {
		if s.from.Before(end) && s.to.After(begin) && s.to.Sub(s.from) > 300*time.Millisecond {
			return
		}
	}
	t.Errorf("a processor was taken from %v to %v, and that was not noticed", begin, end)
}
