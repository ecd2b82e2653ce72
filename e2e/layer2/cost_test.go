package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
)

// The machine's processors are saturated while nothing fails: nothing moves.
func TestSaturated(t *testing.T) {
	each(t, large(), 15*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		before := w.owners(ctx, t, addresses)
		_, vips := victim(t, before, nil)
		takeovers := w.total(ctx, t, "fairlead_layer2_takeovers_total", "")
		begin := time.Now()
		watch := w.watch(ctx, t, 500*time.Millisecond, addresses...)
		var probes []*lab.Probe
		for _, a := range vips {
			probe := w.Client(asking).Probe(ctx, "tcp", at(a), 100*time.Millisecond)
			defer probe.Stop()
			probes = append(probes, probe)
		}
		loops := 2 * runtime.NumCPU()
		end, err := w.Burn(loops)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = end() })
		measure.Pause(ctx, t, measure.Less(40*time.Second, 10*time.Minute))
		took := time.Since(begin)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		failed, sent, longest := 0, 0, time.Duration(0)
		for _, p := range probes {
			r := p.Stop()
			failed, sent, longest = failed+r.Failed, sent+r.Sent, max(longest, r.Longest.Duration())
		}
		w.serving(ctx, t)
		moves := 0
		for _, a := range addresses {
			moves += len(watch.Owners(a, begin)) - 1
		}
		if list := moved(before, w.owners(ctx, t, addresses), nil); list != nil {
			t.Errorf("there moved %v", list)
		}
		counted := w.total(ctx, t, "fairlead_layer2_takeovers_total", "") - takeovers
		measure.Report(t, len(w.Nodes), fmt.Sprintf("%d busy loops on %d processors, nothing failing", loops, runtime.NumCPU()), "0 moves",
			"%d moves seen, %.0f counted in %.0f s; %d of %d requests failed, longest gap %d ms", moves, counted, took.Seconds(), failed, sent, longest.Milliseconds())
		if moves > 0 || counted > 0 {
			t.Errorf("%d moves seen, %.0f takeovers counted", moves, counted)
		}
	})
}

// 10,000 requests a second for addresses that are not ours.
func TestStorm(t *testing.T) {
	each(t, large(), 5*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		w.fleet(ctx, t, max(6, len(w.Nodes)))
		const perSecond, limit = 10000, 5.0
		length := measure.Less(5*time.Second, 30*time.Second)
		idle := w.percent(ctx, t, length, nil)
		for _, family := range []struct{ name, first string }{{"ARP requests", "192.0.2.230"}, {"Neighbor Solicitations", "2001:db8::2:0"}} {
			var targets []netip.Addr
			for a := netip.MustParseAddr(family.first); len(targets) < 20; a = a.Next() {
				targets = append(targets, a)
			}
			sent := 0
			busy := w.percent(ctx, t, length, func(ctx context.Context) (err error) {
				sent, err = w.Client(foreign).Storm(ctx, perSecond, targets)
				return err
			})
			measure.Report(t, len(w.Nodes), "10,000 "+family.name+"/s for addresses not ours: CPU of the busiest speaker", "< 5 % of one core",
				"%.1f %% (idle %.1f %%), %d sent in %s", slices.Max(busy), slices.Max(idle), sent, length)
			if slices.Max(busy) >= limit {
				t.Errorf("%s: the speakers use %.1f %% of a core, want less than %.0f", family.name, busy, limit)
			}
			if sent < int(perSecond*length.Seconds()*0.9) {
				t.Errorf("only %d %s were sent in %s", sent, family.name, length)
			}
		}
	})
}

// percent is how much of a core each speaker uses for a time, while something is done.
func (w *world) percent(ctx context.Context, t *testing.T, length time.Duration, do func(context.Context) error) (list []float64) {
	t.Helper()
	used := func() (all []time.Duration) {
		for _, n := range w.Nodes {
			cpu, err := n.Speaker.CPUTime()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, cpu)
		}
		return all
	}
	before, begin := used(), time.Now()
	limited, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	if do != nil {
		if err := do(limited); err != nil {
			t.Fatal(err)
		}
	}
	<-limited.Done()
	took := time.Since(begin)
	for i, after := range used() {
		list = append(list, 100*float64(after-before[i])/float64(took))
	}
	return list
}

// A speaker with 1,000 addresses of its own.
func TestThousandOwned(t *testing.T) {
	each(t, large(), 10*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		const services = 500
		node := w.Node(1)
		err := w.Apply(ctx, []byte(`
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: thousand}
spec: {addresses: [198.18.128.0/22, "2001:db8::3:0/112"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: thousand}
spec:
  ipAddressPools: [thousand]
  interfaces: [eth0]
  nodeSelectors: [{matchLabels: {`+corev1.LabelHostname+": "+node.Name+`}}]
`))
		if err != nil {
			t.Fatal(err)
		}
		// Nobody asks for them here: kube-proxy's part at this size is not what is measured, and takes time.
		w.spoiled = true
		for _, n := range w.Nodes {
			if err := n.KubeProxy.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var names []string
		for i := range services {
			names = append(names, fmt.Sprintf("thousand-%03d", i))
		}
		inParallel(names, func(name string) {
			if err := w.makeService(ctx, name, "thousand"); err != nil {
				t.Error(err)
			}
		})
		measure.Eventually(ctx, t, "1,000 addresses owned", time.Minute, func() error {
			page, err := w.page(ctx, node, "/metrics")
			if owned := lab.Sum(page, "fairlead_layer2_addresses_owned", ""); err == nil && owned < 2*services {
				err = fmt.Errorf("%s owns %v", node.Name, owned)
			}
			return err
		})
		measure.Pause(ctx, t, measure.Less(8*time.Second, 30*time.Second)) // bursts of announcements, events and statuses are over
		writes := func() float64 {
			all := 0.0
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
				all += w.total(ctx, t, "fairlead_api_requests_total", `method="`+method+`"`)
			}
			return all
		}
		before := writes()
		length := measure.Less(10*time.Second, 30*time.Second)
		idle := w.percent(ctx, t, length, nil)
		written := writes() - before
		rss, err := node.Speaker.RSS()
		if err != nil {
			t.Fatal(err)
		}
		measure.Report(t, len(w.Nodes), "speaker with 1,000 addresses", "< 60 MB resident, idle CPU < 1 %, no API writes",
			"%d MB, %.2f %%, %.0f API writes of all speakers in %s", rss>>20, idle[0], written, length)
		// Ten seconds are 1,000 of the kernel's ticks, and a part of a percent is what the machine does besides. On a
		// machine that is busy the garbage collector is late.
		// How fast the machine is show the speakers beside, which have none of these addresses.
		limit := measure.Less(max(1.5, 2*slices.Max(idle[1:])), 1)
		if rss >= measure.Less[int64](70, 60)<<20 || idle[0] >= limit || written > 0 {
			t.Errorf("%d MB resident, %.2f %% of a core, the others %.2f, %.0f API writes", rss>>20, idle[0], idle[1:], written)
		}
	})
}
