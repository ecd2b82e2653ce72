package speaker

import "github.com/prometheus/client_golang/prometheus"

// metrics are of what this node's part in things is, as the API server's objects have it.
type metrics struct {
	barred, troubled prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		barred: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_speaker_barred",
			Help: "1 while this node is to own nothing and to advertise nothing: it is drained or excluded, or not Ready for long.",
		}),
		troubled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_bgp_peers_troubled",
			Help: "BGPPeers whose sessions on this node are not as they say, for lack of a Secret or the like; the Speaker's status says which and why.",
		}),
	}
	if registry != nil {
		registry.MustRegister(m.barred, m.troubled)
	}
	return m
}

func (m metrics) setBarred(barred bool) {
	value := 0.
	if barred {
		value = 1
	}
	m.barred.Set(value)
}
