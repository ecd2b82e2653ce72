package migrate

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// contender is a load balancer that is measured beside another one, in a lab of its own, by the same clients.
type contender struct {
	name, namespace string
	bfd             bool
	install         func(context.Context, *testing.T, *world, string)
	// configuration is what a user applies: a pool on the segment, and one that a router at an address leads to.
	configuration string
}

var contenders = []contender{
	{
		name: "Fairlead", namespace: lab.ProductNamespace, bfd: true,
		install: func(ctx context.Context, t *testing.T, w *world, configuration string) {
			t.Helper()
			w.sh(ctx, t, "kubectl apply -f manifests/fairlead.yaml")
			w.put(t, "fairlead-configuration.yaml", []byte(configuration))
			w.sh(ctx, t, "kubectl apply -f fairlead-configuration.yaml")
			w.sh(ctx, t, "kubectl -n fairlead-system rollout status deployment/fairlead-controller --timeout=60s")
			w.sh(ctx, t, "kubectl -n fairlead-system rollout status daemonset/fairlead-speaker --timeout=60s")
		},
		configuration: `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: office}
spec: {addresses: [192.0.2.120-192.0.2.229, "2001:db8::1:0-2001:db8::1:ff"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: office}
spec: {ipAddressPools: [office]}
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec: {addresses: [198.18.128.0/17], autoAssign: false}
---
apiVersion: fairlead.dev/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {receiveInterval: 100, transmitInterval: 100, detectMultiplier: 3}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64500, peerAddress: ROUTER, bfdProfile: fast}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: routed}
spec: {ipAddressPools: [routed]}
`,
	},
	{
		name: "MetalLB 0.16.1, native", namespace: metallbNamespace,
		install: func(ctx context.Context, t *testing.T, w *world, configuration string) {
			t.Helper()
			w.installMetalLB(ctx, t, configuration)
		},
		configuration: `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: office, namespace: metallb-system}
spec: {addresses: [192.0.2.120-192.0.2.229, "2001:db8::1:0-2001:db8::1:ff"]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: office, namespace: metallb-system}
spec: {ipAddressPools: [office]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed, namespace: metallb-system}
spec: {addresses: [198.18.128.0/17], autoAssign: false}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64500, peerAddress: ROUTER}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec: {ipAddressPools: [routed]}
`,
	},
}

// compared are the rows of the table: for each what was measured of each contender.
type compared struct {
	rows    []string
	figures map[string]map[string]string
	numbers map[string]map[string]float64 // that are not to be worse than the peer's
}

func (c *compared) add(x contender, row string, number float64, format string, args ...any) {
	if c.figures[row] == nil {
		c.rows = append(c.rows, row)
		c.figures[row], c.numbers[row] = map[string]string{}, map[string]float64{}
	}
	c.figures[row][x.name], c.numbers[row][x.name] = fmt.Sprintf(format, args...), number
}

// The same faults and the same bursts for Fairlead and for the real MetalLB: how docs/performance.md compares them.
func TestCompared(t *testing.T) {
	table := &compared{figures: map[string]map[string]string{}, numbers: map[string]map[string]float64{}}
	for _, x := range contenders {
		t.Run(x.name, func(t *testing.T) { table.measure(t, x) })
	}
	if t.Failed() {
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "| | %s | %s |\n|---|---|---|\n", contenders[0].name, contenders[1].name)
	for _, row := range table.rows {
		ours, theirs := contenders[0].name, contenders[1].name
		fmt.Fprintf(&text, "| %s | %s | %s |\n", row, table.figures[row][ours], table.figures[row][theirs])
		if table.numbers[row][ours] > table.numbers[row][theirs] {
			t.Errorf("%s: %s, and %s of the peer", row, table.figures[row][ours], table.figures[row][theirs])
		}
	}
	measure.Section(t, "performance.md", "compared", text.String())
}

func (c *compared) measure(t *testing.T, x contender) {
	ctx, w := start(t, 15*time.Minute)
	router, err := w.NewRouter("router", lab.FRR)
	if err != nil {
		t.Fatal(err)
	}
	b := lab.BGP{ASN: 64500}
	for _, n := range w.Nodes {
		b.Peers = append(b.Peers, lab.Peer{Name: n.Name, Address: n.V4, ASN: 64512, BFD: x.bfd, Hold: 90 * time.Second, Keepalive: 30 * time.Second})
	}
	if err := router.Speak(ctx, b); err != nil {
		t.Fatal(err)
	}
	x.install(ctx, t, w, strings.ReplaceAll(x.configuration, "ROUTER", router.V4.String()))
	for i := range 100 {
		w.makeService(ctx, t, fmt.Sprintf("web-%d", i), nil)
	}
	owners := w.owners(ctx, t, flat(w.assigned(ctx, t, 2)))
	per := slices.Sorted(maps.Values(spread(owners)))
	t.Logf("%s has spread 200 addresses like this: %v", x.name, spread(owners))
	c.add(x, "layer 2: 200 addresses on 3 nodes, each node's", float64(per[len(per)-1]-per[0]), "%s", strings.Trim(fmt.Sprint(per), "[]"))
	c.cut(ctx, t, w, x)
	c.restart(ctx, t, w, x)
	c.burst(ctx, t, w, x, router)
	if *measure.Full {
		c.hop(ctx, t, w, x, router)
	}
}

