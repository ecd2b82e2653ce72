package page

import (
	"fmt"
	"testing"
	"time"
)

func TestHistory(t *testing.T) {
	begin := time.UnixMilli(1_000_000_000)
	type note struct {
		after  time.Duration
		v4, v6 int64
	}
	for _, tt := range []struct {
		name  string
		notes []note
		want  string // seconds since begin, IPv4, IPv6
	}{
		{"the first is when it was first known", []note{{0, 3, 0}}, "[0 3 0]"},
		{"what does not change is no step", []note{{0, 3, 0}, {time.Hour, 3, 0}}, "[0 3 0]"},
		{"a change is a step", []note{{0, 3, 0}, {time.Hour, 4, 1}}, "[0 3 0] [3600 4 1]"},
		{"changes within a minute are one step, of the last value", []note{{0, 3, 0}, {time.Hour, 4, 0}, {time.Hour + 59*time.Second, 9, 0}}, "[0 3 0] [3600 9 0]"},
		{"a minute later is another step", []note{{0, 3, 0}, {time.Minute, 4, 0}}, "[0 3 0] [60 4 0]"},
		{"a clock that is set back makes no step before the last", []note{{time.Hour, 3, 0}, {0, 4, 0}}, "[3600 4 0]"},
		{"after a day the past goes, but for what held at its end", []note{{0, 1, 0}, {time.Hour, 2, 0}, {2 * time.Hour, 3, 0}, {26 * time.Hour, 4, 0}},
			"[7200 3 0] [93600 4 0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h History
			for _, n := range tt.notes {
				h.Note("main", begin.Add(n.after), n.v4, n.v6)
			}
			var got string
			for i, s := range h.Of("main") {
				if i > 0 {
					got += " "
				}
				got += fmt.Sprint([]int64{(s[0] - begin.UnixMilli()) / 1000, s[1], s[2]})
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	var h History
	h.Note("main", begin, 1, 0)
	if h.Forget("main"); len(h.Of("main")) > 0 {
		t.Error("a pool that is gone has a usage")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	now := time.UnixMilli(1_000_000_000)
	for i := range 10_000 {
		h.Note("main", now, int64(i), 0)
		now = now.Add(20 * time.Second)
	}
	if n := len(h.Of("main")); n > 24*60+1 {
		t.Errorf("%d steps in a day", n)
	}
}

// TestViewersFollowUsage has a viewer who gets only new steps hold what the history has.
func TestViewersFollowUsage(t *testing.T) {
	var h History
	var has []Step
	now := time.UnixMilli(1_000_000_000)
	for i := range 4000 {
		h.Note("main", now, int64(i/3), 0)
		now = now.Add(time.Duration(i%7) * 17 * time.Second)
		if i%5 != 0 {
			continue
		}
		if steps := newSteps(has, h.Of("main")); len(steps) > 0 {
			has = join(has, steps)
		}
		if fmt.Sprint(has) != fmt.Sprint(h.Of("main")) {
			t.Fatalf("after %d: the viewer has %d steps, the history %d", i, len(has), len(h.Of("main")))
		}
	}
}
