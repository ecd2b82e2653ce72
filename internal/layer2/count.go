package layer2

import "github.com/fairlead-lb/fairlead/internal/lb"

// counts are how many addresses there are to answer for, and for how many of them nobody may.
type counts struct{ known, ownerless int }

// tally counts an address anew after it was decided. The cost follows what is decided, not what there is.
func (e *Elector) tally(x *vip) {
	var now counts
	if x.Service != (lb.Key{}) && len(x.Scopes) > 0 { // without a scope it is not for layer 2
		now.known = 1
		// Without an endpoint there is nothing to reach: that is the Service's own affair.
		if x.owner == "" && (x.Endpoints == nil || len(x.Endpoints) > 0) {
			now.ownerless = 1
		}
	}
	e.counts.known += now.known - x.counts.known
	e.counts.ownerless += now.ownerless - x.counts.ownerless
	x.counts = now
}
