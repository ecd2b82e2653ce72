package k8s

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Complaint is something that is tried again and again and fails. It logs a failure that has lasted for
// patience, and again after repeatAfter, not at every try. It is safe for concurrent use.
type Complaint struct {
	// What fails, as the start of the log line: "Services cannot be watched".
	What string
	Log  *slog.Logger

	mu      sync.Mutex
	failure error
	since   time.Time // when the failures began
	latest  time.Time
	said    string // the last that was logged, and when
	saidAt  time.Time
}

const (
	// An API server that has just started refuses what it will grant a second later, when it has read
	// the roles.
	patience = 2 * time.Second
	// Failures further apart than this are not the same trouble: client-go tries at least every minute.
	episode     = 2 * time.Minute
	repeatAfter = 10 * time.Minute
)

// Report logs an answer of the API server that refuses. That the API server does not answer, or denies a right, is
// said elsewhere, once for all.
func (c *Complaint) Report(err error) {
	if !Answered(err) || isDenied(err) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failure = err
		return
	}
	c.report(err)
}

func (c *Complaint) report(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	now := time.Now()
	// What was too short to be said, and comes again, may be tried as seldom as an event is written: it has waited enough.
	unsaid := !c.since.IsZero() && c.said == ""
	if (c.since.IsZero() || now.Sub(c.latest) > episode) && !unsaid {
		c.since, c.said = now, ""
	}
	c.latest = now
	if now.Sub(c.since) < patience || err.Error() == c.said && now.Sub(c.saidAt) < repeatAfter {
		return
	}
	c.said, c.saidAt = err.Error(), now
	c.Log.Warn(c.What, "error", err)
}

// Over says that it works.
func (c *Complaint) Over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure, c.said, c.since = nil, "", time.Time{}
}

// Err returns the last failure, nil if there was none since it last worked.
func (c *Complaint) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// Answered tells whether an error is the API server's answer, not the lack of one.
func Answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// Shorten cuts a message to what a condition or an event may hold and a person reads: it may quote an
// annotation, and an annotation may be 256 KiB.
func Shorten(message string) string {
	const most = 1000
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "..."
}
