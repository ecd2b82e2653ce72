package layer2

import (
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the layer-2 part's Prometheus metrics.
type Metrics struct {
	frames        *prometheus.CounterVec
	drops         *prometheus.CounterVec
	failures      *prometheus.CounterVec
	announcements *prometheus.CounterVec
	takeovers     *prometheus.CounterVec
	answering     prometheus.Gauge
	known         prometheus.Gauge
	owned         prometheus.Gauge
	ownerless     prometheus.Gauge
	standingIn    prometheus.Gauge
	damped        prometheus.Gauge
	conflicts     prometheus.Gauge
	conflictsSeen prometheus.Counter
	detection     prometheus.Histogram
	frozen        prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_frames_received_total",
			Help: "ARP (arp), Neighbor Discovery (ndp) and claim frames (claim) received, by what became of them: answered, defended, not_ours, ignored, stale, malformed, heard, conflict.",
		}, []string{"protocol", "verdict"}),
		drops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_frames_dropped_total",
			Help: "Frames that the kernel dropped since they were not read in time.",
		}, []string{"protocol"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_send_failures_total",
			Help: "Frames that could not be sent (arp, ndp, claim, probe), sockets that could not be opened (socket), and filters that could not be set (filter).",
		}, []string{"protocol"}),
		announcements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_announcements_total",
			Help: "Announcements of addresses sent, one per address, interface and time.",
		}, []string{"protocol"}),
		takeovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_layer2_takeovers_total",
			Help: "Addresses that this node took over from another node, by cause: Lost, Left, Moved, Rebalanced, Settled.",
		}, []string{"cause"}),
		standingIn: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses_stood_in_for",
			Help: "Addresses that this node answers for with the hardware address of a node whose speaker is gone.",
		}),
		damped: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_nodes_suppressed",
			Help: "Nodes that are to own nothing new because they were lost too often, as this node sees it.",
		}),
		conflicts: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses_in_conflict",
			Help: "Addresses that a foreign host was seen to use in the last ten minutes.",
		}),
		conflictsSeen: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_layer2_conflicts_total",
			Help: "Foreign hosts found to use an address, one per address and host.",
		}),
		detection: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "fairlead_layer2_detection_seconds",
			Help:    "Time from the first suspicion of a node until it was found to be lost.",
			Buckets: []float64{.025, .05, .075, .1, .15, .25, .5, 1, 2.5},
		}),
		frozen: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_layer2_freezes_total",
			Help: "Times that this process did not run for so long that it stopped answering until it had heard the others.",
		}),
		answering: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_answering",
			Help: "1 while this node answers for what it owns; 0 until it has heard the other speakers, at first, and after it was frozen or cut off.",
		}),
		known: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses",
			Help: "Addresses that some node is to answer for, as this one knows them.",
		}),
		ownerless: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses_ownerless",
			Help: "Addresses that no node may answer for, as this one sees it. Those of Services without a ready endpoint, where a node needs one (externalTrafficPolicy: Local), are left out.",
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_layer2_addresses_owned",
			Help: "Addresses that this node answers for.",
		}),
	}
	// A counter that is there only from its first event on has no increase that a rule could see.
	for _, p := range []string{"arp", "ndp", "claim"} {
		m.drops.WithLabelValues(p)
	}
	for _, p := range []string{"arp", "ndp", "claim", "probe", "socket", "filter"} {
		m.failures.WithLabelValues(p)
	}
	for _, p := range []string{"arp", "ndp"} {
		m.announcements.WithLabelValues(p)
	}
	for _, c := range []Cause{Lost, Left, Moved, Rebalanced, Settled} {
		m.takeovers.WithLabelValues(string(c))
	}
	registry.MustRegister(m.frames, m.drops, m.failures, m.announcements, m.takeovers, m.answering, m.known, m.owned, m.ownerless, m.standingIn, m.damped, m.conflicts, m.conflictsSeen, m.detection, m.frozen)
	return m
}

func (m *Metrics) received(protocol string, v Verdict) {
	m.frames.WithLabelValues(protocol, string(v)).Inc()
}
func (m *Metrics) dropped(protocol string, n uint32) {
	m.drops.WithLabelValues(protocol).Add(float64(n))
}
func (m *Metrics) failed(protocol string)    { m.failures.WithLabelValues(protocol).Inc() }
func (m *Metrics) announced(protocol string) { m.announcements.WithLabelValues(protocol).Inc() }

func (m *Metrics) answers(yes bool) {
	value := 0.
	if yes {
		value = 1
	}
	m.answering.Set(value)
}

// tally brings the gauges in line with what this node answers for.
func (m *Metrics) tally(owned map[netip.Addr]Owned) {
	standingIn := 0
	for _, o := range owned {
		if o.For != "" {
			standingIn++
		}
	}
	m.owned.Set(float64(len(owned) - standingIn))
	m.standingIn.Set(float64(standingIn))
}
