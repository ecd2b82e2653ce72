package k8s

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

// Event is something that happened to an object, for its owner to read.
type Event struct {
	About   corev1.ObjectReference
	Warning bool
	// Reason is one word in CamelCase, Message a sentence.
	Reason, Message string
	// Still tells, when the event can be written at last, whether it is worth it; nil for always. What a node
	// did while it was cut off is not, if it did not last.
	Still func() bool
}

// queued is an event on its way.
type queued struct {
	*corev1.Event
	still func() bool
}

// Recorder is the task that writes events. client-go's broadcaster is not used: its queue of 1,000 drops
// what a burst of Services brings, silently but for a log line; it aggregates and filters events, which
// those who write them at transitions only do not need; and it writes from one goroutine.
type Recorder struct {
	cluster   *Cluster
	component string
	instance  string
	log       *slog.Logger
	queue     workqueue.TypedRateLimitingInterface[*queued]
	// waiting counts what is to be written yet, also what waits for another try: the queue does not count that.
	waiting  atomic.Int64
	most     int64
	lastName atomic.Int64
	outcomes *prometheus.CounterVec
}

const (
	// Few, so that events of a burst do not stand in the way of what the burst is about.
	eventWriters = 4
	// About 50 MB; more events than this have nobody who reads them.
	mostEvents = 50_000
	// How long what is in the queue may take to be written when the process ends.
	eventGrace = 2 * time.Second
	// How long one try may take: a connection that died without a word does not tell.
	eventTimeout = 5 * time.Second
)

// NewRecorder makes a recorder. Instance tells the processes of one component apart: the node's or the
// Pod's name.
func NewRecorder(c *Cluster, component, instance string, log *slog.Logger, metrics prometheus.Registerer) *Recorder {
	r := &Recorder{
		cluster: c, component: component, instance: instance, log: log, most: mostEvents,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[*queued](200*time.Millisecond, 30*time.Second)),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_events_total",
			Help: "Kubernetes events by outcome: written, refused by the API server, outdated before they could be written, dropped for too many waiting.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"written", "refused", "outdated", "dropped"} {
		r.outcomes.WithLabelValues(outcome)
	}
	metrics.MustRegister(r.outcomes)
	return r
}

// Record has an event written soon. It never waits.
func (r *Recorder) Record(e Event) {
	if r.waiting.Add(1) > r.most {
		r.waiting.Add(-1)
		r.outcomes.WithLabelValues("dropped").Inc()
		r.log.Warn("event dropped: too many are waiting", "reason", e.Reason, "object", e.About.Namespace+"/"+e.About.Name)
		return
	}
	r.queue.Add(&queued{r.build(e), e.Still})
}

// Write writes an event now, for one that must be there before something else happens. It returns an
// error if another try may succeed.
func (r *Recorder) Write(ctx context.Context, e Event) error {
	return r.create(ctx, r.build(e))
}

// Run writes events until ctx ends, then what is still in the queue, for a short time.
func (r *Recorder) Run(ctx context.Context) error {
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(eventGrace, cancel)
		r.queue.ShutDown()
	})()
	var group errgroup.Group
	for range eventWriters {
		group.Go(func() error {
			for {
				event, shutdown := r.queue.Get()
				if shutdown {
					return nil
				}
				if event.still != nil && !event.still() {
					r.outcomes.WithLabelValues("outdated").Inc()
					r.forget(event)
				} else if grace.Err() == nil && r.create(grace, event.Event) != nil {
					r.queue.AddRateLimited(event)
				} else {
					r.forget(event)
				}
				r.queue.Done(event)
			}
		})
	}
	return group.Wait()
}

func (r *Recorder) forget(event *queued) {
	r.queue.Forget(event)
	r.waiting.Add(-1)
}

func (r *Recorder) create(ctx context.Context, event *corev1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	err := r.cluster.createEvent(ctx, event)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err): // the latter: an earlier try whose answer was lost
		r.outcomes.WithLabelValues("written").Inc()
		return nil
	case !Answered(err), apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsInternalError(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err):
		return err
	default:
		r.outcomes.WithLabelValues("refused").Inc()
		r.log.Debug("event refused", "reason", event.Reason, "object", event.InvolvedObject.Namespace+"/"+event.InvolvedObject.Name, "error", err)
		return nil
	}
}

func (r *Recorder) build(e Event) *corev1.Event {
	now := time.Now()
	namespace := e.About.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault // where the API server wants those of cluster-scoped objects
	}
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      eventName(e.About.Name, r.unique(now.UnixNano())),
		},
		InvolvedObject:      e.About,
		Type:                kind,
		Reason:              e.Reason,
		Message:             e.Message,
		Count:               1,
		FirstTimestamp:      metav1.NewTime(now),
		LastTimestamp:       metav1.NewTime(now),
		Source:              corev1.EventSource{Component: r.component, Host: r.instance},
		ReportingController: r.component,
		ReportingInstance:   r.instance,
	}
}

// eventName is what client-go calls an event, the object's name and a time, without its check that this is a
// name: that the object exists tells as much. A name has 253 bytes at most.
func eventName(object string, time int64) string {
	suffix := "." + strconv.FormatInt(time, 16)
	return strings.TrimRight(object[:min(len(object), 253-len(suffix))], ".-") + suffix
}

// unique returns now, or a little more if now has been returned already: an event's name is made of it.
func (r *Recorder) unique(now int64) int64 {
	for {
		last := r.lastName.Load()
		next := max(now, last+1)
		if r.lastName.CompareAndSwap(last, next) {
			return next
		}
	}
}
