package measure

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// CPUTimes are what the machine's processors have done since it was started, all together.
type CPUTimes struct {
	Busy   time.Duration
	Stolen time.Duration // had something to do and did not run: the host of a virtual machine had given the processor to others
}

// tick is the unit of /proc/stat.
const tick = 10 * time.Millisecond

// ReadCPUTimes reads /proc/stat.
func ReadCPUTimes() (CPUTimes, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return CPUTimes{}, fmt.Errorf("reading what the machine does: %w", err)
	}
	return parseCPUTimes(string(text))
}

// parseCPUTimes reads the first line: idle and iowait are its fourth and fifth number, guests are in others already
// (proc_stat(5)).
func parseCPUTimes(text string) (CPUTimes, error) {
	line, _, _ := strings.Cut(text, "\n")
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return CPUTimes{}, fmt.Errorf("reading what the machine does from %q: %w", line, err)
	}
	return CPUTimes{Busy: time.Duration(user+nice+system+irq+softirq) * tick, Stolen: time.Duration(steal) * tick}, nil
}

// stolenOver is for how long what is stolen counts: the clock of /proc/stat is too coarse for less.
const stolenOver = 500 * time.Millisecond

// Stolen looks at what the host of a virtual machine takes of its processors, until end is called, which returns the most in half a
// second: 0 to 1, of all processors.
func Stolen(ctx context.Context) (end func() (float64, error)) {
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		most float64
		err  error
	}
	done := make(chan result, 1)
	go func() {
		ticker := time.NewTicker(stolenOver)
		defer ticker.Stop()
		var r result
		var last CPUTimes
		last, r.err = ReadCPUTimes()
		for at, over := time.Now(), false; !over && r.err == nil; {
			select {
			case <-ctx.Done():
				over = true
			case <-ticker.C:
			}
			var now CPUTimes
			now, r.err = ReadCPUTimes()
			if took := time.Since(at); !over || took >= stolenOver/2 {
				r.most = max(r.most, min(1, float64(now.Stolen-last.Stolen)/float64(took)/float64(runtime.NumCPU()))) // the host tells in bursts
			}
			at, last = time.Now(), now
		}
		done <- r
	}()
	return func() (float64, error) {
		cancel()
		r := <-done
		return r.most, r.err
	}
}
