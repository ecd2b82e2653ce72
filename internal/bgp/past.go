package bgp

import "strings"

// How what ended a connection begins if it was a NOTIFICATION message.
const (
	sentWords     = "sent: "
	receivedWords = "received: "
	// connectionRejected is what a router says that is not ready to talk, which has its reason in something else.
	connectionRejected = "Connection Rejected"
)

// past is what a session's failures may be the consequence of, while it has not been established again.
type past struct {
	// loss is why the session was lost.
	loss string
	// verdict is the NOTIFICATION that last ended an attempt.
	verdict string
}

// tell returns a failure in words, with what it may only follow from: after a loss a router may refuse for a while, and one
// that was told of an error, or told us, hangs up on the next attempts without a word (BIRD's error wait time).
func (p *past) tell(why string, wasUp bool) string {
	if wasUp {
		*p = past{loss: why}
		return why
	}
	if (strings.HasPrefix(why, sentWords) || strings.HasPrefix(why, receivedWords)) && !strings.HasSuffix(why, connectionRejected) {
		p.verdict = why
	} else if p.verdict != "" {
		return why + "; before: " + p.verdict
	}
	if p.loss != "" {
		return why + "; before, the session was lost: " + p.loss
	}
	return why
}
