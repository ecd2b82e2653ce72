//go:build kind

package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

const (
	manifest  = "../../manifests/fairlead.yaml"
	namespace = "fairlead-system"
	// A Service of its own is what a user has; with more of them, each worker owns addresses of each family.
	services = 5
	// bound is what a worker's death may cost for now. Issue 3 of 7 makes it much less.
	bound = 15 * time.Second
	// undisturbed is what an address may miss whose owner did not change: what a busy machine does to a
	// client that asks every 50 ms, and to kube-proxies that take in new endpoints.
	undisturbed = time.Second
	// while is how long answers must come steadily before an interruption counts as over.
	while = 5 * time.Second
)

// scenario is one life of Fairlead on a cluster. Every step builds on those before it.
type scenario struct {
	image        string
	segment      segment
	client       client
	controlPlane string
	workers      []string
	nodes        map[string]string // by hardware address
	addresses    []netip.Addr      // of all Services, those of the first Service first
	owners       map[netip.Addr]string
	victim       string // the worker that is killed
	watched      []netip.Addr
	watch        *watch
}

func TestFairlead(t *testing.T) {
	env := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			t.Fatalf("%s is not set: run hack/e2e-kind.sh, which makes the cluster", name)
		}
		return value
	}
	network := env("E2E_KIND_NETWORK")
	s := &scenario{image: env("E2E_KIND_IMAGE"), segment: findSegment(t, network), nodes: map[string]string{}}
	s.client = startClient(t, env("E2E_KIND_CLIENT"), network, s.image)
	for _, n := range get[corev1.NodeList](t, "nodes").Items {
		s.nodes[macOf(t, n.Name)] = n.Name
		if _, ok := n.Labels["node-role.kubernetes.io/control-plane"]; ok {
			s.controlPlane = n.Name
		} else {
			s.workers = append(s.workers, n.Name)
		}
	}
	if s.controlPlane == "" || len(s.workers) != 2 {
		t.Fatalf("the cluster has control plane %q and workers %q, want one and two", s.controlPlane, s.workers)
	}

	t.Cleanup(func() {
		if s.watch != nil {
			_ = s.watch.stop()
		}
	})
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the manifest installs, and no pod restarts", s.install},
		{"Services get an address of each family from the pool", s.assign},
		{"one worker answers for each address and the excluded control plane for none", s.elect},
		{"the client reaches both replicas over TCP and UDP, IPv4 and IPv6", s.reach},
		{"kubectl get tells the truth", s.show},
		{"a worker is killed and the other one takes over", s.kill},
		{"the controller goes on assigning", s.assignAgain},
		{"the worker returns and takes nothing back", s.revive},
		{"the manifest's deletion leaves nothing behind", s.uninstall},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

func (s *scenario) install(t *testing.T) {
	begin := time.Now()
	kubectl(t, "apply", "--filename", manifest)
	for _, workload := range []string{"deployment/fairlead-controller", "daemonset/fairlead-speaker"} {
		kubectl(t, "rollout", "status", "--namespace", namespace, "--timeout", "100s", workload)
	}
	t.Logf("ready %.1f s after kubectl apply", time.Since(begin).Seconds())
	noRestarts(t)
	t.Log("\n" + kubectl(t, "get", "pods", "--namespace", namespace, "--output", "wide"))
}

// noRestarts fails if a container of a pod on a living node was started more than once.
func noRestarts(t *testing.T, dead ...string) {
	t.Helper()
	for _, p := range get[corev1.PodList](t, "pods", "--namespace", namespace).Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount > 0 && !slices.Contains(dead, p.Spec.NodeName) {
				t.Errorf("%s of %s was restarted %d times: %+v", c.Name, p.Name, c.RestartCount, c.LastTerminationState.Terminated)
			}
		}
	}
}

