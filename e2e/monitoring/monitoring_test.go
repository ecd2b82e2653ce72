package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// objects are a cluster's: Services on layer 2, with BGP to a router, and BFD beside it.
const objects = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: segment}
spec: {addresses: ["192.0.2.200-192.0.2.229", "2001:db8::1:0/120"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: single}
spec: {addresses: ["192.0.2.230/32"], autoAssign: false}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: everything}
---
apiVersion: fairlead.dev/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {transmitInterval: 100, receiveInterval: 100, detectMultiplier: 3}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64500, peerAddress: %s, bfdProfile: fast, connectTime: 1s}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: everything}
`

// aService asks for an address of a pool.
const aService = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: default, annotations: {fairlead.dev/address-pool: %s}}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  ipFamilyPolicy: PreferDualStack
  ports: [{port: 80}]
`

// restartGrace is the least one: for so long a speaker's addresses stay after it was killed.
const restartGrace = 5 * time.Second

type world struct {
	*lab.Lab
	*server
	router *lab.Router
	begin  time.Time // of scraping
}

func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	config := lab.Config{Nodes: 3, Controllers: 2, SpeakerArgs: []string{"--restart-grace", restartGrace.String()}}
	w := &world{}
	var err error
	for name, path := range map[string]*string{"controller": &config.ControllerBinary, "speaker": &config.SpeakerBinary} {
		if *path, err = inRepository("build", name); err != nil {
			t.Fatal(err)
		}
	}
	if w.Lab, err = lab.Start(ctx, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	if w.router, err = w.NewRouter("router", lab.FRR); err != nil {
		t.Fatal(err)
	}
	speaks := lab.BGP{ASN: 64500}
	for _, n := range w.Nodes {
		speaks.Peers = append(speaks.Peers, lab.Peer{Name: n.Name, Address: n.V4, ASN: 64512, BFD: true})
	}
	if err := w.router.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	w.apply(ctx, t, objects, w.router.V4)
	for i := range 6 {
		w.apply(ctx, t, aService, fmt.Sprint("web", i), "segment")
	}
	w.apply(ctx, t, aService, "one", "single")
	if err := w.router.AwaitEstablished(ctx, "node1", "node2", "node3"); err != nil {
		t.Fatal(err)
	}
	if w.server, err = startServer(w.Lab, hasty(file(t, "charts", "fairlead", "files", "alerts.yaml"))); err != nil {
		t.Fatal(err)
	}
	w.begin = time.Now()
	measure.Eventually(ctx, t, "a scrape of every target", 20*time.Second, func() error { return w.targets(ctx) })
	return w
}

