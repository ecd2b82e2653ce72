package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMetricsFollowWhatIsDecided(t *testing.T) {
	scenario(t, "a pool of one, an advertisement of a pool that is not there", func(t *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		// expect compares how many Services and objects are counted under what; what none is under is left out.
		expect := func(when string, want ...string) {
			t.Helper()
			families, err := registry.Gather()
			w.must(err)
			var got []string
			for _, f := range families {
				switch name := strings.TrimPrefix(f.GetName(), "fairlead_controller_"); name {
				case "services", "services_pending", "objects_not_ready":
					for _, m := range f.GetMetric() {
						if v := m.GetGauge().GetValue(); v != 0 {
							got = append(got, fmt.Sprintf("%s %s %g", name, m.GetLabel()[0].GetValue(), v))
						}
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		advertise := func(generation int64, pool string) {
			a := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "edge", Generation: generation, ResourceVersion: w.next()}}
			a.Spec.IPAddressPools = []string{pool}
			if generation == 1 {
				w.must(w.fairlead.Tracker().Create(advertisementsGVR, a, ""))
			} else {
				w.must(w.fairlead.Tracker().Update(advertisementsGVR, a, ""))
			}
			w.settle()
			w.settle()
		}
		_, stop := w.run(func(c *Config) { c.Metrics = registry })
		expect("nothing there")

		w.pool("edge", "192.0.2.200-192.0.2.200")
		w.age()
		w.pool("late", "192.0.2.200-192.0.2.201")
		w.service("a")
		w.service("b")
		w.service("c", asking("203.0.113.1"))
		w.service("d", asking("203.0.113.2"))
		advertise(1, "nowhere")
		expect("all that is wrong", "objects_not_ready IPAddressPool 1", "objects_not_ready L2Advertisement 1",
			"services assigned 2", "services pending 2", "services_pending AddressNotInPool 2")

		w.deletePool("late")
		w.delete("c")
		advertise(2, "edge")
		expect("some of it mended", "services assigned 1", "services pending 2",
			"services_pending AddressNotInPool 1", "services_pending PoolExhausted 1")
		advertise(3, "nowhere")
		expect("the advertisement is wrong again", "objects_not_ready L2Advertisement 1", "services assigned 1", "services pending 2",
			"services_pending AddressNotInPool 1", "services_pending PoolExhausted 1")
		w.must(w.fairlead.Tracker().Delete(advertisementsGVR, "", "edge"))
		w.delete("a")
		w.delete("b")
		w.delete("d")
		w.settle()
		expect("all gone")

		w.service("a")
		w.settle()
		stop()
		expect("who does not lead counts nothing")
	})
}