func (s *scenario) assign(t *testing.T) {
	apply(t, "pool.yaml", s.segment)
	s.deployBackends(t, s.workers)
	for i := range services {
		apply(t, "service.yaml", name(i))
	}
	for i := range services {
		s.addresses = append(s.addresses, s.assigned(t, name(i))...)
	}
	distinct := slices.SortedFunc(slices.Values(s.addresses), netip.Addr.Compare)
	if distinct = slices.Compact(distinct); len(distinct) != 2*services {
		t.Errorf("%d Services share addresses: %s", services, s.addresses)
	}
}

func name(i int) string { return fmt.Sprintf("echo-%d", i) }

// deployBackends has the two replicas run on two of some nodes, and on no others.
func (s *scenario) deployBackends(t *testing.T, nodes []string) {
	t.Helper()
	apply(t, "backend.yaml", struct {
		Image string
		Nodes []string
	}{s.image, nodes})
	kubectl(t, "rollout", "status", "--timeout", "60s", "deployment/echo")
}

// assigned waits for the addresses of a Service.
func (s *scenario) assigned(t *testing.T, service string) (addresses []netip.Addr) {
	t.Helper()
	// The controller's Lease lasts 15 s beyond the life of its holder.
	took := eventually(t, 30*time.Second, service+" has no addresses", func() error {
		addresses = nil
		for _, i := range get[corev1.Service](t, "service", service).Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(i.IP)
			if err != nil {
				return err
			}
			addresses = append(addresses, a)
		}
		if len(addresses) == 0 {
			return errors.New("status.loadBalancer is empty")
		}
		return nil
	})
	if len(addresses) != 2 || !addresses[0].Is4() || !addresses[1].Is6() || !s.segment.contains(addresses[0]) || !s.segment.contains(addresses[1]) {
		t.Fatalf("%s has %s, want an address of %s and one of %s", service, addresses, s.segment.V4, s.segment.V6)
	}
	t.Logf("%s has %s after %.1f s", service, addresses, took.Seconds())
	return addresses
}

func (s *scenario) elect(t *testing.T) {
	label := corev1.LabelNodeExcludeBalancers
	if _, ok := get[corev1.Node](t, "node", s.controlPlane).Labels[label]; !ok {
		t.Errorf("the control-plane node is without the label %s, which kubeadm sets", label)
	}
	s.owners = s.ask(t, s.addresses)
	load := map[string]int{}
	for _, a := range s.addresses {
		t.Logf("%-16s is answered for by %s", a, s.owners[a])
		load[s.owners[a]]++
	}
	if load[s.controlPlane] > 0 || len(load) != 2 {
		t.Errorf("%d addresses are shared out as %v, want the two workers and nobody else", len(s.addresses), load)
	}
}

// ask asks the segment who answers for each address. There must be one, and it must be a node.
func (s *scenario) ask(t *testing.T, addresses []netip.Addr) map[netip.Addr]string {
	t.Helper()
	owners := map[netip.Addr]string{}
	eventually(t, 10*time.Second, "one node answers for each address", func() error {
		answers, err := s.client.whoHas(addresses)
		if err != nil {
			return err
		}
		var failures []error
		for _, a := range addresses {
			if macs := answers[a]; len(macs) == 1 && s.nodes[macs[0]] != "" {
				owners[a] = s.nodes[macs[0]]
			} else {
				failures = append(failures, fmt.Errorf("for %s answer %q; the nodes are %v", a, macs, s.nodes))
			}
		}
		return errors.Join(failures...)
	})
	return owners
}

func (s *scenario) reach(t *testing.T) {
	for _, a := range s.addresses[:2] {
		for _, network := range []string{"tcp", "udp"} {
			backends := map[string]int{}
			// Which backend answers is chance; that one of two answers 50 times in a row is none.
			eventually(t, 30*time.Second, "both replicas answer", func() error {
				backend, err := s.client.ask(network, a)
				if err != nil {
					return err
				}
				if backends[backend]++; len(backends) < 2 {
					return fmt.Errorf("%s over %s was answered by %v", a, network, backends)
				}
				return nil
			})
			t.Logf("%s over %s: %s", a, network, strings.Join(slices.Sorted(maps.Keys(backends)), ", "))
		}
		mac, err := s.client.neighbor(a)
		if err != nil {
			t.Fatal(err)
		}
		if s.nodes[mac] != s.owners[a] {
			t.Errorf("the client's kernel has %q (%s) for %s, want the hardware address of %s", mac, s.nodes[mac], a, s.owners[a])
		}
	}
}