func (w *world) apply(ctx context.Context, t *testing.T, format string, args ...any) {
	t.Helper()
	if err := w.Apply(ctx, fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
}

// fires waits until these alerts fire and no others do, and looks at what they say.
func (w *world) fires(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	slices.Sort(names)
	took := measure.Eventually(ctx, t, fmt.Sprintf("%v to fire and no more", names), 20*time.Second, func() error {
		list, err := w.firing(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, a := range list {
			got = append(got, a.Labels["alertname"])
			if text := fmt.Sprint(a.Annotations); strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
				t.Errorf("an alert says %v", a.Annotations)
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, names) {
			return fmt.Errorf("there fire %v", list)
		}
		return nil
	})
	list, _ := w.firing(ctx)
	t.Logf("after %s: %v", took.Round(100*time.Millisecond), list)
}

// Situations that an operator is to be told of are made one after another; a healthy cluster says nothing. At the end
// everything that rules and dashboard name is there.
func TestMonitoring(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := newWorld(ctx, t)
	run := func(name string, f func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, f)
		}
	}
	run("nothing fires in a healthy lab", func(t *testing.T) {
		measure.Pause(ctx, t, 5*time.Second) // before its first scrapes Prometheus misses everything
		w.fires(ctx, t)
		healthy := time.Now()
		measure.Pause(ctx, t, 8*time.Second)
		fired, err := w.history(ctx, `ALERTS{alertstate="firing"}`, healthy)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fired {
			t.Errorf("%v fired %d times", f.Metric, len(f.Values))
		}
	})
	run("a pool is exhausted", func(t *testing.T) {
		w.apply(ctx, t, aService, "two", "single")
		w.fires(ctx, t, "FairleadPoolExhausted", "FairleadServicesPending")
		w.apply(ctx, t, aService, "two", "segment")
		w.fires(ctx, t)
	})
	run("an advertisement names a pool that does not exist", func(t *testing.T) {
		const advertisement = "apiVersion: fairlead.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {name: other}\nspec: {ipAddressPools: [%s]}"
		w.apply(ctx, t, advertisement, "missing")
		w.fires(ctx, t, "FairleadConfigurationNotInForce")
		w.apply(ctx, t, advertisement, "segment")
		w.fires(ctx, t)
	})
	run("the router is gone", func(t *testing.T) {
		if err := w.router.Kill(); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t, "FairleadBGPSessionDown", "FairleadBGPNodeIsolated")
		if err := w.router.Start(ctx); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t)
	})
	run("a node is cut off", func(t *testing.T) {
		if err := w.Cut(w.Nodes[0].Host, lab.SwitchSide); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t, "FairleadSpeakerDown")
		if err := w.Restore(w.Nodes[0].Host); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t)
	})
	run("a speaker is killed", func(t *testing.T) {
		if err := w.Nodes[1].Speaker.Kill(); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t, "FairleadSpeakerDown")
		measure.Pause(ctx, t, restartGrace) // others take over
		w.fires(ctx, t, "FairleadSpeakerDown")
		if err := w.Nodes[1].Speaker.Start(); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t)
	})
	run("the controllers are gone", func(t *testing.T) {
		if err := errors.Join(w.Controllers[0].Kill(), w.Controllers[1].Kill()); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t, "FairleadNoLeader", "FairleadControllerDown")
		if err := errors.Join(w.Controllers[0].Start(), w.Controllers[1].Start()); err != nil {
			t.Fatal(err)
		}
		w.fires(ctx, t)
	})
	run("a foreign host uses an address", func(t *testing.T) {
		w.intrude(ctx, t, netip.MustParseAddr("192.0.2.200"))
		w.fires(ctx, t, "FairleadAddressConflict")
	})
	run("every rule works", func(t *testing.T) { w.checkRules(ctx, t) })
	run("every query of the dashboard has had data", func(t *testing.T) { w.checkQueries(ctx, t) })
}

// intrude has a host that is no node use an address: it asks for a node's hardware address in its name.
func (w *world) intrude(ctx context.Context, t *testing.T, address netip.Addr) {
	t.Helper()
	host := w.Client(1)
	if _, err := host.Run(ctx, "ip", "address", "add", address.String()+"/24", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		from := &net.Dialer{LocalAddr: &net.UDPAddr{IP: address.AsSlice()}}
		c, err := host.Dial(ctx, from, "udp", netip.AddrPortFrom(n.V4, 9).String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Write([]byte("hello"))
		if err := errors.Join(err, c.Close()); err != nil {
			t.Error(err)
		}
	}
}

// checkRules sees to it that no rule is in error and that the metrics of each exist.
func (w *world) checkRules(ctx context.Context, t *testing.T) {
	t.Helper()
	list, err := w.verdicts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rules := readRules(t)
	if len(list) != len(rules) {
		t.Errorf("Prometheus has %d of %d rules", len(list), len(rules))
	}
	for _, v := range list {
		if v.Health != "ok" {
			t.Errorf("%s is %s: %s", v.Name, v.Health, v.LastError)
		}
	}
	for _, r := range rules {
		w.exist(ctx, t, r.Alert, r.Expr)
	}
}

func (w *world) checkQueries(ctx context.Context, t *testing.T) {
	t.Helper()
	queries := 0
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			queries++
			w.exist(ctx, t, p.Title, q.Expr)
			list, err := w.history(ctx, grafana.Replace(q.Expr), w.begin)
			if err != nil || !slices.ContainsFunc(list, series.number) {
				t.Errorf("%s: no data, %v, of %s", p.Title, err, q.Expr)
			}
		}
	}
	t.Logf("%d queries", queries)
}

// number tells whether a series has had a value that is a number.
func (s series) number() bool {
	return slices.ContainsFunc(s.Values, func(v [2]any) bool { return v[1] != "NaN" })
}

// exist fails for metrics that nobody has.
func (w *world) exist(ctx context.Context, t *testing.T, what, expr string) {
	t.Helper()
	names, err := w.metrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wanted := metricsOf(expr)
	if len(wanted) == 0 && !strings.Contains(expr, "ALERTS") {
		t.Errorf("%s names no metric: %s", what, expr)
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			t.Errorf("%s: nobody has the metric %s", what, name)
		}
	}
}
