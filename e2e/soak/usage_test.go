package soak

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// What a process holds, and how much more of it at the end is still flat. The number of Services goes up and down by
// some twenty, and each costs a process some 6 kB: what changes by itself is far below these bounds. Between the middles of
// the second and of the last quarter of what is judged there are 1,500 changes of Services in an hour's run: a leak of 1 kB
// with each of them is above these bounds, and so is a goroutine or a descriptor with each hundredth.
var holdings = []struct {
	name, unit string
	bound      bound
	value      func(page string) float64
}{
	{"goroutines", "", bound{8, 0.05}, metric("go_goroutines", 1)},
	{"descriptors", "", bound{4, 0.1}, metric("process_open_fds", 1)},
	{heapAfterGC, " MB", bound{1, 0.1}, nil}, // more seldom: see sampler
	{"resident memory", " MB", bound{6, 0.1}, metric("process_resident_memory_bytes", 1<<20)},
}

const heapAfterGC = "heap after collection"

func metric(name string, unit float64) func(string) float64 {
	return func(page string) float64 { return lab.Sum(page, name, "") / unit }
}

// counters are what processes count; a process that is restarted begins anew.
var counters = map[string]func(page string) float64{
	"reads": func(page string) float64 { return lab.Sum(page, "fairlead_api_requests_total", `method="GET"`) },
	"writes": func(page string) float64 {
		return lab.Sum(page, "fairlead_api_requests_total", "") - lab.Sum(page, "fairlead_api_requests_total", `method="GET"`)
	},
	"events": func(page string) float64 { return lab.Sum(page, "fairlead_events_total", `outcome="written"`) },
	"status": func(page string) float64 { return lab.Sum(page, "fairlead_controller_writes_total", "") },
}

// sampler samples controllers and speakers.
type sampler struct {
	fleet *fleet.Fleet

	mu     sync.Mutex
	runs   map[string]*run                // by process
	counts map[string]map[string]*counter // by component and counter
	missed int
}

// run is one life of a process.
type run struct {
	pid    int
	series map[string][]sample
}

type counter struct {
	total float64
	last  map[string]float64 // by process
}

func newSampler(f *fleet.Fleet) *sampler {
	return &sampler{fleet: f, runs: map[string]*run{}, counts: map[string]map[string]*counter{}}
}

// heapEvery is how many samples there are to one of the heap. That needs a collection, which is not to come much more often
// than it does by itself, every two minutes at least.
const heapEvery = 6

// sample samples until ctx is done.
func (s *sampler) sample(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for i := 0; ; i++ {
		s.once(ctx, i%heapEvery == 0)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sampler) once(ctx context.Context, heap bool) {
	for i, p := range s.fleet.Controllers {
		s.look(ctx, "controllers", p, lab.ControllerHTTPPort+i, heap)
	}
	for _, n := range s.fleet.Nodes {
		s.look(ctx, "speakers", n.Speaker, lab.SpeakerHTTPPort, heap)
	}
}

func (s *sampler) look(ctx context.Context, component string, p *lab.Process, port int, heap bool) {
	pid := p.PID()
	if heap {
		_, _, _ = p.Host.Page(ctx, port, "/debug/pprof/heap?gc=1")
	}
	status, page, err := p.Host.Page(ctx, port, "/metrics")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || status != 200 || pid == 0 || p.PID() != pid {
		s.missed++ // it is being restarted
		return
	}
	r := s.runs[p.Name]
	if r == nil || r.pid != pid {
		r = &run{pid: pid, series: map[string][]sample{}}
		s.runs[p.Name] = r
	}
	now := time.Now()
	for _, h := range holdings {
		if h.value != nil {
			r.series[h.name] = append(r.series[h.name], sample{now, h.value(page)})
		}
	}
	if heap {
		r.series[heapAfterGC] = append(r.series[heapAfterGC], sample{now, metric("go_memstats_heap_alloc_bytes", 1<<20)(page)})
	}
	if s.counts[component] == nil {
		s.counts[component] = map[string]*counter{}
	}
	for name, value := range counters {
		c := s.counts[component][name]
		if c == nil {
			c = &counter{last: map[string]float64{}}
			s.counts[component][name] = c
		}
		v := value(page)
		switch last, known := c.last[p.Name]; {
		case !known: // what was before is not of this life
		case v >= last:
			c.total += v - last
		default:
			c.total += v
		}
		c.last[p.Name] = v
	}
}

// count is what the processes of a component have counted together.
func (s *sampler) count(component, name string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counts[component][name]; c != nil {
		return c.total
	}
	return 0
}

// trends are those of what each process holds since a moment, and those that are not flat.
func (s *sampler) trends(name string, b bound, since time.Time) (all map[string]trend, grown []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = map[string]trend{}
	for process, r := range s.runs {
		var list []sample
		for _, x := range r.series[name] {
			if x.at.After(since) {
				list = append(list, x)
			}
		}
		x := trendOf(list)
		all[process] = x
		if !x.flat(b) {
			grown = append(grown, fmt.Sprintf("%s: %s: %s, of %d samples", process, name, x, len(list)))
		}
	}
	return all, grown
}

// logLines counts the lines that the processes have written.
func logLines(list []*lab.Process) (lines int, err error) {
	for _, p := range list {
		text, err := p.Log()
		if err != nil {
			return 0, err
		}
		lines += strings.Count(text, "\n")
	}
	return lines, nil
}
