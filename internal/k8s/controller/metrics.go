package controller

import (
	"math/big"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics have no label whose values grow with the number of Services.
type metrics struct {
	leader   prometheus.Gauge
	services *prometheus.GaugeVec
	pending  *prometheus.GaugeVec // by reason
	notReady *prometheus.GaugeVec // by kind of object
	// by pool and family
	total, used, retained, available *prometheus.GaugeVec
	decisions                        *prometheus.CounterVec
	writes                           *prometheus.CounterVec
	writeDuration                    *prometheus.HistogramVec
	queue                            prometheus.Gauge
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
		pending: prometheus.NewGaugeVec(gauge("services_pending",
			"Services that miss something, by the reason that their condition fairlead.dev/Assigned gives. Of the leader only."), []string{"reason"}),
		notReady: prometheus.NewGaugeVec(gauge("objects_not_ready",
			"Objects of the configuration whose condition Ready is not True, by kind: what is wrong with them is in the condition. Of the leader only."), []string{"kind"}),
		total: prometheus.NewGaugeVec(gauge("pool_addresses",
			"Addresses that a pool may give out. Of the leader only."), []string{"pool", "family"}),
		used: prometheus.NewGaugeVec(gauge("pool_addresses_assigned",
			"Addresses of a pool that Services have. Of the leader only."), []string{"pool", "family"}),
		retained: prometheus.NewGaugeVec(gauge("pool_addresses_retained",
			"Addresses of a pool that wait for the return of a deleted Service. Of the leader only."), []string{"pool", "family"}),
		available: prometheus.NewGaugeVec(gauge("pool_addresses_available",
			"Addresses of a pool that no Service has and none waits for. Of the leader only."), []string{"pool", "family"}),
		decisions: prometheus.NewCounterVec(counter("decisions_total",
			"Decisions on a Service by result: assigned, pending, released."), []string{"result"}),
		writes: prometheus.NewCounterVec(counter("writes_total",
			"Status writes by kind of object (service, pool, bgppeer, ...) and result: written, conflict, gone, error."), []string{"object", "result"}),
		writeDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "fairlead", Subsystem: "controller", Name: "write_duration_seconds",
			Help:    "Time that a status write took, by kind of object.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"object"}),
		queue: prometheus.NewGauge(gauge("queue_length", "Services and other objects that wait for a decision.")),
	}
	// A counter that is there only from its first event on has no increase that a rule could see.
	for _, result := range []string{"assigned", "pending", "released"} {
		m.decisions.WithLabelValues(result)
	}
	for _, object := range objectNames() {
		for _, result := range []string{"written", "conflict", "gone", "error"} {
			m.writes.WithLabelValues(object, result)
		}
	}
	r.MustRegister(m.leader, m.services, m.pending, m.notReady, m.total, m.used, m.retained, m.available, m.decisions, m.writes, m.writeDuration, m.queue)
	return m
}

// begin has what only the leader knows begin at nothing.
func (m *metrics) begin() {
	m.leader.Set(1)
	for _, state := range []string{"assigned", "pending"} {
		m.services.WithLabelValues(state)
	}
	m.notReady.WithLabelValues(poolKind)
	for _, kind := range kindNames {
		m.notReady.WithLabelValues(kind)
	}
}

// reset forgets what only the leader knows.
func (m *metrics) reset() {
	m.leader.Set(0)
	m.queue.Set(0)
	m.services.Reset()
	m.pending.Reset()
	m.notReady.Reset()
	for _, g := range m.pools() {
		g.Reset()
	}
}

func (m *metrics) pools() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{m.total, m.used, m.retained, m.available}
}

// count adds to the Services of a reason, reasonAssigned or why they miss something.
func (m *metrics) count(reason string, n float64) {
	state := "assigned"
	if reason != reasonAssigned {
		state = "pending"
		m.pending.WithLabelValues(reason).Add(n)
	}
	m.services.WithLabelValues(state).Add(n)
}

// poolKind is the kind of pools, as kindNames are of the others.
const poolKind = "IPAddressPool"

// faulty notes whether an object is not Ready, and was before.
func (m *metrics) faulty(kind string, was *bool, is bool) {
	if *was == is {
		return
	}
	if *was = is; is {
		m.notReady.WithLabelValues(kind).Inc()
	} else {
		m.notReady.WithLabelValues(kind).Dec()
	}
}

// objectNames are what is written to, as the metrics of writes name it.
func objectNames() []string {
	names := []string{"service", "pool"}
	for _, kind := range kindNames {
		names = append(names, strings.ToLower(kind))
	}
	return names
}

// pool shows the use of a pool; the zero value removes it.
func (m *metrics) pool(name string, usage [2]allocator.Usage) {
	for _, f := range lb.Families {
		u := usage[f]
		if !u.First.IsValid() {
			for _, g := range m.pools() {
				g.DeleteLabelValues(name, f.String())
			}
			continue
		}
		set := func(g *prometheus.GaugeVec, value float64) { g.WithLabelValues(name, f.String()).Set(value) }
		total, _ := new(big.Float).SetInt(u.Total).Float64()
		available, _ := new(big.Float).SetInt(u.Available).Float64()
		set(m.total, total)
		set(m.used, float64(u.Assigned))
		set(m.retained, float64(u.Retained))
		set(m.available, available)
	}
}
