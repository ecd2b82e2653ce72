// Package measure is what the suites that measure have in common: runs of two sizes, waiting, and rows of figures.
package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Full is -full: the issues' numbers of rounds and lengths of time.
var Full = flag.Bool("full", false, "the issues' numbers of rounds, lengths of time and sizes")

// figuresVariable names a file to which the measured rows are appended, as rows of a Markdown table.
const figuresVariable = "FAIRLEAD_FIGURES"

// pollInterval is how often what is awaited is looked at.
const pollInterval = 20 * time.Millisecond

// Less is the first value, and the second with -full.
func Less[T any](quick, whole T) T {
	if *Full {
		return whole
	}
	return quick
}

// Report shows what was measured as a row of a table: the case, the number of nodes, what was reached, and what is to be
// reached.
func Report(t *testing.T, nodes int, what, bound, format string, args ...any) {
	t.Helper()
	row := fmt.Sprintf("| %s | %d | %s | %s |", what, nodes, fmt.Sprintf(format, args...), bound)
	t.Log(row)
	path := os.Getenv(figuresVariable)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(file, row)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

// Eventually waits until check returns nil, and fails with its last error if that does not come.
func Eventually(ctx context.Context, t *testing.T, what string, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	took, err := Await(ctx, limit, check)
	if err != nil {
		t.Fatalf("%s did not come within %s: %v", what, took.Round(time.Millisecond), err)
	}
	return took
}

// Await waits until check returns nil, and returns how long that took, or its last error if it does not come.
func Await(ctx context.Context, limit time.Duration, check func() error) (time.Duration, error) {
	begin := time.Now()
	for {
		err := check()
		took := time.Since(begin)
		if err == nil || ctx.Err() != nil || took > limit {
			return took, err
		}
		time.Sleep(pollInterval)
	}
}

// Pause waits, or ends the test if its time is over.
func Pause(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
}

// Times are durations of which the distribution counts.
type Times []time.Duration

// Part is the duration that so many in a hundred do not exceed.
func (l Times) Part(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func (l Times) String() string {
	return fmt.Sprintf("median %d ms, worst %d ms of %d", l.Part(50).Milliseconds(), l.Part(100).Milliseconds(), len(l))
}

// List is every one of them, in their order.
func (l Times) List() string {
	all := make([]string, len(l))
	for i, d := range l {
		all[i] = fmt.Sprint(d.Milliseconds())
	}
	return strings.Join(all, " ") + " ms"
}
