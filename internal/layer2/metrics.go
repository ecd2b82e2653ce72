package layer2

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the layer-2 part's Prometheus metrics.
type Metrics struct {
	frames        *prometheus.CounterVec
	failures      *prometheus.CounterVec
	announcements *prometheus.CounterVec
	takeovers     prometheus.Counter
	owned         prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_frames_received_total",
			Help: "ARP and Neighbor Discovery frames received, by what became of them: answered, not_ours, ignored, malformed, conflict.",
		}, []string{"protocol", "verdict"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_send_failures_total",
			Help: "Frames that could not be sent, and sockets that could not be opened.",
		}, []string{"protocol"}),
		announcements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_announcements_total",
			Help: "Announcements of addresses sent, one per address, interface and time.",
		}, []string{"protocol"}),
		takeovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_layer2_takeovers_total",
			Help: "Addresses that this node took over from another node.",
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses_owned",
			Help: "Addresses that this node answers for.",
		}),
	}
	registry.MustRegister(m.frames, m.failures, m.announcements, m.takeovers, m.owned)
	return m
}

func (m *Metrics) received(protocol string, v Verdict) {
	m.frames.WithLabelValues(protocol, string(v)).Inc()
}
func (m *Metrics) failed(protocol string)    { m.failures.WithLabelValues(protocol).Inc() }
func (m *Metrics) announced(protocol string) { m.announcements.WithLabelValues(protocol).Inc() }
