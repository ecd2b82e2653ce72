package chaos

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// What has to be made anew after a fault is made in place of the old: the same faults again and again leave no more
// goroutines and descriptors each time than a fleet at rest has.
func TestLeaks(t *testing.T) {
	n := seed(t, *measure.Full)
	cheap := []fault{
		{target: "API server", what: "killed", lasts: time.Second, strike: kill(program("kube-apiserver"))},
		{target: "router", what: "killed", lasts: time.Second, strike: routerKilled(lab.BIRD)},
		{target: "gossip", what: "cut", lasts: time.Second, strike: amongAll},
	}
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	settle := func() {
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := f.Settled(limited); err != nil {
			spoil()
			t.Fatal(err)
		}
	}
	settle()
	before := usage(ctx, t, f)
	rounds := measure.Less(4, 12)
	for i := range rounds {
		for _, s := range slices.Concat(alone(n+uint64(i), cheap)...) {
			end, err := s.fault.strike(ctx, f, s.draws())
			if err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, s.fault.lasts)
			if err := end(ctx); err != nil {
				t.Fatal(err)
			}
		}
		settle()
	}
	// Watches of the API server are opened again after up to 30 s, and old connections are closed by timers: only then is
	// what is there what is there at rest.
	measure.Pause(ctx, t, measure.Less(10*time.Second, 40*time.Second))
	var list []string
	err := eventually(ctx, 20*time.Second, func() error {
		now, err := f.Usage(ctx)
		if err != nil {
			return err
		}
		if list = grown(before, now, rounds); list != nil {
			return fmt.Errorf("%q", list)
		}
		for name, u := range now {
			t.Logf("%s: %s at first, %s after %d rounds", name, before[name], u, rounds)
		}
		return nil
	})
	if err != nil {
		t.Errorf("after %d rounds: %v", rounds, err)
	}
}

// grown names what processes use more of, by one a round at least, and have not been started anew meanwhile. What is lost
// is lost in each round; what varies by itself does not grow with their number.
func grown(before, now map[string]fleet.Usage, rounds int) (list []string) {
	for name, u := range now {
		b, ok := before[name]
		if !ok || b.PID != u.PID {
			continue
		}
		if u.Goroutines-b.Goroutines >= rounds {
			list = append(list, fmt.Sprintf("%s had %d goroutines and has %d", name, b.Goroutines, u.Goroutines))
		}
		if u.Descriptors-b.Descriptors >= rounds {
			list = append(list, fmt.Sprintf("%s had %d descriptors and has %d", name, b.Descriptors, u.Descriptors))
		}
	}
	slices.Sort(list)
	return list
}

func TestGrown(t *testing.T) {
	before := map[string]fleet.Usage{"speaker": {PID: 1, Goroutines: 100, Descriptors: 30}}
	for _, tt := range []struct {
		name string
		last fleet.Usage
		want int
	}{
		{"as before", fleet.Usage{PID: 1, Goroutines: 100, Descriptors: 30}, 0},
		{"three more after four rounds", fleet.Usage{PID: 1, Goroutines: 103, Descriptors: 33}, 0},
		{"a goroutine more each round", fleet.Usage{PID: 1, Goroutines: 104, Descriptors: 30}, 1},
		{"a descriptor more each round", fleet.Usage{PID: 1, Goroutines: 100, Descriptors: 34}, 1},
		{"another process", fleet.Usage{PID: 2, Goroutines: 200, Descriptors: 60}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if list := grown(before, map[string]fleet.Usage{"speaker": tt.last}, 4); len(list) != tt.want {
				t.Errorf("it says %q", list)
			}
		})
	}
}