func (s *scenario) show(t *testing.T) {
	eventually(t, 10*time.Second, "the Speakers' status is true", s.speakersAgree(t))
	t.Log("\n" + kubectl(t, "get", "ipaddresspools,speakers"))
	t.Log("\n" + kubectl(t, "get", "services"))
	pool := get[v1alpha1.IPAddressPool](t, "ipaddresspool", "e2e")
	if pool.Status.IPv4 == nil || pool.Status.IPv6 == nil || pool.Status.IPv4.Assigned != services || pool.Status.IPv6.Assigned != services {
		t.Errorf("the pool's status is %+v, want %d assigned of each family", pool.Status, services)
	}
}

// speakersAgree compares what Speaker objects say with what the segment answered.
func (s *scenario) speakersAgree(t *testing.T) func() error {
	return func() error {
		owners := map[netip.Addr]string{}
		for _, speaker := range get[v1alpha1.SpeakerList](t, "speakers").Items {
			if speaker.Status.Layer2 == nil {
				continue
			}
			for _, a := range speaker.Status.Layer2.Addresses {
				owners[netip.MustParseAddr(a.Address)] = speaker.Name
			}
		}
		if !maps.Equal(owners, s.owners) {
			return fmt.Errorf("they say %v, the segment says %v", owners, s.owners)
		}
		return nil
	}
}

// kill measures what clients notice of an owner's death, and of nothing else. The replicas are on the other
// two nodes by then: kube-proxies would go on sending to one on the dead worker until its Node is NotReady,
// 40 s later, whoever answers for the address.
func (s *scenario) kill(t *testing.T) {
	s.victim = s.owners[s.addresses[0]]
	s.deployBackends(t, slices.DeleteFunc([]string{s.controlPlane, s.workers[0], s.workers[1]}, func(n string) bool { return n == s.victim }))
	if owners := s.ask(t, s.addresses); !maps.Equal(owners, s.owners) {
		t.Fatalf("the backends' move changed owners from %v to %v", s.owners, owners)
	}
	// Of the victim one address of each family; and one of the other worker, which must not notice.
	is := func(victim, four bool) func(netip.Addr) bool {
		return func(a netip.Addr) bool { return (s.owners[a] == s.victim) == victim && a.Is4() == four }
	}
	for _, match := range []func(netip.Addr) bool{is(true, true), is(true, false), is(false, true), is(false, false)} {
		if i := slices.IndexFunc(s.addresses, match); i >= 0 {
			s.watched = append(s.watched, s.addresses[i])
		}
	}
	var err error
	if s.watch, err = s.client.watch(s.watched); err != nil {
		t.Fatal(err)
	}
	s.awaitSteady(t, time.Now(), 30*time.Second)

	t.Logf("killing %s", s.victim)
	begin := time.Now()
	docker(t, "kill", s.victim)
	s.awaitSteady(t, time.Now(), time.Minute)
	t.Logf("the longest time between two answers to a client that opens a TCP connection every %v and gives it %v:", askInterval, askTimeout)
	for _, a := range s.watched {
		longest := s.watch.interruption(a, begin.Add(-time.Second))
		most, whose := bound, "whose owner was killed"
		if s.owners[a] != s.victim {
			most, whose = undisturbed, "whose owner lives"
		}
		t.Logf("%-16s %-22s: %.2f s (bound %v)", a, whose, longest.Seconds(), most)
		if longest > most {
			t.Errorf("%s was interrupted for %v, more than %v", a, longest, most)
		}
	}
	before := s.owners
	s.owners = s.ask(t, s.addresses)
	for a, owner := range s.owners {
		if owner == s.victim || owner == s.controlPlane || (before[a] != s.victim && owner != before[a]) {
			t.Errorf("%s went from %s to %s", a, before[a], owner)
		}
	}
	noRestarts(t, s.victim)
	eventually(t, 20*time.Second, "the Speakers' status is true", s.speakersAgree(t))
	t.Log("\n" + kubectl(t, "get", "speakers"))
}

