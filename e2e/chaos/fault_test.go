package chaos

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
)

// fault is something that goes wrong in a fleet, and what clients may notice of it by the design.
type fault struct {
	target string // what it befalls, such as "speaker"
	what   string // what happens to it, such as "killed, started 2 s later"

	// lasts is how long it is left alone before it is ended; less in a short day (short), if that is not 0.
	lasts, short time.Duration
	// strike does it, and returns what ends it: nil if it ends by itself. It draws its victims from r, and nothing else
	// decides about them: the same seed draws the same. What it cannot undo when it fails it has not done.
	strike func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (end func(context.Context) error, err error)

	// victims draws the same hosts as strike does, if that is known: nothing moves but their addresses. Nil if it is not.
	victims hosts

	// every is after how long it strikes again, as long as it lasts, and may take an address from its owner; never if 0.
	every time.Duration
	// allowed is what the design says that clients may notice, by way. What is not in it is to go unnoticed.
	allowed allowance
	// seen checks that the product counted or reported it; nil where there is nothing to report. It is waited for, from the
	// end of the fault on, for some seconds.
	seen func(ctx context.Context, f *fleet.Fleet) error
	// alone: this fault is not to overlap with others, since it decides over the whole fleet.
	alone bool
	// rest is how long it may take after the end until all is settled; 30 s if 0.
	rest time.Duration
}

func (f fault) name() string { return f.target + ": " + f.what }

// length is how long the fault lasts on a day of this kind.
func (f fault) length(full bool) time.Duration {
	if !full && f.short != 0 {
		return f.short
	}
	return f.lasts
}

// allowance is what clients of each way (fleet.OnSegment, fleet.WithBFD, fleet.Graceful) may notice.
type allowance map[string]cost

// cost bounds what one way's clients may notice. The zero value is nothing at all.
type cost struct {
	// within is for how long after the strike, and again after the end, new connections may fail or wait. Later ones may
	// not: it is how long the design needs to notice and to act.
	within time.Duration
	// throughout allows them to fail or wait all the time that the fault lasts, and for within after its end.
	throughout bool
	// breaks allows established connections to break, and such as are being established to be reset: a node that had them is
	// gone, or a router sends them elsewhere.
	breaks bool
	// moves allows addresses of layer 2 to change their owner, each once whenever the fault strikes.
	moves bool
	// why is the sentence of the design, or of docs, that says so. It goes into the table.
	why string
}

// everywhere is the same cost for the clients of all ways.
func everywhere(c cost) allowance {
	a := allowance{}
	for _, way := range fleet.Ways {
		a[way] = c
	}
	return a
}
