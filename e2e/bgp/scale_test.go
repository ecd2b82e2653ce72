package bgp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// scaled is the label of the Services of TestScale.
const scaled = "scaled"

// Many Services over three speakers, to one router and to both. What GoBGP alone, fed the same routes, needs is beside it.
func TestScale(t *testing.T) {
	for _, n := range measure.Less([]int{1000}, []int{1000, 10000}) {
		for _, set := range [][]lab.Software{{lab.BIRD}, {lab.FRR}, {lab.FRR, lab.BIRD}} {
			t.Run(fmt.Sprintf("%d Services to %v", n, set), func(t *testing.T) {
				ctx, w := start(t, measure.Less(2*time.Minute, 10*time.Minute))
				// At so many Services kube-proxy would take the processors from what is measured.
				for _, node := range w.Nodes {
					if err := node.KubeProxy.Kill(); err != nil {
						t.Fatal(err)
					}
				}
				t.Cleanup(func() { w.removeScaled(t) })
				x := scale{world: w, n: n}
				for _, software := range set {
					x.routers = append(x.routers, w.routers[software])
					x.name = strings.TrimPrefix(x.name+" and "+string(software), " and ")
				}
				speaks := w.speaks(nil, "IPv4")
				for _, r := range x.routers {
					if err := r.Speak(ctx, speaks); err != nil {
						t.Fatal(err)
					}
				}
				floor := x.measureAlone(ctx, t)
				w.apply(ctx, t, "apiVersion: fairlead.dev/v1alpha1\nkind: BGPAdvertisement\nmetadata: {name: many}\nspec: {ipAddressPools: [many]}\n")
				for _, r := range x.routers {
					w.apply(ctx, t, "apiVersion: fairlead.dev/v1alpha1\nkind: BGPPeer\nmetadata: {name: %s}\nspec: {myASN: 64512, peerASN: 64500, peerAddress: %s}\n", r.Name, r.V4)
					if err := r.AwaitEstablished(ctx, names(speaks)...); err != nil {
						t.Fatal(err)
					}
				}
				x.measureSpeakers(ctx, t, floor)
				x.oneMore(ctx, t)
			})
		}
	}
}

// scale is n Services told to some routers.
type scale struct {
	*world
	n       int
	routers []*lab.Router
	name    string
}

// cost is what the three processes on the nodes needed.
type cost struct {
	cpu    time.Duration // of the busiest
	memory int64         // of the largest, bytes
	took   time.Duration
}

// perThousand is the CPU time in seconds for telling 1,000 routes.
func (x *scale) perThousand(c cost) float64 {
	return c.cpu.Seconds() * 1000 / float64(x.n*len(x.routers))
}

// spent is what processes have used since a moment.
func spent(t *testing.T, processes []*lab.Process, since []time.Duration) (c cost) {
	t.Helper()
	for i, p := range processes {
		used, err := p.CPUTime()
		if err != nil {
			t.Fatal(err)
		}
		c.cpu = max(c.cpu, used-since[i])
		memory, err := p.RSS()
		if err != nil {
			t.Fatal(err)
		}
		c.memory = max(c.memory, memory)
	}
	return c
}

