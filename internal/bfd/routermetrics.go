package bfd

import (
	"github.com/prometheus/client_golang/prometheus"
)

type routerMetrics struct {
	dropped  *prometheus.CounterVec
	failures prometheus.Counter
	downs    *prometheus.CounterVec
	silence  prometheus.Histogram
}

// newRouterMetrics registers the metrics of the sessions with routers.
func newRouterMetrics(r *Routers, registry prometheus.Registerer) routerMetrics {
	x := routerMetrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_bfd_router_packets_dropped_total",
			Help: "BFD packets at the ports for routers that had no effect, by reason: unknown (of no session), malformed, authenticated (no authentication is in use), ttl (from too far away).",
		}, []string{"reason"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_bfd_router_send_failures_total",
			Help: "BFD packets to routers that could not be sent.",
		}),
		downs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_bfd_router_sessions_down_total",
			Help: "BFD sessions with routers that went down, by RFC 5880's diagnostic.",
		}, []string{"diagnostic"}),
		silence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "fairlead_bfd_router_detection_seconds",
			Help:    "Silence of a router after which its BFD session was given up.",
			Buckets: []float64{.05, .1, .15, .2, .3, .35, .4, .5, .7, .9, 1, 2, 5, 10, 60},
		}),
	}
	for _, why := range []reason{unknown, malformed, authenticated, wrongTTL} {
		x.dropped.WithLabelValues(string(why))
	}
	registry.MustRegister(x.dropped, x.failures, x.downs, x.silence, routerCollector{r})
	return x
}

// routerCollector tells of the sessions that there are, by BGPPeer.
type routerCollector struct{ routers *Routers }

var (
	routerUp = prometheus.NewDesc("fairlead_bfd_router_session_up",
		"1 if the BFD session beside a BGPPeer's BGP session is up, else 0.", []string{"peer"}, nil)
	routerPackets = prometheus.NewDesc("fairlead_bfd_router_packets_total",
		"BFD packets of the session beside a BGPPeer's BGP session. Peers of one router share them.", []string{"peer", "direction"}, nil)
)

func (routerCollector) Describe(d chan<- *prometheus.Desc) { d <- routerUp; d <- routerPackets }

func (c routerCollector) Collect(m chan<- prometheus.Metric) {
	for peer, s := range c.routers.statuses() {
		up := 0.
		if s.State == Up {
			up = 1
		}
		m <- prometheus.MustNewConstMetric(routerUp, prometheus.GaugeValue, up, peer)
		m <- prometheus.MustNewConstMetric(routerPackets, prometheus.CounterValue, float64(s.Sent), peer, "sent")
		m <- prometheus.MustNewConstMetric(routerPackets, prometheus.CounterValue, float64(s.Received), peer, "received")
	}
}
