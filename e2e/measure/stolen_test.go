package measure

import (
	"testing"
	"time"
)

func TestParseCPUTimes(t *testing.T) {
	got, err := parseCPUTimes("cpu  4510653 300067 951911 3471632 15027 1 162851 1196401 0 0\ncpu0 1 2\n")
	want := CPUTimes{Busy: (4510653 + 300067 + 951911 + 1 + 162851) * 10 * time.Millisecond, Stolen: 1196401 * 10 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2 3", "cpu a b c d e f g h"} {
		if got, err := parseCPUTimes(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// What is busy here is not stolen, and whoever ends it at once is not told of a part of a second.
func TestStolen(t *testing.T) {
	for _, lasts := range []time.Duration{0, 2*stolenOver + stolenOver/5} {
		end := Stolen(t.Context())
		for until := time.Now().Add(lasts); time.Now().Before(until); {
		}
		if most, err := end(); err != nil || most < 0 || most > 1 {
			t.Errorf("stolen in %s: %v, %v", lasts, most, err)
		}
	}
}
