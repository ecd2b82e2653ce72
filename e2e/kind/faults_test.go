//go:build kind

package kind

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// takeoverBound is what the loss of a node may cost a client. The lab measures a third of a second; here all
	// nodes share the processors with kubelets that see to a node's loss.
	takeoverBound = 2 * time.Second
	// undisturbed is what an address may miss whose owner did not change.
	undisturbed = time.Second
	// grace is --restart-grace: so long addresses stay where only the speaker is gone.
	grace = 15 * time.Second
)

// victim is a worker that owns addresses, and has no backend from here on: a kube-proxy would go on sending to
// one there until its Node is NotReady, 40 s later, whoever answers for the address.
func (w *world) victim(t testing.TB) string {
	t.Helper()
	w.spread(t)
	node := w.owners[w.addresses[0]]
	w.deploy(t, "echo", 2, w.without(node))
	w.stay(t)
	return node
}

// pause has all programs of a node stand still; its kernel goes on, and so does what is in it: kube-proxy's rules.
func (w *world) pause(t *attempt) {
	w.stand(t)
	victim := w.victim(t)
	unpause := func() { _, _ = command(w.t.Context(), "", "docker", "unpause", victim) }
	defer unpause()

	l := w.client.load(t, established, perSecond, w.addresses...)
	docker(t, "pause", victim)
	time.Sleep(grace / 3)
	unpause()
	t.Logf("%s stood still for %v", victim, grace/3)
	w.awaitSpeakers(t, 30*time.Second)
	l.flawless(t)
	w.stay(t)

	// Longer than the grace: they move while its kernel still forwards, so that no new connection fails.
	l = w.client.load(t, 0, perSecond, w.addresses...)
	docker(t, "pause", victim)
	took := eventually(t, 2*grace, "others own all", func() error {
		for a, owner := range w.ask(t, w.addresses) {
			if owner == victim {
				return fmt.Errorf("%s is still %s's", a, owner)
			}
		}
		return nil
	})
	w.gone(t, victim)
	unpause()
	t.Logf("%s stood still: its addresses moved after %.1f s", victim, took.Seconds())
	for range 3 { // exactly one owner, from the first moment on
		w.stay(t)
	}
	w.awaitSpeakers(t, 30*time.Second)
	l.moved(t)
	w.stay(t)
	w.speakersAgree(t)
}

// cut takes a worker off its network, and puts it back.
func (w *world) cut(t *attempt) {
	w.stand(t)
	victim := w.victim(t)
	v4, v6 := addressesOn(t, victim, w.kind.network)
	l := w.client.load(t, 0, perSecond, w.addresses...)
	docker(t, "network", "disconnect", w.kind.network, victim)
	w.gone(t, victim)
	w.lost(t, l, victim)

	l = w.client.load(t, established, perSecond, w.addresses...)
	docker(t, "network", "connect", "--ip", v4.String(), "--ip6", v6.String(), w.kind.network, victim)
	w.rejoin(t)
	t.Logf("all speakers see each other %.1f s after the network is back", w.awaitSpeakers(t, time.Minute).Seconds())
	time.Sleep(3 * time.Second) // for what it might do next
	l.flawless(t)
	w.stay(t)
	w.speakersAgree(t)
}

// lost ends a load through a loss: bounds what its addresses miss, and that the others' miss nothing.
func (w *world) lost(t testing.TB, l *load, victim string) {
	t.Helper()
	time.Sleep(2 * time.Second)
	for a, o := range l.end(t) {
		bound, whose := undisturbed, "another's"
		if !w.kept[a] {
			bound, whose = takeoverBound, victim+"'s"
		}
		t.Logf("%-20s was %s: no answer for %d ms (bound %v), %d of %d failed", a, whose, o.Longest.Milliseconds(), bound, o.Failed, o.Sent)
		if o.Longest > bound {
			t.Errorf("%s was interrupted for %v, more than %v", a, o.Longest, bound)
		}
		if w.kept[a] && o.Failed > 0 {
			t.Errorf("%d new connections to %s failed, whose owner lives", o.Failed, a)
		}
	}
}

