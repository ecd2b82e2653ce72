package layer2

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Route flap damping of RFC 2439, section 4.2, for nodes: each loss adds to a node's penalty, which decays
// exponentially. Above the cutoff the node is suppressed until the penalty has decayed to the reuse limit.
const (
	lossPenalty = 1000.0
	cutoff      = 2000.0
	reuseLimit  = 750.0
	halfLife    = 2 * time.Minute
	// maxSuppress bounds how long a node stays suppressed after its last loss: RFC 2439's T-hold, from which
	// follows the penalty's ceiling.
	maxSuppress = 10 * time.Minute
)

// ceiling is the penalty that takes maxSuppress to decay to the reuse limit.
var ceiling = reuseLimit * math.Exp2(float64(maxSuppress)/float64(halfLife))

// penalty is a node's figure of merit, RFC 2439 section 4.8.1.
type penalty struct {
	value float64
	at    time.Time // when value was right
	reuse time.Time // until when the node is suppressed; zero if it never was
}

// figure returns the penalty as it is now.
func (p *penalty) figure(now time.Time) float64 {
	if p.value == 0 || !now.After(p.at) {
		return p.value // also when the clock goes back
	}
	return p.value * math.Exp2(-float64(now.Sub(p.at))/float64(halfLife))
}

// add takes note of a loss.
func (p *penalty) add(now time.Time) {
	p.value, p.at = math.Min(p.figure(now)+lossPenalty, ceiling), now
	if p.value > cutoff || p.suppressed(now) {
		p.reuse = now.Add(time.Duration(math.Log2(p.value/reuseLimit) * float64(halfLife)))
	}
}

func (p *penalty) suppressed(now time.Time) bool { return now.Before(p.reuse) }

// Penalize adds a loss to a node's penalty.
func (e *Elector) Penalize(node string, now time.Time) { e.penalize(e.changing(node), now) }

func (e *Elector) penalize(n *node, now time.Time) {
	n.penalty.add(now)
	e.mark(n)
}

// mark keeps book of who may be suppressed: few, of thousands.
func (e *Elector) mark(n *node) {
	if delete(e.flapping, n.name); !n.penalty.reuse.IsZero() {
		e.flapping[n.name] = n
	}
}

// Penalty returns what a node is to tell the others of its penalty.
func (e *Elector) Penalty(node string) lb.Penalty {
	p := e.node(node).penalty
	return lb.Penalty{Value: p.value, At: p.at, Reuse: p.reuse}
}

// SetPenalty takes note of what a node says of its own penalty: it has heard of every loss that anybody found,
// but for those before its speaker's last start. A node whose clock is wrong, or was when it was lost, is not
// suppressed for longer for that.
func (e *Elector) SetPenalty(node string, said lb.Penalty, now time.Time) {
	n := e.node(node)
	said.Value = min(said.Value, ceiling)
	if said.At.After(now) {
		said.At = now
	}
	if most := now.Add(maxSuppress); said.Reuse.After(most) {
		said.Reuse = most
	}
	if said.Reuse.After(n.penalty.reuse) || (said.Reuse.Equal(n.penalty.reuse) && said.At.After(n.penalty.at)) {
		// By the monotonic clock from here on: who sets this node's back does not make it longer.
		heard := penalty{said.Value, now.Add(said.At.Sub(now)), said.Reuse}
		if !said.Reuse.IsZero() {
			heard.reuse = now.Add(said.Reuse.Sub(now))
		}
		e.changing(node).penalty = heard
		e.mark(n)
	}
}

// Damped is a node that is suppressed for flapping: it keeps what it owns, and is chosen only where no other
// node can be.
type Damped struct {
	Node    string
	Penalty float64
	// Reuse is when it counts like any other again.
	Reuse time.Time
}

// Damped returns the nodes that are suppressed now, sorted by name. A wake time of Decide tells when one is
// so no longer.
func (e *Elector) Damped(now time.Time) (list []Damped) {
	for name, n := range e.flapping {
		if n.penalty.suppressed(now) {
			list = append(list, Damped{name, n.penalty.figure(now), n.penalty.reuse})
		}
	}
	slices.SortFunc(list, func(a, b Damped) int { return strings.Compare(a.Node, b.Node) })
	return list
}

// undamped returns when the next node is suppressed no longer; zero if none is.
func (e *Elector) undamped(now time.Time) (next time.Time) {
	for name, n := range e.flapping {
		if n.penalty.suppressed(now) {
			next = sooner(next, n.penalty.reuse)
		} else {
			delete(e.flapping, name)
		}
	}
	return next
}
