package gossip

import (
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/hashicorp/memberlist"
)

// What is kept of what others say. Who has the key could fill the memory of all speakers otherwise, with nodes that there
// are not and claims to addresses that nobody knows. Kubernetes ends at 5,000 nodes. What does not fit is dropped and
// counted; what is known already is never given up for it.
const (
	maxNodes  = 1 << 13
	maxClaims = 1 << 18
)

// firstCeiling is above all that epochs and versions are by themselves: an epoch counts takeovers, and a version begins
// at the milliseconds since 1970 of a clock that may be wrong, but not by 8,000 years.
const firstCeiling = 1 << 48

// ceiling is the highest epoch and version that is believed at a time. It rises: whatever a liar has said, a moment later
// there is room above it, for the next owner's claim and for the contradiction of who is said to be lost. A fixed one
// could be claimed by a liar once, and nobody could ever outdo it, not even after the liar is gone.
func ceiling(now time.Time) uint64 { return firstCeiling + uint64(max(0, now.UnixMilli())) }

// firstVersion is the first version of a node's state: that of a later life is higher, as far as the clock is right.
func firstVersion(now time.Time) uint64 { return uint64(min(max(1, now.UnixMilli()), firstCeiling)) }

// believe leaves out what is above the ceiling, and returns how much it was. The rest of a message counts: it may be all
// that a speaker knows, with one lie in it that it was told.
func (c *content) believe(now time.Time) (lies int) {
	top := ceiling(now)
	c.states, lies = below(c.states, func(s lb.NodeState) bool { return s.Version <= top }, lies)
	c.claims, lies = below(c.claims, func(x lb.Claim) bool { return x.Epoch <= top }, lies)
	c.suspicions, lies = below(c.suspicions, func(s lb.Suspicion) bool { return s.Version <= top }, lies)
	c.offers, lies = below(c.offers, func(o lb.Offer) bool { return o.Epoch <= top }, lies)
	return lies
}

func below[T any](list []T, ok func(T) bool, lies int) ([]T, int) {
	kept := list[:0]
	for _, x := range list {
		if ok(x) {
			kept = append(kept, x)
		} else {
			lies++
		}
	}
	return kept, lies
}

// NotifyAlive is memberlist's AliveDelegate: an error keeps a node out.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	switch {
	case !isNodeName(n.Name):
		d.dropped.Inc()
		return fmt.Errorf("%q is no name of a node", n.Name)
	case !d.table.admits(n.Name):
		d.dropped.Inc()
		return fmt.Errorf("there are %d nodes already", maxNodes)
	}
	return nil
}