// kill kills a worker, the controller that leads with it, and has it come back.
func (w *world) kill(t *attempt) {
	w.stand(t)
	// With graceful restart FRR keeps a dead node's routes for the restart time, whatever its BFD says.
	w.route(t, false)
	pod := w.leadingOnWorker(t)
	w.killed = pod.Spec.NodeName
	w.spread(t)
	w.deploy(t, "echo", 2, w.without(w.killed))
	w.stay(t)
	w.routing.awaitHops(t, w.workers...)

	l, far := w.client.load(t, 0, perSecond, w.addresses...), w.routing.visitor.load(t, established, perSecond, w.routing.addresses...)
	t.Logf("killing %s, where %s leads", w.killed, pod.Name)
	begin := time.Now()
	docker(t, "kill", w.killed)
	w.make(t, serviceOf{Name: "meanwhile"})
	w.routing.awaitHops(t, slices.DeleteFunc(slices.Clone(w.workers), func(n string) bool { return n == w.killed })...)
	t.Logf("the router has left it after %.1f s at most", time.Since(begin).Seconds())
	w.gone(t, w.killed)
	w.lost(t, l, w.killed)
	broken := 0
	for a, o := range far.end(t) {
		broken += o.Broken
		if o.Longest > takeoverBound {
			t.Errorf("%s was not reached through the router for %v, more than %v", a, o.Longest, takeoverBound)
		}
	}
	if broken == 0 || broken == established {
		t.Errorf("%d of %d connections through the router broke, want those through %s and no others", broken, established, w.killed)
	}
	w.assigned(t, "meanwhile", w.segment.families(), deathBound)
	t.Logf("a new Service has its address within %.1f s of the leader's death (bound %v)", time.Since(begin).Seconds(), deathBound)
	if d := time.Since(begin); d > deathBound {
		t.Errorf("a new Service had to wait for %v", d)
	}
	w.noRestarts(t)
	w.speakersAgree(t)
	t.Log("\n" + kubectl(t, "get", "nodes,speakers"))
	w.revive(t)
}

// leadingOnWorker has a controller on a worker lead, whose node can be spared.
func (w *world) leadingOnWorker(t testing.TB) corev1.Pod {
	t.Helper()
	pod := leading(t)
	if slices.Contains(w.workers, pod.Spec.NodeName) {
		return pod
	}
	kubectl(t, append([]string{"cordon"}, w.excluded...)...)
	defer kubectl(t, append([]string{"uncordon"}, w.excluded...)...)
	kubectl(t, "delete", "pod", pod.Name, "--namespace", namespace)
	w.awaitRollout(t, "deployment/fairlead-controller")
	eventually(t, 30*time.Second, "a controller on a worker leads", func() error {
		if pod = leading(t); !slices.Contains(w.workers, pod.Spec.NodeName) {
			return fmt.Errorf("%s on %s does", pod.Name, pod.Spec.NodeName)
		}
		return nil
	})
	return pod
}

// revive has the worker come back. It owned half of the addresses, but to move them again would interrupt
// them again.
func (w *world) revive(t testing.TB) {
	l := w.client.load(t, established, perSecond, w.addresses...)
	begin := time.Now()
	docker(t, "start", w.killed)
	w.rejoin(t)
	w.awaitSpeakers(t, 100*time.Second)
	t.Logf("all speakers see each other %.1f s after docker start", time.Since(begin).Seconds())
	w.rejoin(t) // the node has written its own configuration meanwhile
	w.routing.awaitHops(t, w.workers...)
	time.Sleep(3 * time.Second)
	l.flawless(t)
	w.stay(t)
	w.speakersAgree(t)
	w.forget(t, "meanwhile")
	w.route(t, true)
	t.Log("\n" + kubectl(t, "get", "speakers,bgppeers"))
}

// addressesOn are a container's addresses on a network.
func addressesOn(t testing.TB, container, network string) (v4, v6 netip.Addr) {
	t.Helper()
	for _, c := range inspect(t, network).Containers {
		if c.Name == container {
			return netip.MustParsePrefix(c.IPv4Address).Addr(), netip.MustParsePrefix(c.IPv6Address).Addr()
		}
	}
	t.Fatalf("container %s is not on network %s", container, network)
	return v4, v6
}
