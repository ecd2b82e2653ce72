package controller

import (
	"context"
	"log/slog"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// job is a write that the decider wants. While it is under way its item is in the hands of one writer,
// and is not decided again.
type job struct {
	item   item
	object string // for the metrics
	log    *slog.Logger
	// base is the resourceVersion that was decided from, and seen the one in memory now.
	base string
	seen func() (string, bool)

	before []saying // events that must be there before the write
	write  func(context.Context) error
	after  []k8s.Event
	done   func() // called after success
}

// saying is an event and where to note that it is out.
type saying struct {
	event k8s.Event
	told  *bool
}

// writeTimeout is shorter than the time between the end of held and that of the Lease: what a leader has
// under way ends before another one can lead.
const writeTimeout = leaseDuration - renewDeadline - time.Second

// patientTries is how often a write may fail before the log says so: two to three seconds.
const patientTries = 7

// write carries out jobs until ctx ends. What is under way then is completed; what is not is left to the
// next term, which finds it missing.
func (t *term) write(ctx context.Context) {
	for {
		j, shutdown := t.jobs.Get()
		if shutdown {
			return
		}
		switch {
		case ctx.Err() != nil, t.leaving.Load():
		case !t.held():
			t.work.AddRateLimited(j.item) // a renewal that is late, or the end of the term
		default:
			t.carryOut(context.WithoutCancel(ctx), j)
		}
		t.jobs.Done(j)
		t.work.Done(j.item)
	}
}

func (t *term) carryOut(ctx context.Context, j *job) {
	if j.seen != nil {
		if version, ok := j.seen(); !ok || version != j.base {
			// Out of date before it is written: decide again instead of being refused.
			t.work.Add(j.item)
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := t.announce(ctx, j)
	if err == nil {
		began := time.Now()
		err = j.write(ctx)
		t.metrics.writeDuration.WithLabelValues(j.object).Observe(time.Since(began).Seconds())
	}
	result := "written"
	switch {
	case err == nil:
		t.work.Forget(j.item)
		for _, e := range j.after {
			t.recorder.Record(e)
		}
		if j.done != nil {
			j.done()
		}
	case apierrors.IsNotFound(err):
		result = "gone"
		t.work.Forget(j.item) // the watch will say so
	case apierrors.IsConflict(err):
		result = "conflict"
		if version, ok := j.seenVersion(); ok && version == j.base {
			t.work.AddRateLimited(j.item) // the watch lags; it will say so too
		} else {
			t.work.Add(j.item)
		}
	default:
		result = "error"
		// Once an object, after some seconds; that the API server is not reached at all is said elsewhere.
		level := slog.LevelDebug
		if k8s.Answered(err) && t.work.NumRequeues(j.item) == patientTries {
			level = slog.LevelWarn
		}
		j.log.Log(ctx, level, "status not written, trying again", "error", err)
		t.work.AddRateLimited(j.item)
	}
	t.metrics.writes.WithLabelValues(j.object, result).Inc()
}

func (j *job) seenVersion() (string, bool) {
	if j.seen == nil {
		return "", false
	}
	return j.seen()
}

// announce writes the events that must be there before the status changes.
func (t *term) announce(ctx context.Context, j *job) error {
	for _, s := range j.before {
		if *s.told {
			continue
		}
		if err := t.recorder.Write(ctx, s.event); err != nil {
			return err
		}
		*s.told = true
	}
	return nil
}
