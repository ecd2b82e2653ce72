package speaker

import (
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
)

func TestMetricsSayWhatKeepsThisNodeFromItsPart(t *testing.T) {
	w := newBGPWorld(t)
	expect := func(when string, barred, troubled float64) {
		t.Helper()
		if b, p := testutil.ToFloat64(w.metrics.barred), testutil.ToFloat64(w.metrics.troubled); b != barred || p != troubled {
			t.Errorf("%s: barred %g, peers troubled %g, want %g and %g", when, b, p, barred, troubled)
		}
	}
	w.peer(bgpPeer("a", 1, nil))
	expect("all is well", 0, 0)
	other := func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "192.0.2.3" }
	w.peer(bgpPeer("b", 2, func(s *v1alpha1.BGPPeerSpec) { other(s); withSecret("missing")(s) }))
	expect("a Secret is missing", 0, 1)
	w.node("n", corev1.ConditionTrue, map[string]string{v1alpha1.AnnotationDrain: ""})
	w.setNode(lb.Key{Name: "n"})
	expect("the node is drained", 1, 1)
	w.peer(bgpPeer("b", 2, other))
	w.node("n", corev1.ConditionTrue, nil)
	w.setNode(lb.Key{Name: "n"})
	expect("all is well again", 0, 0)
}
