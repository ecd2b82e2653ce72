package bgp

import (
	"slices"
	"sync"
)

// shown is what others see of a session.
type shown struct {
	mu     sync.Mutex
	status SessionStatus
}

func (v *shown) set(f func(*SessionStatus)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.status)
}

// snapshot returns the status with its counters as they are now.
func (v *shown) snapshot(t *tally) SessionStatus {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := v.status
	st.Families = slices.Clone(st.Families)
	if st.State == Established {
		st.Received, st.Sent, st.UpdatesReceived, st.UpdatesSent = t.since()
	}
	return st
}
