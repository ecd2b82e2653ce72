package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Watchdog is the task that notices when a loop of this process is stuck: a deadlock, which nothing but a restart
// ends. Loops have to be watched before it runs.
type Watchdog struct {
	Log *slog.Logger

	loops []*Loop
	mu    sync.Mutex
	stuck []string // the names of the loops that are
}

const (
	watchInterval = 5 * time.Second
	// mostLooks is how many looks in a row may find a loop at the same turn: a minute, where a turn takes
	// milliseconds. They are counted, not measured: a process that is stopped, or waits for a processor, makes none.
	mostLooks = 12
	// mostStacks is how much is logged of what the goroutines of a stuck process do.
	mostStacks = 64 << 10
)

// Loop is a loop that is watched.
type Loop struct {
	name string
	// turns counts the beginnings and the ends of turns: odd within one.
	turns atomic.Uint64

	// These are the watchdog's.
	last  uint64
	looks int
}

// Watch returns a loop to be watched.
func (w *Watchdog) Watch(name string) *Loop {
	l := &Loop{name: name}
	w.loops = append(w.loops, l)
	return l
}

// Busy tells that a turn begins, or that it has ended. A loop that waits for something to do is in none, and a turn
// must wait for nothing outside the process.
func (l *Loop) Busy(busy bool) {
	if busy != (l.turns.Load()%2 == 1) {
		l.turns.Add(1)
	}
}

// Alive returns nil, or which loops are stuck.
func (w *Watchdog) Alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.stuck) == 0 {
		return nil
	}
	return fmt.Errorf("stuck for over %s: %s", mostLooks*watchInterval, strings.Join(w.stuck, ", "))
}

// Run watches until ctx ends.
func (w *Watchdog) Run(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look()
		}
	}
}

func (w *Watchdog) look() {
	var stuck []string
	for _, l := range w.loops {
		now := l.turns.Load()
		if now%2 == 0 || now != l.last {
			l.last, l.looks = now, 0
			continue
		}
		if l.looks++; l.looks >= mostLooks {
			stuck = append(stuck, l.name)
		}
	}
	w.mu.Lock()
	news := len(stuck) > len(w.stuck)
	w.stuck = stuck
	w.mu.Unlock()
	if news {
		// After the restart that follows, only this tells what it was.
		stacks := make([]byte, mostStacks)
		stacks = stacks[:runtime.Stack(stacks, true)]
		w.Log.Error("stuck: to be restarted", "loops", strings.Join(stuck, ", "), "goroutines", string(stacks))
	}
}
