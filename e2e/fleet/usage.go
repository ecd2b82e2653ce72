package fleet

import (
	"context"
	"fmt"
	"os"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// Usage is what a process uses.
type Usage struct {
	Goroutines  int
	Descriptors int
	RSS         int64 // bytes
	PID         int   // another one has begun anew
}

func (u Usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MB", u.Goroutines, u.Descriptors, u.RSS>>20)
}

// Usage is what the controllers and the speakers use, by the process's name.
func (f *Fleet) Usage(ctx context.Context) (map[string]Usage, error) {
	all := map[string]Usage{}
	note := func(p *lab.Process, port int) error {
		text, err := page(ctx, p.Host, port, "/metrics")
		if err != nil {
			return err
		}
		pid := p.PID()
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return fmt.Errorf("counting the descriptors of %s: %w", p.Name, err)
		}
		rss, err := p.RSS()
		all[p.Name] = Usage{Goroutines: int(lab.Sum(text, "go_goroutines", "")), Descriptors: len(files), RSS: rss, PID: pid}
		return err
	}
	for i, p := range f.Controllers {
		if err := note(p, lab.ControllerHTTPPort+i); err != nil {
			return nil, err
		}
	}
	for _, n := range f.Nodes {
		if err := note(n.Speaker, lab.SpeakerHTTPPort); err != nil {
			return nil, err
		}
	}
	return all, nil
}
