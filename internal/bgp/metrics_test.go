package bgp

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513).listen()
	registry := prometheus.NewPedanticRegistry()
	s := newSpeaker(t, func(c *Config) { c.Metrics = registry })
	s.advertise("198.51.100.1", Attributes{})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	c.until("the route", func() bool { return c.updates == 1 })
	want := `
# HELP fairlead_bgp_prefixes_advertised Prefixes that the peer has from this node.
# TYPE fairlead_bgp_prefixes_advertised gauge
fairlead_bgp_prefixes_advertised{peer="tor"} 1
# HELP fairlead_bgp_session_up 1 if the session with the peer is established, else 0.
# TYPE fairlead_bgp_session_up gauge
fairlead_bgp_session_up{peer="tor"} 1
# HELP fairlead_bgp_sessions_established_total How often the session with the peer was established.
# TYPE fairlead_bgp_sessions_established_total counter
fairlead_bgp_sessions_established_total{peer="tor"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "fairlead_bgp_prefixes_advertised", "fairlead_bgp_session_up",
		"fairlead_bgp_sessions_established_total"); err != nil {
		t.Error(err)
	}
	sent := messagesMetric.String()
	if n, err := testutil.GatherAndCount(registry, "fairlead_bgp_messages_total"); err != nil || n != 10 {
		t.Errorf("%d of %s, %v", n, sent, err)
	}
	s.RemovePeer("tor")
	s.until("tor", "gone", func(st SessionStatus) bool { return st.Peer == "" })
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d metrics of a peer that is gone, %v", n, err)
	}
}
