package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

func init() { families = append(families, family{"garbage", garbageFaults}) }

// garbageFaults are what a host of the segment, a router, a member of the cluster or a user of its API may send that is
// wrong, forged, old, or too much. By the design nearly all of it costs clients nothing.
func garbageFaults() (list []fault) {
	for _, a := range slices.Concat(segmentAttacks(), gossipAttacks(), bfdAttacks(), bgpAttacks(), objectAttacks()) {
		list = append(list, a.fault())
	}
	return list
}

// attack is a fault that consists in sending something for as long as it lasts.
type attack struct {
	target, what string
	lasts, short time.Duration
	allowed      allowance
	alone        bool
	rest         time.Duration
	// send sends until ctx is done, and undoes then what it has configured.
	send func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error
	// counted are metrics, each as name or name{label, each of which the product has to count up meanwhile.
	counted []string
	// lines is how many lines all processes of the product may log of it together; usualLines if 0.
	lines int
}

// usualLines are enough to tell of an attack, and of another fault beside it. A storm has a thousand packets for each.
const usualLines = 150

func (a attack) fault() fault {
	var before counts
	return fault{
		target: a.target, what: a.what, lasts: a.lasts, short: a.short, allowed: a.allowed, alone: a.alone, rest: a.rest,
		strike: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
			var err error
			if before, err = count(ctx, f, a.counted); err != nil {
				return nil, err
			}
			sending, stop := context.WithCancel(context.WithoutCancel(ctx))
			r = rand.New(rand.NewPCG(r.Uint64(), 0)) // its own: it draws while others do
			ended := make(chan error, 1)
			go func() { ended <- a.send(sending, f, r) }()
			return func(ctx context.Context) error {
				stop()
				select {
				case err := <-ended:
					if err != nil && !errors.Is(err, context.Canceled) {
						return fmt.Errorf("%s: %s: %w", a.target, a.what, err)
					}
					return nil
				case <-ctx.Done():
					return fmt.Errorf("%s: %s does not end: %w", a.target, a.what, context.Cause(ctx))
				}
			}, nil
		},
		seen: func(ctx context.Context, f *fleet.Fleet) error {
			now, err := count(ctx, f, a.counted)
			if err != nil {
				return err
			}
			for _, name := range a.counted {
				if grown := now.since(before, name); grown <= 0 {
					return fmt.Errorf("nobody has counted %s", name)
				}
			}
			most := a.lines
			if most == 0 {
				most = usualLines
			}
			if lines := now.lines - before.lines; lines > most {
				return fmt.Errorf("%d lines were logged, %d at most are enough:\n%s", lines, most, tails(f, 8))
			}
			return nil
		},
	}
}

// counts are what the processes of the product have counted, and how many lines they have logged.
type counts struct {
	of    map[string]map[string]float64 // by metric, by process and its ID: one that starts anew begins at 0
	lines int
}

func count(ctx context.Context, f *fleet.Fleet, metrics []string) (counts, error) {
	c := counts{of: map[string]map[string]float64{}}
	note := func(p *lab.Process, port int) error {
		log, err := p.Log()
		if err != nil {
			return err
		}
		c.lines += strings.Count(log, "\n")
		status, page, err := p.Host.Page(ctx, port, "/metrics")
		if err != nil || status != 200 {
			return nil // another fault has it, and it counts for nothing
		}
		for _, metric := range metrics {
			name, label, _ := strings.Cut(metric, "{")
			if c.of[metric] == nil {
				c.of[metric] = map[string]float64{}
			}
			c.of[metric][fmt.Sprint(p.Name, p.PID())] = lab.Sum(page, name, label)
		}
		return nil
	}
	for i, p := range f.Controllers {
		if err := note(p, lab.ControllerHTTPPort+i); err != nil {
			return c, err
		}
	}
	for _, n := range f.Nodes {
		if err := note(n.Speaker, lab.SpeakerHTTPPort); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c counts) since(before counts, metric string) (grown float64) {
	for process, n := range c.of[metric] {
		grown += max(0, n-before.of[metric][process])
	}
	return grown
}

// pace calls do so often a second, until it fails or ctx is done.
func pace(ctx context.Context, perSecond int, do func() error) error {
	ticker := time.NewTicker(max(2*time.Millisecond, time.Second/time.Duration(perSecond)))
	defer ticker.Stop()
	begin, done := time.Now(), 0
	for {
		// After a pause it does not make up for more than a moment: a machine that was late is not to get a burst.
		due := int(time.Since(begin).Seconds() * float64(perSecond))
		for done = max(done, due-perSecond/10-1); done < due && ctx.Err() == nil; done++ {
			if err := do(); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// sendFrames sends whole frames from a host, in turn, so many a second, until ctx is done. What the kernel refuses to send
// it may: there are frames that are too short to be any.
func sendFrames(ctx context.Context, h *lab.Host, perSecond int, frames [][]byte) error {
	const nothing ethernet.EtherType = 0x88b6 // so that the socket hears nothing: IEEE 802's other local experiment
	raw, err := h.ListenFrames(nothing)
	if err != nil {
		return err
	}
	defer raw.Close()
	i := 0
	return pace(ctx, perSecond, func() error {
		f := frames[i%len(frames)]
		i++
		if len(f) >= 6 {
			_, _ = raw.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]})
		}
		return nil
	})
}

// detached is a context for what is to be undone when another is done.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// together does several things at a time, and is done when all are.
func together(do ...func() error) error {
	errs := make(chan error, len(do))
	for _, d := range do {
		go func() { errs <- d() }()
	}
	var all []error
	for range do {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
