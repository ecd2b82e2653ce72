//go:build kind

package kind

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

// standing is how many Services stay. With more than one, each worker owns addresses of each family.
const standing = 5

type specification = corev1.ServiceSpec

// stand sees to Fairlead, a pool, backends and the standing Services, and learns who owns their addresses. What is
// there already stays.
func (w *world) stand(t testing.TB) { w.standOn(t, manifest) }

func (w *world) standOn(t testing.TB, manifest string) {
	t.Helper()
	if w.addresses == nil {
		w.install(t, manifest)
		apply(t, "pool.yaml", w.segment)
		w.deploy(t, "echo", 2, w.workers)
		for i := range standing {
			w.make(t, serviceOf{Name: fmt.Sprint("echo-", i)})
		}
		for i := range standing {
			w.addresses = append(w.addresses, w.assigned(t, fmt.Sprint("echo-", i), w.segment.families(), 10*time.Second)...)
		}
	}
	w.owners = w.ask(t, w.addresses)
	w.restarts = restarts(t)
}

// install applies a manifest and waits until all of it runs.
func (w *world) install(t testing.TB, manifest string) {
	t.Helper()
	kubectl(t, "apply", "--filename", manifest)
	w.awaitRollout(t, "deployment/fairlead-controller")
	w.awaitRollout(t, "daemonset/fairlead-speaker")
	w.awaitSpeakers(t, 30*time.Second)
	if w.kind == nil {
		w.learnNodes(t)
	}
}

func (w *world) awaitRollout(t testing.TB, workload string) {
	t.Helper()
	kubectl(t, "rollout", "status", "--namespace", namespace, "--timeout", "110s", workload)
}

// restarts are how often the containers of Fairlead's pods were started again.
func restarts(t testing.TB) map[string]int32 {
	t.Helper()
	count := map[string]int32{}
	for _, p := range get[corev1.PodList](t, "pods", "--namespace", namespace).Items {
		for _, c := range p.Status.ContainerStatuses {
			count[p.Name+" on "+p.Spec.NodeName] += c.RestartCount
		}
	}
	return count
}

// noRestarts fails if a container on a living node was started again since Fairlead stands.
func (w *world) noRestarts(t testing.TB) {
	t.Helper()
	for pod, n := range restarts(t) {
		if n > w.restarts[pod] && (w.killed == "" || !strings.HasSuffix(pod, " "+w.killed)) {
			t.Errorf("%s was restarted %d times", pod, n-w.restarts[pod])
		}
	}
}

// deploy has backends run on some nodes, and on no others.
func (w *world) deploy(t testing.TB, name string, replicas int, nodes []string) {
	t.Helper()
	apply(t, "backend.yaml", struct {
		Name, Image string
		Replicas    int
		Nodes       []string
	}{name, w.image, replicas, nodes})
	kubectl(t, "rollout", "status", "--timeout", "90s", "deployment/"+name)
	// Those before serve on for a few seconds, in which kube-proxies hear of it.
	eventually(t, 30*time.Second, "the backends are these", func() error {
		if pods := get[corev1.PodList](t, "pods", "--selector", "app="+name).Items; len(pods) != replicas {
			return fmt.Errorf("there are %d pods of %s", len(pods), name)
		}
		return nil
	})
}

// serviceOf is what testdata/service.yaml is filled in with.
type serviceOf struct {
	Name, App, Pool, Policy string
	Dual                    bool
}

// serve makes a Service and waits for its addresses.
func (w *world) serve(t testing.TB, s serviceOf) []netip.Addr {
	t.Helper()
	begin := time.Now()
	w.make(t, s)
	addresses := w.assigned(t, s.Name, w.segment.families(), 10*time.Second)
	if d := time.Since(begin); d > time.Second {
		t.Logf("%s has %s after %.1f s", s.Name, addresses, d.Seconds())
	}
	return addresses
}

// make makes a Service for the backends that stand, of the pool e2e, if it does not say more.
func (w *world) make(t testing.TB, s serviceOf) {
	t.Helper()
	s.Dual = w.segment.Dual()
	for field, otherwise := range map[*string]string{&s.App: "echo", &s.Pool: "e2e", &s.Policy: "Cluster"} {
		if *field == "" {
			*field = otherwise
		}
	}
	apply(t, "service.yaml", s)
	w.services[s.Name] = get[corev1.Service](t, "service", s.Name).Spec
}

// forget deletes Services.
func (w *world) forget(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		kubectl(t, "delete", "service", name, "--ignore-not-found")
		delete(w.services, name)
	}
}

// assigned waits for the n addresses of a Service.
func (w *world) assigned(t testing.TB, service string, n int, within time.Duration) (addresses []netip.Addr) {
	t.Helper()
	eventually(t, within, service+" has its addresses", func() error {
		addresses = nil
		for _, i := range get[corev1.Service](t, "service", service).Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(i.IP)
			if err != nil {
				return err
			}
			addresses = append(addresses, a)
		}
		if len(addresses) != n {
			return fmt.Errorf("its status has %s", addresses)
		}
		return nil
	})
	return addresses
}

// ask asks the segment who answers for each address. There must be one, and it must be a node.
func (w *world) ask(t testing.TB, addresses []netip.Addr) map[netip.Addr]string {
	t.Helper()
	owners := map[netip.Addr]string{}
	eventually(t, 15*time.Second, "one node answers for each address", func() error {
		answers, err := w.client.whoHas(addresses)
		if err != nil {
			return err
		}
		var failures []error
		for _, a := range addresses {
			if macs := answers[a]; len(macs) == 1 && w.nodes[macs[0]] != "" {
				owners[a] = w.nodes[macs[0]]
			} else {
				failures = append(failures, fmt.Errorf("for %s answer %q; the nodes are %v", a, macs, w.nodes))
			}
		}
		return errors.Join(failures...)
	})
	return owners
}

// stay fails if somebody else owns an address now.
func (w *world) stay(t testing.TB) {
	t.Helper()
	if owners := w.ask(t, w.addresses); !maps.Equal(owners, w.owners) {
		t.Errorf("owners changed from %v to %v", w.owners, owners)
		w.owners = owners
	}
}

// owned are the addresses of a node.
func (w *world) owned(node string) (addresses []netip.Addr) {
	for _, a := range w.addresses {
		if w.owners[a] == node {
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// spread has both workers own addresses: what an earlier step did may have left all with one.
func (w *world) spread(t testing.TB) {
	t.Helper()
	if slices.ContainsFunc(w.workers, func(n string) bool { return len(w.owned(n)) == 0 }) {
		t.Log("\n" + kubectl(t, "fairlead", "rebalance", "--wait"))
		time.Sleep(6 * time.Second) // each speaker looks on for five seconds whether it can even out more
		w.owners = w.ask(t, w.addresses)
	}
}

// speakersAgree compares what Speaker objects say with what the segment answered.
func (w *world) speakersAgree(t testing.TB) {
	t.Helper()
	eventually(t, 20*time.Second, "the Speakers' status is true", func() error {
		owners := map[netip.Addr]string{}
		for _, speaker := range get[v1alpha1.SpeakerList](t, "speakers").Items {
			if speaker.Status.Layer2 == nil {
				continue
			}
			for _, a := range speaker.Status.Layer2.Addresses {
				if address := netip.MustParseAddr(a.Address); slices.Contains(w.addresses, address) {
					owners[address] = speaker.Name
				}
			}
		}
		if !maps.Equal(owners, w.owners) {
			return fmt.Errorf("they say %v, the segment says %v", owners, w.owners)
		}
		return nil
	})
}
