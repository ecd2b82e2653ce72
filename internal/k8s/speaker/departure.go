package speaker

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/bgp"
)

// leavingFor is how long routes are advertised with GRACEFUL_SHUTDOWN before they are withdrawn (RFC 8326): routers
// change to other paths within a second or two, and what is under way arrives.
const leavingFor = 10 * time.Second

// departure is how far this node is with leaving service.
type departure struct {
	phase bgp.Phase
	// due is when Leaving ends.
	due time.Time
	// served is true once the node has been Ready since the speaker started: before, nobody knows whether it can
	// forward anything.
	served bool
}

// newDeparture returns that of a node of which nothing is known, and nothing advertised.
func newDeparture() departure { return departure{phase: bgp.Gone} }

// look takes note of how the node is: whether it is Ready, and why it must advertise nothing, if it must not. It
// returns when to look again though nothing should change, zero if there is no need to.
func (d *departure) look(ready bool, barred string, now time.Time) (again time.Time) {
	d.served = d.served || ready
	switch {
	case !d.served:
		d.phase = bgp.Gone
	case barred == "":
		d.phase = bgp.Serving
	case d.phase == bgp.Serving:
		d.phase, d.due = bgp.Leaving, now.Add(leavingFor)
	case d.phase == bgp.Leaving && !now.Before(d.due):
		d.phase = bgp.Gone
	}
	if d.phase == bgp.Leaving {
		return d.due
	}
	return time.Time{}
}
