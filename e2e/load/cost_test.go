package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// expense is the processor time that there was spent until a moment.
type expense struct {
	at      time.Time
	process map[string]time.Duration // by program; speakers one by one
	machine time.Duration            // busy, of all processors
}

// backend is this process: it plays the backend, and the nodes' kubelets.
const backend = "backend, agents"

func spent(f *fleet.Fleet) (e expense, err error) {
	e = expense{at: time.Now(), process: map[string]time.Duration{}}
	for _, p := range f.Processes() {
		if !p.Running() {
			continue
		}
		used, err := p.CPUTime()
		if err != nil {
			return e, err
		}
		e.process[programOf(p)] += used
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return e, fmt.Errorf("reading the processor time of this process: %w", err)
	}
	e.process[backend] = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	times, err := measure.ReadCPUTimes()
	e.machine = times.Busy
	return e, err
}

// speakers is what their names begin with.
const speakers = "speaker-"

func programOf(p *lab.Process) string {
	if strings.HasPrefix(p.Name, speakers) {
		return p.Name
	}
	return p.Program()
}

// cost is processor time as parts of one processor, on average.
type cost struct {
	process map[string]float64
	machine float64
}

// since is what was spent from a moment until now.
func (e expense) since(f *fleet.Fleet) (c cost, err error) {
	now, err := spent(f)
	if err != nil {
		return c, err
	}
	took := now.at.Sub(e.at)
	c = cost{process: map[string]float64{}, machine: float64(now.machine-e.machine) / float64(took)}
	for name, used := range now.process {
		c.process[name] = float64(used-e.process[name]) / float64(took)
	}
	return c, nil
}

// noMore is what a speaker may use of a processor under load in addition: nothing, as far as a clock of 10 ms can tell in the
// few seconds of a quick run.
const noMore = 0.015

// inTheWay are the speakers that use more than without users, in sentences. No packet of a user goes through one.
func (c cost) inTheWay(idle cost) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(c.process)) {
		if used, before := c.process[name], idle.process[name]; strings.HasPrefix(name, speakers) && used > before+noMore {
			list = append(list, fmt.Sprintf("%s uses %.1f %% of a processor under load, and %.1f %% without", name, 100*used, 100*before))
		}
	}
	return list
}

func TestInTheWay(t *testing.T) {
	idle := cost{process: map[string]float64{"speaker-node1": 0.01, "kube-proxy": 0.01}}
	busy := cost{process: map[string]float64{"speaker-node1": 0.02, "kube-proxy": 0.5}}
	if got := busy.inTheWay(idle); got != nil {
		t.Errorf("%q", got)
	}
	busy.process["speaker-node1"] = 0.03
	if got := busy.inTheWay(idle); len(got) != 1 {
		t.Errorf("a speaker that uses 2 %% more is not told: %q", got)
	}
}
