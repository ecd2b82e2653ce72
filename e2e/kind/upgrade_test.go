//go:build kind

package kind

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// upgrade applies the manifest over the one of the previous release, with its images, while clients use the
// addresses.
func (w *world) upgrade(t *attempt) {
	w.remove(t)
	w.standOn(t, env(t, "E2E_KIND_PREVIOUS"))
	w.spread(t)
	t.Log("before:\n" + kubectl(t, "get", "pods", "--namespace", namespace, "--output", "wide"))
	before := map[string][]netip.Addr{}
	for name := range w.services {
		before[name] = w.assigned(t, name, w.segment.families(), time.Second)
	}
	l := w.client.load(t, established, perSecond, w.addresses...)
	begin := time.Now()
	w.install(t, manifest)
	t.Logf("upgraded within %.1f s", time.Since(begin).Seconds())
	l.flawless(t)
	w.stay(t)
	for name, addresses := range before {
		s := get[corev1.Service](t, "service", name)
		if now := w.assigned(t, name, w.segment.families(), time.Second); !slices.Equal(now, addresses) {
			t.Errorf("Service %s had %s and has %s", name, addresses, now)
		}
		if !meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ServiceConditionAssigned) {
			t.Errorf("Service %s has conditions %+v", name, s.Status.Conditions)
		}
	}
	for _, p := range get[corev1.PodList](t, "pods", "--namespace", namespace).Items {
		if image := p.Spec.Containers[0].Image; p.DeletionTimestamp == nil && strings.HasSuffix(image, ":previous") {
			t.Errorf("%s still runs %s", p.Name, image)
		}
	}
	w.speakersAgree(t)
	w.noRestarts(t)
	apart(t)
	w.serve(t, serviceOf{Name: "after-upgrade"})
	w.forget(t, "after-upgrade")
	t.Log("after:\n" + kubectl(t, "get", "pods", "--namespace", namespace, "--output", "wide"))
}
