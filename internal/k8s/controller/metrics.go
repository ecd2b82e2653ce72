package controller

import (
	"math/big"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics have no label whose values grow with the number of Services.
type metrics struct {
	leader        prometheus.Gauge
	services      *prometheus.GaugeVec
	total, used   *prometheus.GaugeVec
	decisions     *prometheus.CounterVec
	writes        *prometheus.CounterVec
	writeDuration *prometheus.HistogramVec
	queue         prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "fairlead", Subsystem: "controller", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "fairlead", Subsystem: "controller", Name: name, Help: help}
	}
	m := &metrics{
		leader: prometheus.NewGauge(gauge("leader", "1 while this controller decides, 0 while it stands by.")),
		services: prometheus.NewGaugeVec(gauge("services",
			"Services by state: assigned have what they ask for, pending miss something. Of the leader only."), []string{"state"}),
		total: prometheus.NewGaugeVec(gauge("pool_addresses",
			"Addresses that a pool may give out. Of the leader only."), []string{"pool", "family"}),
		used: prometheus.NewGaugeVec(gauge("pool_addresses_assigned",
			"Addresses of a pool that Services have. Of the leader only."), []string{"pool", "family"}),
		decisions: prometheus.NewCounterVec(counter("decisions_total",
			"Decisions on a Service by result: assigned, pending, released."), []string{"result"}),
		writes: prometheus.NewCounterVec(counter("writes_total",
			"Status writes by kind of object (service, pool) and result: written, conflict, gone, error."), []string{"object", "result"}),
		writeDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "fairlead", Subsystem: "controller", Name: "write_duration_seconds",
			Help:    "Time that a status write took, by kind of object.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"object"}),
		queue: prometheus.NewGauge(gauge("queue_length", "Services and pools that wait for a decision.")),
	}
	r.MustRegister(m.leader, m.services, m.total, m.used, m.decisions, m.writes, m.writeDuration, m.queue)
	return m
}

// reset forgets what only the leader knows.
func (m *metrics) reset() {
	m.leader.Set(0)
	m.queue.Set(0)
	m.services.Reset()
	m.total.Reset()
	m.used.Reset()
}

func (m *metrics) pool(name string, usage [2]allocator.Usage) {
	for _, f := range lb.Families {
		if usage[f].Total == nil || usage[f].Total.Sign() == 0 {
			m.total.DeleteLabelValues(name, f.String())
			m.used.DeleteLabelValues(name, f.String())
			continue
		}
		total, _ := new(big.Float).SetInt(usage[f].Total).Float64()
		m.total.WithLabelValues(name, f.String()).Set(total)
		m.used.WithLabelValues(name, f.String()).Set(float64(usage[f].Assigned))
	}
}