// awaitSteady waits until all watched addresses have been answered without interruption for a while that
// began after some time.
func (s *scenario) awaitSteady(t *testing.T, after time.Time, within time.Duration) {
	t.Helper()
	eventually(t, within, "answers come steadily", func() error {
		if time.Since(after) < while {
			return errors.New("too early to tell")
		}
		var failures []error
		for _, a := range s.watched {
			failures = append(failures, s.watch.steady(a, while))
		}
		return errors.Join(failures...)
	})
}

// assignAgain also covers that the dead worker ran the controller that decides.
func (s *scenario) assignAgain(t *testing.T) {
	apply(t, "service.yaml", name(services))
	addresses := s.assigned(t, name(services))
	maps.Copy(s.owners, s.ask(t, addresses))
	s.addresses = append(s.addresses, addresses...)
}

// revive has the worker come back. It owned half of the addresses, but to move them again would interrupt
// them again.
func (s *scenario) revive(t *testing.T) {
	begin := time.Now()
	docker(t, "start", s.victim)
	eventually(t, 90*time.Second, "the speaker of "+s.victim+" serves again", func() error {
		if mac := macOf(t, s.victim); s.nodes[mac] == "" {
			s.nodes[mac] = s.victim // a new one, as later versions of Docker choose
		}
		for _, speaker := range get[v1alpha1.SpeakerList](t, "speakers").Items {
			if g := speaker.Status.Gossip; g == nil || g.Members != 3 {
				return fmt.Errorf("speaker %s has gossip %+v", speaker.Name, g)
			}
		}
		return nil
	})
	t.Logf("all speakers see each other %.1f s after docker start", time.Since(begin).Seconds())
	time.Sleep(while) // for what it might do next
	if err := s.watch.stop(); err != nil {
		t.Errorf("the client stopped asking: %v", err)
	}
	for _, a := range s.watched {
		longest := s.watch.interruption(a, begin)
		t.Logf("%-16s owned by %s: %.2f s (bound %v)", a, s.owners[a], longest.Seconds(), undisturbed)
		if longest > undisturbed {
			t.Errorf("%s was interrupted for %v by the return of %s, more than %v", a, longest, s.victim, undisturbed)
		}
	}
	if owners := s.ask(t, s.addresses); !maps.Equal(owners, s.owners) {
		t.Errorf("the return of %s changed owners from %v to %v", s.victim, s.owners, owners)
	}
	t.Log("\n" + kubectl(t, "get", "speakers"))
}

func (s *scenario) uninstall(t *testing.T) {
	begin := time.Now()
	kubectl(t, "delete", "--filename", manifest, "--timeout", "60s")
	t.Logf("deleted within %.1f s", time.Since(begin).Seconds())
	kinds := "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,priorityclasses"
	for _, object := range strings.Fields(kubectl(t, "get", kinds, "--output", "name")) {
		if strings.Contains(object, "fairlead") {
			t.Errorf("%s is left", object)
		}
	}
	answers, err := s.client.whoHas(s.addresses)
	if err != nil {
		t.Fatal(err)
	}
	for a, macs := range answers {
		if len(macs) > 0 {
			t.Errorf("%q still answer for %s", macs, a)
		}
	}
	// Services outlive the load balancer and can be deleted without it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := command(ctx, "", "kubectl", "delete", "services,deployments", "--all"); err != nil {
		t.Error(err)
	}
}
