//go:build kind

package kind

import (
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// A leader that ends gives its Lease back, and the others look every two seconds.
	handoverBound = 10 * time.Second
	// One that dies does not: the Lease has 15 s.
	deathBound = 25 * time.Second
)

// leading returns the pod of the controller that leads.
func leading(t testing.TB) (pod corev1.Pod) {
	t.Helper()
	eventually(t, 30*time.Second, "a controller leads", func() error {
		holder := get[coordinationv1.Lease](t, "lease", "fairlead-controller", "--namespace", namespace).Spec.HolderIdentity
		if holder == nil || *holder == "" {
			return errors.New("nobody holds the Lease")
		}
		name, _, _ := strings.Cut(*holder, "_")
		out, err := command(t.Context(), "", "kubectl", "get", "pod", name, "--namespace", namespace, "--output", "json")
		if err != nil {
			return err
		}
		return decode(out, &pod)
	})
	return pod
}

// leader has the controller that leads deleted. Another one gives addresses at once, and changes none.
func (w *world) leader(t *attempt) {
	w.stand(t)
	before := map[string]string{}
	for name := range w.services {
		before[name] = get[corev1.Service](t, "service", name).ResourceVersion
	}
	pod := leading(t)
	begin := time.Now()
	kubectl(t, "delete", "pod", pod.Name, "--namespace", namespace, "--wait=false")
	w.make(t, serviceOf{Name: "meanwhile"})
	w.assigned(t, "meanwhile", w.segment.families(), handoverBound)
	t.Logf("%s, which led, deleted: a new Service has its address after %.1f s (bound %v); now leads %s",
		pod.Name, time.Since(begin).Seconds(), handoverBound, leading(t).Name)
	for name, version := range before {
		if s := get[corev1.Service](t, "service", name); s.ResourceVersion != version {
			t.Errorf("Service %s was written: %+v", name, s.Status)
		}
	}
	w.stay(t)
	w.forget(t, "meanwhile")
	w.awaitRollout(t, "deployment/fairlead-controller")
}

// apart fails if the controllers run on one node, which would take both along. An update must not bring them together
// either.
func apart(t testing.TB) {
	t.Helper()
	nodes := map[string]string{}
	for _, p := range get[corev1.PodList](t, "pods", "--namespace", namespace, "--selector", "app.kubernetes.io/component=controller").Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		if other := nodes[p.Spec.NodeName]; other != "" {
			t.Errorf("%s and %s both run on %s", other, p.Name, p.Spec.NodeName)
		}
		nodes[p.Spec.NodeName] = p.Name
	}
}