func used(t *testing.T, processes []*lab.Process) (list []time.Duration) {
	t.Helper()
	for _, p := range processes {
		u, err := p.CPUTime()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

// whole waits until the routers have so many prefixes from every node.
func (x *scale) whole(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for _, r := range x.routers {
		measure.Eventually(ctx, t, fmt.Sprintf("%d prefixes at %s", n, r.Name), measure.Less(time.Minute, 5*time.Minute), func() error {
			counts, err := r.Received(ctx)
			for name, got := range counts {
				if got != n {
					err = errors.Join(err, fmt.Errorf("%d from %s", got, name))
				}
			}
			return err
		})
	}
}

// measureAlone has GoBGP alone, on each node, tell the routers n routes.
func (x *scale) measureAlone(ctx context.Context, t *testing.T) (c cost) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var routers []netip.Addr
	for _, r := range x.routers {
		routers = append(routers, r.V4)
	}
	var processes []*lab.Process
	for _, node := range x.Nodes {
		config, err := json.Marshal(aloneConfig{
			ASN: nodesASN, RouterASN: routerASN, Node: node.V4, Routers: routers,
			First: lab.RoutedMany4.Addr(), Count: x.n,
		})
		if err != nil {
			t.Fatal(err)
		}
		p := x.Program(fmt.Sprintf("alone-%s-%d-to-%d", node.Name, x.n, x.routers[0].V4.As4()[3]+byte(len(routers))), node.Host, binary, "gobgp", aloneArgument, string(config))
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		processes = append(processes, p)
	}
	for _, r := range x.routers {
		if err := r.AwaitEstablished(ctx, names(x.speaks(nil, "IPv4"))...); err != nil {
			t.Fatal(err)
		}
	}
	before, begin := used(t, processes), time.Now()
	for _, p := range processes {
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	x.whole(ctx, t, x.n)
	took := time.Since(begin)
	c = spent(t, processes, before)
	c.took = took
	for _, p := range processes {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	measure.Report(t, len(x.Nodes), fmt.Sprintf("GoBGP alone, %d routes to %s", x.n, x.name), "the floor", "%d ms until all is there, %.2f s of CPU per 1,000 routes, %d MB",
		c.took.Milliseconds(), x.perThousand(c), c.memory>>20)
	return c
}

// measureSpeakers makes n Services and waits for the routers.
func (x *scale) measureSpeakers(ctx context.Context, t *testing.T, floor cost) {
	t.Helper()
	var speakers []*lab.Process
	for _, node := range x.Nodes {
		speakers = append(speakers, node.Speaker)
	}
	// What speakers need while nothing happens, for sessions with each other, is not the routes'.
	const rest = 3 * time.Second
	before := used(t, speakers)
	measure.Pause(ctx, t, rest)
	idle := spent(t, speakers, before)
	server := []*lab.Process{x.Process("kube-apiserver")}
	before, begin := used(t, speakers), time.Now()
	asked := used(t, server)
	last := make(chan time.Time, 1)
	go func() { last <- x.lastAssigned(ctx, x.n) }()
	if err := inParallel(x.n, func(i int) error { return x.makeScaled(ctx, fmt.Sprintf("scaled-%05d", i)) }); err != nil {
		t.Fatal(err)
	}
	assigned := <-last
	if assigned.IsZero() {
		t.Fatal("not all Services got an address")
	}
	x.whole(ctx, t, x.n)
	late := time.Since(assigned)
	c, serving := spent(t, speakers, before), spent(t, server, asked)
	idling := time.Duration(float64(idle.cpu) * float64(time.Since(begin)) / float64(rest))
	c.cpu -= idling
	measure.Report(t, len(x.Nodes), fmt.Sprintf("%d Services to %s", x.n, x.name), "whole < 1 s after the last assignment, < 0.3 s of CPU per 1,000 routes and speaker",
		"whole %d ms after the last assignment (assigning took %.1f s), %.2f s of CPU per 1,000 routes and speaker (GoBGP alone %.2f), and %.2f s for being there; %d MB, %d MB before",
		late.Milliseconds(), assigned.Sub(begin).Seconds(), x.perThousand(c), x.perThousand(floor), idling.Seconds(), c.memory>>20, idle.memory>>20)
	if late >= time.Second {
		t.Errorf("the routers were whole %s after the last assignment", late)
	}
	// What shares the processors with a quick run is not known: there it is a part, too, of what the API server needs meanwhile.
	limit := measure.Less(max(0.6, x.perThousand(serving)/10), 0.3)
	if x.perThousand(c) >= limit {
		t.Errorf("%.2f s of CPU per 1,000 routes, want %.2f; the API server needs %.2f", x.perThousand(c), limit, x.perThousand(serving))
	}
	t.Logf("the API server: %.2f s of CPU per 1,000", x.perThousand(serving))
}

// lastAssigned is when the last of n Services got its address. It is zero if that does not come.
func (w *world) lastAssigned(ctx context.Context, n int) time.Time {
	watch, err := w.Kubernetes.CoreV1().Services(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: scaled})
	if err != nil {
		return time.Time{}
	}
	defer watch.Stop()
	assigned := map[string]bool{}
	for {
		select {
		case e, ok := <-watch.ResultChan():
			if !ok {
				return time.Time{}
			}
			if s, ok := e.Object.(*corev1.Service); ok && len(s.Status.LoadBalancer.Ingress) > 0 {
				if assigned[s.Name] = true; len(assigned) == n {
					return time.Now()
				}
			}
		case <-ctx.Done():
			return time.Time{}
		}
	}
}

func (w *world) makeScaled(ctx context.Context, name string) error {
	_, err := w.Kubernetes.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{scaled: ""}, Annotations: map[string]string{"fairlead.dev/address-pool": "many"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	return err
}

// oneMore makes one more Service: one more UPDATE from each node to each router, and no more.
func (x *scale) oneMore(ctx context.Context, t *testing.T) {
	t.Helper()
	updates := func() map[string]int {
		list := map[string]int{}
		for _, r := range x.routers {
			for _, node := range x.Nodes {
				s, err := r.Peer(ctx, node.Name)
				if err != nil {
					t.Fatal(err)
				}
				list[r.Name+" from "+node.Name] = s.UpdatesReceived
			}
		}
		return list
	}
	before := updates()
	last := make(chan time.Time, 1)
	go func() { last <- x.lastAssigned(ctx, x.n+1) }()
	if err := x.makeScaled(ctx, "scaled-more"); err != nil {
		t.Fatal(err)
	}
	assigned := <-last
	x.whole(ctx, t, x.n+1)
	late := time.Since(assigned)
	measure.Pause(ctx, t, 500*time.Millisecond) // for what should not come
	more := 0
	for name, now := range updates() {
		more += now - before[name]
		if now-before[name] != 1 {
			t.Errorf("%d UPDATEs to %s", now-before[name], name)
		}
	}
	measure.Report(t, len(x.Nodes), fmt.Sprintf("one more Service beside %d, %s", x.n, x.name), "1 UPDATE for each session", "%d UPDATEs over %d sessions, whole %d ms after the assignment", more, len(x.routers)*len(x.Nodes), late.Milliseconds())
}

// removeScaled deletes the Services, waits until nobody has an address of theirs, and starts what was stopped for them.
func (w *world) removeScaled(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	services := w.Kubernetes.CoreV1().Services(namespace)
	list, err := services.List(ctx, metav1.ListOptions{LabelSelector: scaled})
	if err == nil {
		err = inParallel(len(list.Items), func(i int) error { return services.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{}) })
	}
	for _, node := range w.Nodes {
		err = errors.Join(err, node.KubeProxy.Start())
	}
	if err != nil {
		t.Error(err)
		w.spoiled = true
	}
}
