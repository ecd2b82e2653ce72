package bgp

import "github.com/prometheus/client_golang/prometheus"

// collector makes the metrics out of what the sessions show, when they are asked for.
type collector struct{ engine *Engine }

var (
	upMetric = prometheus.NewDesc("fairlead_bgp_session_up",
		"1 if the session with the peer is established, else 0.", []string{"peer"}, nil)
	establishedMetric = prometheus.NewDesc("fairlead_bgp_sessions_established_total",
		"How often the session with the peer was established.", []string{"peer"}, nil)
	prefixesMetric = prometheus.NewDesc("fairlead_bgp_prefixes_advertised",
		"Prefixes that the peer has from this node.", []string{"peer"}, nil)
	withoutNextHopMetric = prometheus.NewDesc("fairlead_bgp_prefixes_without_next_hop",
		"Prefixes that are not advertised to the peer since this node has no next hop of their family.", []string{"peer"}, nil)
	messagesMetric = prometheus.NewDesc("fairlead_bgp_messages_total",
		"Messages by direction (sent, received) and type: open, update, notification, keepalive, route_refresh. Of UPDATEs received nothing is used.",
		[]string{"peer", "direction", "type"}, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upMetric, establishedMetric, prefixesMetric, withoutNextHopMetric, messagesMetric} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.engine.mu.Lock()
	sessions := make([]*session, 0, len(c.engine.sessions))
	for _, s := range c.engine.sessions {
		sessions = append(sessions, s)
	}
	c.engine.mu.Unlock()
	for _, s := range sessions {
		st := s.shown.snapshot(s.tally)
		up := 0.0
		if st.State == Established {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(upMetric, prometheus.GaugeValue, up, s.name)
		to <- prometheus.MustNewConstMetric(establishedMetric, prometheus.CounterValue, float64(st.Established), s.name)
		to <- prometheus.MustNewConstMetric(prefixesMetric, prometheus.GaugeValue, float64(st.Advertised), s.name)
		to <- prometheus.MustNewConstMetric(withoutNextHopMetric, prometheus.GaugeValue, float64(st.WithoutNextHop), s.name)
		for k := kindOpen; k <= kindRefresh; k++ {
			to <- prometheus.MustNewConstMetric(messagesMetric, prometheus.CounterValue, float64(s.tally.out[k].Load()), s.name, "sent", kindNames[k])
			to <- prometheus.MustNewConstMetric(messagesMetric, prometheus.CounterValue, float64(s.tally.in[k].Load()), s.name, "received", kindNames[k])
		}
	}
}
