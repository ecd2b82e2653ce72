//go:build kind

package kind

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// drain takes a node out of service as administrators do. No new connection may fail, and what has moved stays
// where it is.
func (w *world) drain(t *attempt) {
	w.stand(t)
	w.deploy(t, "echo", 2, w.all()) // who is evicted needs somewhere to go
	w.spread(t)

	victim := w.withBackend(t)
	l := w.client.load(t, 0, perSecond, w.addresses...)
	t.Log("\n" + kubectl(t, "fairlead", "drain", victim))
	w.gone(t, victim)
	l.moved(t)
	kubectl(t, "fairlead", "undrain", victim)
	time.Sleep(3 * time.Second) // for what it might do next
	w.stay(t)
	w.spread(t)

	kubectl(t, "patch", "daemonset", "fairlead-speaker", "--namespace", namespace, "--type", "json", "--patch",
		`[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--drain-cordoned"}]`)
	w.awaitRollout(t, "daemonset/fairlead-speaker")
	w.awaitSpeakers(t, 20*time.Second)
	w.stay(t)
	victim = w.withBackend(t)
	l = w.client.load(t, 0, perSecond, w.addresses...)
	begin := time.Now()
	t.Log("\n" + kubectl(t, "drain", victim, "--ignore-daemonsets", "--timeout", "100s"))
	t.Logf("with --drain-cordoned, drained within %.1f s", time.Since(begin).Seconds())
	w.gone(t, victim)
	l.moved(t)
	for _, p := range get[corev1.PodList](t, "pods", "--all-namespaces", "--field-selector", "spec.nodeName="+victim).Items {
		if len(p.OwnerReferences) > 0 && p.OwnerReferences[0].Kind == "ReplicaSet" {
			t.Errorf("%s is still on %s", p.Name, victim)
		}
	}
	t.Log("\n" + kubectl(t, "fairlead", "owners"))
	kubectl(t, "uncordon", victim)
	time.Sleep(3 * time.Second)
	w.stay(t)

	w.install(t, manifest)
	w.stay(t)
	w.noRestarts(t)
}

// withBackend is a worker with addresses and a backend.
func (w *world) withBackend(t testing.TB) string {
	t.Helper()
	for _, p := range get[corev1.PodList](t, "pods", "--selector", "app=echo").Items {
		if node := p.Spec.NodeName; p.DeletionTimestamp == nil && slices.Contains(w.workers, node) && len(w.owned(node)) > 0 {
			t.Logf("%s owns %s, and %s runs there", node, w.owned(node), p.Name)
			return node
		}
	}
	t.Fatalf("no worker has addresses and a backend: %v", w.owners)
	return ""
}

// gone fails if a node still owns an address, or if one of another node has moved.
func (w *world) gone(t testing.TB, node string) {
	t.Helper()
	before := w.owners
	w.owners, w.kept = w.ask(t, w.addresses), map[netip.Addr]bool{}
	for a, owner := range w.owners {
		w.kept[a] = before[a] != node
		if owner == node || slices.Contains(w.excluded, owner) || before[a] != node && owner != before[a] {
			t.Errorf("%s went from %s to %s", a, before[a], owner)
		}
	}
}