// cut pulls the cable of an owner, again and again, and puts it back under traffic.
func (c *compared) cut(ctx context.Context, t *testing.T, w *world, x contender) {
	t.Helper()
	var all [2]measure.Times
	broken, established, failed, sent := 0, 0, 0, 0
	for i := range measure.Less(1, 10) {
		owners := w.owners(ctx, t, flat(w.assigned(ctx, t, 2)))
		node, addresses := oneOfEach(t, w, owners, i)
		var probes []*lab.Probe
		for _, a := range addresses {
			probes = append(probes, w.reached(ctx, t, a, 10*time.Millisecond))
		}
		measure.Pause(ctx, t, 300*time.Millisecond)
		begin := time.Now()
		if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
			t.Fatal(err)
		}
		for _, p := range probes {
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			if _, err := p.AwaitAnswer(limited, begin.Add(50*time.Millisecond)); err != nil {
				t.Error(err)
			}
			cancel()
		}
		measure.Pause(ctx, t, 2*time.Second) // all of it has moved
		for j, p := range probes {
			all[j] = append(all[j], p.Stop().LongestBetween(begin.Add(-200*time.Millisecond), time.Now()).Duration())
		}
		// Who has been served since by another node goes on with it when the first one is back, or does not.
		back := &traffic{addresses: addresses, begin: time.Now()}
		for _, a := range addresses {
			if err := w.Client(asking).FlushNeighbor(a); err != nil {
				t.Fatal(err)
			}
		}
		back.start(ctx, t, w, w.Client(asking))
		if err := w.Restore(node.Host); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 12*time.Second) // memberlist's own pace of coming back is the slowest of all
		o := back.stop(w)
		broken, established, failed, sent = broken+o.broken, established+o.established, failed+o.failed, sent+o.sent
	}
	for j, family := range []string{"IPv4", "IPv6"} {
		c.add(x, "layer 2: owner's cable cut, "+family+" without service: median; worst", all[j].Part(100).Seconds(),
			"%.2f s; %.2f s of %d", all[j].Part(50).Seconds(), all[j].Part(100).Seconds(), len(all[j]))
	}
	c.add(x, "layer 2: the node comes back: established connections that break; new ones that fail", float64(broken+failed),
		"%d of %d; %d of %d", broken, established, failed, sent)
}

// oneOfEach is a node, another one in each round, and an address of each family that it owns.
func oneOfEach(t *testing.T, w *world, owners map[netip.Addr]*lab.Node, round int) (*lab.Node, []netip.Addr) {
	t.Helper()
	for i := range w.Nodes {
		node := w.Nodes[(round+i)%len(w.Nodes)]
		var found [2]netip.Addr
		for _, a := range slices.SortedFunc(maps.Keys(owners), netip.Addr.Compare) {
			if owners[a] == node && a.Is4() {
				found[0] = a
			} else if owners[a] == node {
				found[1] = a
			}
		}
		if found[0].IsValid() && found[1].IsValid() {
			return node, found[:]
		}
	}
	t.Fatalf("no node owns an address of each family: %v", spread(owners))
	return nil, nil
}

// reached is a probe of an address that the client's kernel has asked for anew.
func (w *world) reached(ctx context.Context, t *testing.T, a netip.Addr, interval time.Duration) *lab.Probe {
	t.Helper()
	client, to := w.Client(asking), netip.AddrPortFrom(a, 80)
	if err := client.FlushNeighbor(a); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Await(ctx, "tcp", to); err != nil {
		t.Fatal(err)
	}
	p := client.Probe(ctx, "tcp", to, interval)
	t.Cleanup(func() { p.Stop() })
	return p
}

// restart stops the owner's speaker, as an update of its DaemonSet does; two seconds later it is started again.
func (c *compared) restart(ctx context.Context, t *testing.T, w *world, x contender) {
	t.Helper()
	owners := w.owners(ctx, t, flat(w.assigned(ctx, t, 2)))
	node, addresses := oneOfEach(t, w, owners, 0)
	load := &traffic{addresses: addresses, begin: time.Now()}
	load.start(ctx, t, w, w.Client(asking))
	speaker := x.processes(t, w, "speaker", node.Host)[0]
	if err := speaker.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	measure.Pause(ctx, t, 2*time.Second)
	if err := speaker.Start(); err != nil {
		t.Fatal(err)
	}
	measure.Pause(ctx, t, 10*time.Second)
	o := load.stop(w)
	c.add(x, "layer 2: speaker stopped, started 2 s later: established connections that break; new ones that fail", float64(o.broken+o.failed),
		"%d of %d; %d of %d", o.broken, o.established, o.failed, o.sent)
}

