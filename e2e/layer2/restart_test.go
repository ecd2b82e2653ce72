package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// A speaker that goes and comes back moves nothing: no connection breaks, none fails, the owner stays.
func TestSpeakerRestart(t *testing.T) {
	for _, test := range []struct {
		name string
		away time.Duration
		do   func(context.Context, *lab.Process, time.Duration) error
	}{
		{"stopped (SIGTERM), started 1 s later", time.Second, func(ctx context.Context, p *lab.Process, away time.Duration) error {
			if err := p.Stop(ctx); err != nil {
				return err
			}
			if code, err := p.ExitCode(); err != nil || code != 0 {
				return fmt.Errorf("exit status %d: %v", code, err)
			}
			time.Sleep(away)
			return p.Start()
		}},
		{"killed (SIGKILL), started 2 s later", 2 * time.Second, func(_ context.Context, p *lab.Process, away time.Duration) error {
			if err := p.Kill(); err != nil {
				return err
			}
			time.Sleep(away)
			return p.Start()
		}},
		{"frozen (SIGSTOP) for 5 s", 5 * time.Second, func(_ context.Context, p *lab.Process, away time.Duration) error {
			if err := p.Freeze(); err != nil {
				return err
			}
			time.Sleep(away)
			return p.Thaw()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, large(), 3*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
				addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
				before := w.owners(ctx, t, addresses)
				node, vips := victim(t, before, nil)
				begin := time.Now()
				watch := w.watch(ctx, t, 100*time.Millisecond, vips...)
				load := w.load(ctx, t, 50, vips...)
				newcomer := w.newcomer(ctx, vips, test.away)
				if err := test.do(ctx, node.Speaker, test.away); err != nil {
					t.Fatal(err)
				}
				waited, err := newcomer()
				back := w.serving(ctx, t)
				outcome := load.stop()
				outcome.unharmed(t)
				unmoved(t, watch, begin, node, vips...)
				w.believed(t, node, vips...)
				if list := moved(before, w.owners(ctx, t, addresses), nil); list != nil {
					t.Errorf("there moved %v", list)
				}
				if err != nil {
					t.Errorf("a client that did not know the address: %v", err)
				}
				measure.Report(t, len(w.Nodes), "speaker "+test.name, "0 broken, 0 failed, owner unchanged", "%s; a new client waited %d ms; back after %d ms",
					outcome, waited.Milliseconds(), back.Milliseconds())
			})
		})
	}
}

// newcomer has a client that does not know the addresses yet ask for them in the middle of the time that a
// speaker is away. The function that it returns says how long the answers took.
func (w *world) newcomer(ctx context.Context, vips []netip.Addr, away time.Duration) func() (time.Duration, error) {
	type answer struct {
		took time.Duration
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		time.Sleep(away / 2)
		begin := time.Now()
		for _, a := range vips {
			limited, cancel := context.WithTimeout(ctx, 3*time.Second)
			err := w.Client(foreign).FlushNeighbor(a)
			if err == nil {
				_, err = w.Client(foreign).Await(limited, "tcp", at(a))
			}
			cancel()
			if err != nil {
				answers <- answer{time.Since(begin), err}
				return
			}
		}
		answers <- answer{time.Since(begin), nil}
	}()
	return func() (time.Duration, error) { a := <-answers; return a.took, a.err }
}

// All speakers are restarted one after another, as an update of the DaemonSet does.
func TestRollingRestart(t *testing.T) {
	each(t, large(), 10*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		before := w.owners(ctx, t, addresses)
		_, vips := victim(t, before, nil)
		load := w.load(ctx, t, 50, vips...)
		begin := time.Now()
		for _, n := range w.Nodes {
			if err := n.Speaker.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			measure.Pause(ctx, t, 300*time.Millisecond) // the next Pod's start
			if err := n.Speaker.Start(); err != nil {
				t.Fatal(err)
			}
			w.serving(ctx, t)
		}
		took := time.Since(begin)
		outcome := load.stop()
		outcome.unharmed(t)
		if list := moved(before, w.owners(ctx, t, addresses), nil); list != nil {
			t.Errorf("there moved %v", list)
		}
		measure.Report(t, len(w.Nodes), "rolling restart of all speakers", "0 broken, 0 failed, owner unchanged", "%s; it took %.1f s", outcome, took.Seconds())
	})
}

// All speakers are killed at once and started again.
func TestAllKilledAtOnce(t *testing.T) {
	each(t, large(), 3*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		_, vips := victim(t, w.owners(ctx, t, addresses), nil)
		load := w.load(ctx, t, 0, vips...)
		for _, do := range []func(*lab.Process) error{(*lab.Process).Kill, (*lab.Process).Start} {
			for _, n := range w.Nodes {
				if err := do(n.Speaker); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.serving(ctx, t)
		now := w.owners(ctx, t, addresses)
		measure.Report(t, len(w.Nodes), "all speakers killed at once, started at once", "one owner each afterwards", "%d addresses, one owner each; %s", len(now), load.stop())
	})
}

// A speaker that is frozen for longer than the grace is taken over from. When it wakes it does not answer with
// what it remembers, not even the questions that have piled up in its sockets.
func TestZombie(t *testing.T) {
	each(t, large(), 3*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		node, vips := victim(t, w.owners(ctx, t, addresses), nil)
		watch := w.watch(ctx, t, 100*time.Millisecond, vips...)
		frozen := time.Now()
		if err := node.Speaker.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = node.Speaker.Signal(syscall.SIGCONT) })
		measure.Pause(ctx, t, 22*time.Second)
		for _, a := range vips {
			if _, err := w.Client(asking).Await(ctx, "tcp", at(a)); err != nil {
				t.Error(err)
			}
		}
		successors := map[netip.Addr]*lab.Node{}
		for a, n := range w.owners(ctx, t, vips) {
			if successors[a] = n; n == node {
				t.Errorf("%s is still %s's, whose speaker is frozen for 22 s", a, n.Name)
			}
		}
		var taken measure.Times
		for _, a := range vips {
			for _, r := range watch.Rounds(a, frozen) {
				if len(r.MACs) == 1 && w.nodeByMAC(r.MACs[0]) != node {
					taken = append(taken, r.At.Sub(frozen))
					break
				}
			}
		}
		thawed := time.Now()
		if err := node.Speaker.Thaw(); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 4*time.Second)
		w.serving(ctx, t)
		rounds := alone(t, watch, thawed, vips...)
		for _, a := range vips {
			unmoved(t, watch, thawed, successors[a], a)
			w.believed(t, successors[a], a) // what the zombie announced would be believed
		}
		measure.Report(t, len(w.Nodes), "speaker frozen (SIGSTOP) for 22 s, then awake", "taken over after the grace; one answering MAC when it wakes",
			"taken over after %s; %d rounds of questions after it woke, one answer each", taken.List(), rounds)
	})
}
