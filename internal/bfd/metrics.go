package bfd

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	dropped  *prometheus.CounterVec
	failures prometheus.Counter
	downs    *prometheus.CounterVec
	silence  prometheus.Histogram
}

// newMetrics registers the metrics of a mesh.
func newMetrics(m *Mesh, registry prometheus.Registerer) metrics {
	x := metrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_bfd_packets_dropped_total",
			Help: "BFD packets that had no effect, by reason: unknown (of no peer), malformed, unauthenticated, stale (for a session that has ended), replayed.",
		}, []string{"reason"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_bfd_send_failures_total",
			Help: "BFD packets that could not be sent.",
		}),
		downs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_bfd_sessions_down_total",
			Help: "BFD sessions that went down, by RFC 5880's diagnostic.",
		}, []string{"diagnostic"}),
		silence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "fairlead_bfd_detection_seconds",
			Help:    "Silence of a peer after which its BFD session was given up.",
			Buckets: []float64{.1, .125, .15, .175, .2, .3, .5, .7, .9, 1, 2, 5},
		}),
	}
	for _, r := range []reason{unknown, malformed, unauthenticated, outdated, replayed} {
		x.dropped.WithLabelValues(string(r))
	}
	registry.MustRegister(x.dropped, x.failures, x.downs, x.silence, newSessionGauge(m, "up", true), newSessionGauge(m, "down", false),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fairlead_bfd_lateness_seconds",
			Help: "How late this process has been of late, by the timer of its BFD sessions; it allows peers as much more time.",
		}, func() float64 {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.core.late.recent(time.Now()).Seconds()
		}))
	return x
}

func newSessionGauge(m *Mesh, state string, up bool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fairlead_bfd_sessions", Help: "BFD sessions with other speakers, by state.",
		ConstLabels: prometheus.Labels{"state": state},
	}, func() float64 {
		n := 0
		for _, s := range m.Sessions() {
			if (s.State == Up) == up {
				n++
			}
		}
		return float64(n)
	})
}

// complaints logs each kind of trouble once a minute at most, however often it comes.
type complaints struct {
	log  *slog.Logger
	said map[string]*complaint
}

type complaint struct {
	at   time.Time
	kept int
}

const complainAgain = time.Minute

func (c *complaints) add(level slog.Level, what string, now time.Time, args ...any) {
	x := c.said[what]
	if x == nil {
		x = &complaint{}
		c.said[what] = x
	}
	if !x.at.IsZero() && now.Sub(x.at) < complainAgain {
		x.kept++
		return
	}
	c.log.Log(context.Background(), level, what, append(args, "more", x.kept)...)
	x.at, x.kept = now, 0
}
