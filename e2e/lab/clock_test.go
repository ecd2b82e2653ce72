package lab

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tellTimeVariable has the test binary write, again and again, its wall clock and how long it has run by the monotonic
// one.
const tellTimeVariable = "LAB_TEST_TELL_TIME"

func tellTime() {
	begin := time.Now()
	for range 2000 { // ends by itself if it is left alone
		fmt.Println(time.Now().UnixMilli(), time.Since(begin).Milliseconds())
		time.Sleep(10 * time.Millisecond)
	}
}

func TestMoveClock(t *testing.T) {
	ctx, l := sharedLab(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(tellTimeVariable, "1")
	p := l.Program("clock", l.CP, self, "clock")
	t.Cleanup(func() { _ = p.Kill() })
	var monotonic int64
	// off waits for a line after this moment, and returns how far the process's clock is from ours.
	off := func() time.Duration {
		t.Helper()
		log, _ := p.Log()
		seen := len(strings.Split(log, "\n"))
		var wall int64
		if err := wait(ctx, "the process to tell the time", func(context.Context) (bool, error) {
			log, err := p.Log()
			lines := strings.Split(log, "\n")
			if len(lines) < seen+3 {
				return false, err
			}
			fields := strings.Fields(lines[len(lines)-2])
			wall, _ = strconv.ParseInt(fields[0], 10, 64)
			before := monotonic
			monotonic, _ = strconv.ParseInt(fields[1], 10, 64)
			if monotonic < before || monotonic > before+5000 {
				t.Errorf("its monotonic clock went from %d to %d ms", before, monotonic)
			}
			return true, err
		}); err != nil {
			t.Fatal(err)
		}
		return time.UnixMilli(wall).Sub(time.Now()).Round(time.Minute)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if got := off(); got != 0 {
		t.Fatalf("it is off by %s to begin with", got)
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, 0} {
		if err := p.MoveClock(by); err != nil {
			t.Fatal(err)
		}
		if got := off(); got != by {
			t.Errorf("it is off by %s, want %s", got, by)
		}
	}
	if err := p.MoveClock(-time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	monotonic = 0
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if got := off(); got != -time.Hour {
		t.Errorf("started again it is off by %s, want -1h", got)
	}
	if err := p.MoveClock(time.Hour + time.Millisecond); err == nil {
		t.Error("a part of a second is possible")
	}
}
