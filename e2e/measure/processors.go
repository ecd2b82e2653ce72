package measure

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// StoodStill is for how long a processor may do nothing and nobody notice: who stands still for 200 ms may lose a router's
// BFD session of 3 x 100 ms.
const StoodStill = 150 * time.Millisecond

// beat is how long each processor's thread sleeps between two looks at the clock.
const beat = 10 * time.Millisecond

// Processors tells of each time, of StoodStill or more, in which a processor did not run what was next on it, until ctx is
// done: the host of a virtual machine gives a processor to others for a while, and what is on it stands still, though what
// is on the next one goes on. A thread on each processor that goes before all others looks. wait returns once it has ended.
func Processors(ctx context.Context, stood func(from, to time.Time)) (wait func(), err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var running sync.WaitGroup
	begun := make(chan error)
	threads := 0
	for cpu := range 64 * len(all) {
		if !all.IsSet(cpu) {
			continue
		}
		threads++
		running.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			err := first(cpu)
			begun <- err
			if err != nil {
				return
			}
			for last := time.Now(); ctx.Err() == nil; {
				pause := unix.NsecToTimespec(int64(beat))
				_ = unix.Nanosleep(&pause, nil)
				now := time.Now()
				if now.Sub(last)-beat >= StoodStill {
					stood(last, now)
				}
				last = now
			}
		})
	}
	for range threads {
		if e := <-begun; e != nil {
			err = e
		}
	}
	return running.Wait, err
}

// Still counts how often a processor stood still, and for how long at most, until end is called. It may be called though
// there is an error, for which some processors are not looked at.
func Still(ctx context.Context) (end func() (times int, longest time.Duration), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var mu sync.Mutex
	var times int
	var longest time.Duration
	wait, err := Processors(ctx, func(from, to time.Time) {
		mu.Lock()
		defer mu.Unlock()
		times, longest = times+1, max(longest, to.Sub(from))
	})
	return func() (int, time.Duration) {
		cancel()
		wait()
		return times, longest
	}, err
}

// first has the calling thread run on one processor, before all that is not urgent, too.
func first(cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity to processor %d: %w", cpu, err)
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
		return fmt.Errorf("sched_setattr: %w", err)
	}
	return nil
}