// processes are those of a component of a contender, on a host or on all.
func (x contender) processes(t *testing.T, w *world, component string, on *lab.Host) (list []*lab.Process) {
	t.Helper()
	for _, p := range w.programs.of(x.namespace) {
		if strings.Contains(p.Name, "-"+component+"-") && (on == nil || p.Host == on) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no %s that runs", x.name, component)
	}
	return list
}

// burst makes many Services at once, which a router is told of.
func (c *compared) burst(ctx context.Context, t *testing.T, w *world, x contender, router *lab.Router) {
	t.Helper()
	n := measure.Less(100, 1000)
	cpu := func(component string) (most, sum time.Duration, memory int64) {
		for _, p := range x.processes(t, w, component, nil) {
			used, err := p.CPUTime()
			if err != nil {
				t.Fatal(err)
			}
			resident, err := p.RSS()
			if err != nil {
				t.Fatal(err)
			}
			most, sum, memory = max(most, used), sum+used, max(memory, resident)
		}
		return most, sum, memory
	}
	_, controllerBefore, _ := cpu("controller")
	speakerBefore, _, _ := cpu("speaker")
	watch, err := w.Kubernetes.CoreV1().Services(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: "burst"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	assigned := map[string]time.Time{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watch.ResultChan() {
			if s, ok := e.Object.(*corev1.Service); ok && assigned[s.Name].IsZero() && len(ingress(s)) > 0 {
				if assigned[s.Name] = time.Now(); len(assigned) == n {
					return
				}
			}
		}
	}()
	begin := time.Now()
	created := make([]time.Time, n)
	var making sync.WaitGroup
	for worker := range 8 {
		making.Go(func() {
			for i := worker; i < n; i += 8 {
				s := lab.BackedService(fmt.Sprintf("burst-%04d", i))
				s.Labels = map[string]string{"burst": ""}
				s.Annotations["metallb.io/address-pool"] = "routed" // Fairlead reads it too
				s.Spec.IPFamilyPolicy = nil
				created[i] = time.Now()
				if err := w.Expose(ctx, s, w.Client(backend)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	making.Wait()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("%d of %d Services have an address", len(assigned), n)
	}
	measure.Eventually(ctx, t, "all routes in the router", 3*time.Minute, func() error {
		received, err := router.Received(ctx)
		for _, node := range w.Nodes {
			if err == nil && received[node.Name] < n {
				err = fmt.Errorf("%d of %d from %s", received[node.Name], n, node.Name)
			}
		}
		return err
	})
	whole := time.Since(begin)
	var waits measure.Times
	for i, at := range created {
		waits = append(waits, max(0, assigned[fmt.Sprintf("burst-%04d", i)].Sub(at)))
	}
	_, controller, _ := cpu("controller")
	speaker, _, memory := cpu("speaker")
	c.add(x, fmt.Sprintf("BGP: %d Services at once: until an address: median; p99", n), waits.Part(50).Seconds(), "%d ms; %d ms",
		waits.Part(50).Milliseconds(), waits.Part(99).Milliseconds())
	c.add(x, "... until all are in the router, from all three nodes", whole.Seconds(), "%.1f s", whole.Seconds())
	c.add(x, "... CPU of the controllers; of a speaker; memory of a speaker", (controller - controllerBefore + speaker - speakerBefore).Seconds(),
		"%.2f s; %.2f s; %d MB", (controller - controllerBefore).Seconds(), (speaker - speakerBefore).Seconds(), memory>>20)
}

// hop cuts a node off and waits until the router has forgotten it.
func (c *compared) hop(ctx context.Context, t *testing.T, w *world, x contender, router *lab.Router) {
	t.Helper()
	service, err := w.Kubernetes.CoreV1().Services(namespace).Get(ctx, "burst-0000", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.PrefixFrom(ingress(service)[0], 32)
	routes, err := router.WatchRoutes(prefix)
	if err != nil {
		t.Fatal(err)
	}
	defer routes.Stop()
	node := w.Nodes[2]
	var others []netip.Addr
	for _, n := range w.Nodes[:2] {
		others = append(others, n.V4)
	}
	begin := time.Now()
	if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	at, err := routes.Await(limited, prefix, begin, others...)
	if err != nil {
		t.Fatal(err)
	}
	c.add(x, "BGP: a node whose cable is cut stays a next hop for", at.Sub(begin).Seconds(), "%.2f s", at.Sub(begin).Seconds())
	if err := w.Restore(node.Host); err != nil {
		t.Fatal(err)
	}
}
