package speaker

import (
	"time"
)

// unreadyAfter is how long a Node must not be Ready until it is to own nothing. Kubernetes itself waits for
// the node's lease for 40 s before it says Unknown; whether the machine forwards the speakers tell sooner.
// What is left for this is a node whose kubelet is broken for long, and with it the endpoints on it.
const unreadyAfter = time.Minute

// readiness keeps in mind since when nodes are not Ready.
type readiness map[string]time.Time

// set takes note of a Node at a time. The condition's time of transition counts only for a node that was not
// Ready when it was first seen, so that a speaker that starts need not wait anew: it is another machine's
// clock, which may be ahead or far behind. From then on it is this one's, which no jump of the clock touches
// (it is monotonic).
func (r readiness) set(name string, n node, fresh bool, now time.Time) {
	if _, known := r[name]; !n.unready || known {
		if !n.unready {
			delete(r, name)
		}
		return
	}
	r[name] = now
	if fresh && !n.since.IsZero() {
		r[name] = now.Add(-min(max(now.Sub(n.since), 0), unreadyAfter))
	}
}

// lasting returns the nodes that have not been Ready for too long, of so many nodes that there are, and when
// to look again, zero if nothing changes by itself.
//
// It returns none if more than half of the nodes are not Ready. Nodes do not break all at once: it is the
// control plane that does not hear them (their leases lapse together, and the node controller, if it is on the
// side that works, says Unknown of them all), and they go on forwarding.
func (r readiness) lasting(nodes int, now time.Time) (names map[string]bool, again time.Time) {
	if 2*len(r) > nodes {
		return nil, time.Time{} // looked at again when one comes back
	}
	names = map[string]bool{}
	for name, since := range r {
		due := since.Add(unreadyAfter)
		if !now.Before(due) {
			names[name] = true
		} else if again.IsZero() || due.Before(again) {
			again = due
		}
	}
	return names, again
}
