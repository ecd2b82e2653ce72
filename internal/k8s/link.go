package k8s

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// link sees every request to the API server, and so knows whether it answers. It is the one place that
// says so in the log, once at each change: every watch and every write would have its own complaint.
type link struct {
	next     http.RoundTripper
	server   string
	log      *slog.Logger
	requests *prometheus.CounterVec
	up       prometheus.GaugeFunc
	denials  denials

	good atomic.Bool // the last request was answered: spares the lock, as a rule

	mu      sync.Mutex
	reached bool      // as far as the log knows
	ever    bool      // reached at least once
	told    bool      // the log has said that it is not reached
	since   time.Time // of the first failure after an answer
	failure error
}

// lossAfter is how long requests must fail until the log says so: one connection that breaks, as an API
// server's restart behind a load balancer makes, is no loss.
const lossAfter = time.Second

var errNotTried = errors.New("not tried yet")

func newLink(server string, log *slog.Logger) *link {
	l := &link{
		server:  server,
		log:     log,
		denials: denials{log: log, said: map[string]*Complaint{}},
		failure: errNotTried,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_api_requests_total",
			Help: "Requests to the API server by HTTP method and status code; code \"none\" had no answer.",
		}, []string{"method", "code"}),
	}
	l.up = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fairlead_api_up",
		Help: "1 while the API server answers, 0 while it does not; what it said before stays in force.",
	}, func() float64 {
		if l.err() != nil {
			return 0
		}
		return 1
	})
	return l
}

// RoundTrip forwards a request and notes whether it was answered. A GET that may take as long as it likes,
// which is what informers send, is tried until it is: client-go would come back only after a pause that
// grows to half a minute, and all that time after the API server has returned nothing would be seen.
func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	_, bounded := r.Context().Deadline()
	for {
		response, err := l.try(r)
		if err == nil && r.Method == http.MethodGet && r.URL.Query().Get("watch") == "true" {
			response.Body = &stream{response.Body}
		}
		if err == nil || bounded || r.Method != http.MethodGet {
			return response, err
		}
		select {
		case <-r.Context().Done():
			return nil, err
		case <-time.After(retryAfter + rand.N(retryAfter)):
		}
	}
}

// stream is what a watch reads. Where its connection dies, it ends as if it had been cut off by the other side: that
// client-go takes for the end of this one watch, and goes on from the last object seen. For any other failure it asks
// for everything again, after a pause that doubles each time, until there was none for two minutes.
type stream struct{ io.ReadCloser }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// retryAfter is short, since as a rule it costs a SYN and its refusal, and jittered, since every speaker
// of a cluster waits for the same.
const retryAfter = 500 * time.Millisecond

func (l *link) try(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	switch {
	case err == nil:
		l.requests.WithLabelValues(r.Method, strconv.Itoa(response.StatusCode)).Inc()
		if !l.good.Load() {
			l.answered()
		}
		if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized {
			l.denials.look(response)
		}
	case r.Context().Err() != nil && errors.Is(err, context.Canceled): // by us
	default:
		l.requests.WithLabelValues(r.Method, "none").Inc()
		l.failed(err, time.Now())
	}
	return response, err
}

func (l *link) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reached && (l.told || !l.ever) {
		l.log.Info("API server reached", "server", l.server)
	}
	l.reached, l.ever, l.told, l.failure, l.since = true, true, false, nil, time.Time{}
	l.good.Store(true)
}

func (l *link) failed(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.Store(false)
	l.failure = err
	if l.since.IsZero() {
		l.since = now
	}
	switch {
	case l.told:
	case !l.ever:
		l.told = true
		l.log.Warn("API server not reached yet, waiting", "server", l.server, "error", err)
	case now.Sub(l.since) >= lossAfter:
		l.told, l.reached = true, false
		l.log.Warn("API server not reached any more, waiting", "server", l.server, "error", err)
	}
}

func (l *link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}
