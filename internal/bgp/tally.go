package bgp

import "sync/atomic"

// tally counts the messages of a session, in both directions and by type: since the speaker started, as metrics
// have it, and since the session was established.
type tally struct {
	in, out [len(kindNames)]atomic.Uint64
	// baseIn and baseOut are what the counts were when the session was established.
	baseIn, baseOut [len(kindNames)]atomic.Uint64
}

func (t *tally) received(k kind) { t.in[k].Add(1) }
func (t *tally) sent(k kind)     { t.out[k].Add(1) }

// begin counts from now on.
func (t *tally) begin() {
	for k := range kindNames {
		t.baseIn[k].Store(t.in[k].Load())
		t.baseOut[k].Store(t.out[k].Load())
	}
}

// since returns the counts since begin: all messages and, among them, UPDATEs.
func (t *tally) since() (received, sent, updatesReceived, updatesSent uint64) {
	for k := range kindNames {
		received += t.in[k].Load() - t.baseIn[k].Load()
		sent += t.out[k].Load() - t.baseOut[k].Load()
	}
	return received, sent, t.in[kindUpdate].Load() - t.baseIn[kindUpdate].Load(), t.out[kindUpdate].Load() - t.baseOut[kindUpdate].Load()
}
