package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// everything is a router that every node tells of both families, over one session each.
func (w *world) everything(ctx context.Context, t *testing.T, r *lab.Router, more string) {
	t.Helper()
	speaks := w.speaks(both, "IPv4")
	if err := r.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	w.peer(ctx, t, "router", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, families: [IPv4, IPv6], connectTime: 1s%s", r.V4, more))
	if err := r.AwaitEstablished(ctx, names(speaks)...); err != nil {
		t.Fatal(err)
	}
}

// connections is how many there are.
const connections = 1000

// 1,000 connections spread over three nodes. The cable of one is pulled: its connections are lost, and no other.
//
// Which connections a router moves when a next hop goes is the router's own choice. Linux maps ranges of the hash to
// next hops, and when one of three goes it moves no range between the others if that was the middle one (RFC 2992,
// section 3); routers with resilient hashing never do. So it is node2 whose cable is pulled.
func TestECMP(t *testing.T) {
	each(t, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefix := w.service(ctx, t, "field")[0]
		w.withBFD(ctx, t, r, "")
		routed(ctx, t, r, 3, prefix)
		f := w.flows(ctx, t, at(prefix), connections, time.Second)
		all, _, _ := f.through()
		var shares []string
		for _, n := range w.Nodes {
			shares = append(shares, fmt.Sprint(all[n.V4]))
			if all[n.V4] < connections/5 {
				t.Errorf("%s has %d of %d connections", n.Name, all[n.V4], connections)
			}
		}
		node := w.Node(2)
		if err := w.Cut(node.Host, lab.SwitchSide); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 4*time.Second)
		_, broken, first := f.through()
		others := 0
		for _, n := range w.others(node) {
			others += broken[n.V4]
		}
		measure.Report(t, len(w.Nodes), fmt.Sprintf("%d connections through %s, one node's cable pulled", connections, r.Software), "only its connections are lost",
			"spread %s; lost: %d of %d through the node, %d of %d through the others",
			strings.Join(shares, "/"), broken[node.V4], all[node.V4], others, connections-all[node.V4])
		if others > 0 {
			t.Errorf("%d connections through other nodes are lost: %v", others, first)
		}
		if broken[node.V4] == 0 {
			t.Error("no connection was lost: the test has shown nothing")
		}
	})
}

// A node is drained: the router hears of it by GRACEFUL_SHUTDOWN, leaves it, and then the routes are withdrawn. No new
// connection fails.
func TestDrain(t *testing.T) {
	each(t, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefixes := w.service(ctx, t, "field")
		w.everything(ctx, t, r, "")
		routed(ctx, t, r, 3, prefixes[:]...)
		node := w.Node(2)
		probes := w.probes(ctx, t, prefixes)
		f := w.flows(ctx, t, at(prefixes[0]), 300, time.Second)
		measure.Pause(ctx, t, 500*time.Millisecond)
		watch, err := r.WatchRoutes(prefixes[:]...)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		drain := func(value string) error {
			_, err := w.Kubernetes.CoreV1().Nodes().Patch(context.Background(), node.Name, types.MergePatchType,
				fmt.Appendf(nil, `{"metadata": {"annotations": {"fairlead.dev/drain": %s}}}`, value), metav1.PatchOptions{})
			return err
		}
		asked := time.Now()
		if err := drain(`"maintenance"`); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = drain("null") })
		var left measure.Times
		for _, p := range prefixes {
			at, err := gone(ctx, watch, p, node, asked)
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, at.Sub(asked))
		}
		// It is announced before it is withdrawn.
		paths, err := r.Paths(ctx, prefixes[0])
		if err != nil {
			t.Fatal(err)
		}
		announced := slices.ContainsFunc(paths, func(p lab.Path) bool {
			return p.NextHop == node.V4 && slices.Contains(p.Communities, "65535:0")
		})
		if !announced {
			t.Errorf("%s has no path of %s with GRACEFUL_SHUTDOWN: %v", r.Name, node.Name, paths)
		}
		withdrawn := measure.Eventually(ctx, t, "the withdrawal", 20*time.Second, func() error {
			paths, err := r.Paths(ctx, prefixes[0])
			if err == nil && len(paths) != 2 {
				err = fmt.Errorf("there is %v", paths)
			}
			return err
		})
		if s, err := r.Peer(ctx, node.Name); err != nil || !s.Established {
			t.Errorf("the session with the drained node is %s: %v", s.State, err)
		}
		measure.Pause(ctx, t, time.Second)
		failed, sent, why := stop(probes)
		// A connection that lasts is moved with its next hop, as long as it is, and the node that it comes to does not
		// know it. Those through other nodes stay where they are (see TestECMP).
		all, broken, first := f.through()
		others := 0
		for _, n := range w.others(node) {
			others += broken[n.V4]
		}
		back := time.Now()
		if err := drain("null"); err != nil {
			t.Fatal(err)
		}
		routed(ctx, t, r, 3, prefixes[:]...)
		measure.Report(t, len(w.Nodes), "a node drained, "+string(r.Software), "0 failed connections",
			"%d of %d new connections failed; of the established %d of %d through the node and %d of %d through others; "+
				"the router left it after %d ms, withdrawn %.1f s later, back %d ms after the end",
			failed, sent, broken[node.V4], all[node.V4], others, 300-all[node.V4],
			left.Part(100).Milliseconds(), withdrawn.Seconds(), time.Since(back).Milliseconds())
		if failed > 0 || others > 0 {
			t.Errorf("%d of %d new connections failed (%v), %d through other nodes broke (%v)", failed, sent, why, others, first)
		}
		if withdrawn < 5*time.Second {
			t.Errorf("withdrawn %s after it was announced: that leaves a network no time", withdrawn)
		}
	})
}

// probes ask both of a Service's addresses all the time, each request over a connection of its own.
func (w *world) probes(ctx context.Context, t *testing.T, prefixes [2]netip.Prefix) (list []*lab.Probe) {
	t.Helper()
	for _, p := range prefixes {
		if _, err := w.visitor.Await(ctx, "tcp", at(p)); err != nil {
			t.Fatal(err)
		}
		probe := w.visitor.Probe(ctx, "tcp", at(p), 10*time.Millisecond)
		t.Cleanup(func() { probe.Stop() })
		list = append(list, probe)
	}
	return list
}

// stop ends probes.
func stop(probes []*lab.Probe) (failed, sent int, why error) {
	for _, p := range probes {
		r := p.Stop()
		failed, sent = failed+r.Failed, sent+r.Sent
		why = errors.Join(why, r.Failure)
	}
	return failed, sent, why
}

// A speaker goes and comes again under graceful restart: the router never loses the route, no connection breaks, none
// fails.
func TestGracefulRestart(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(context.Context, *lab.Process) error
	}{
		{"SIGTERM", func(ctx context.Context, p *lab.Process) error { return p.Stop(ctx) }},
		{"SIGKILL", func(_ context.Context, p *lab.Process) error { return p.Kill() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
				prefixes := w.service(ctx, t, "field")
				w.everything(ctx, t, r, ", enableGracefulRestart: true")
				routed(ctx, t, r, 3, prefixes[:]...)
				f := w.flows(ctx, t, at(prefixes[0]), 200, 500*time.Millisecond)
				probes := w.probes(ctx, t, prefixes)
				watch, err := r.WatchRoutes(prefixes[:]...)
				if err != nil {
					t.Fatal(err)
				}
				defer watch.Stop()
				node := w.Node(2)
				limited, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				begin := time.Now()
				if err := end.do(limited, node.Speaker); err != nil {
					t.Fatal(err)
				}
				ended := time.Since(begin)
				measure.Pause(ctx, t, 2*time.Second)
				// The router keeps what it has, and knows that it is old.
				paths, err := r.Paths(ctx, prefixes[0])
				if err != nil || len(paths) != 3 {
					t.Errorf("without the speaker the router has %v: %v", paths, err)
				}
				if err := node.Speaker.Start(); err != nil {
					t.Fatal(err)
				}
				if err := r.AwaitEstablished(ctx, node.Name); err != nil {
					t.Fatal(err)
				}
				synced := measure.Eventually(ctx, t, "the end of stale paths", 10*time.Second, func() error {
					for _, prefix := range prefixes {
						paths, err := r.Paths(ctx, prefix)
						if err != nil {
							return err
						}
						if len(paths) != 3 || slices.ContainsFunc(paths, func(p lab.Path) bool { return p.Stale }) {
							return fmt.Errorf("the router has %v", paths)
						}
					}
					return nil
				})
				measure.Pause(ctx, t, 2*time.Second)
				failed, sent, why := stop(probes)
				_, broken, first := f.through()
				lost := 0
				for _, n := range broken {
					lost += n
				}
				changes := len(watch.Events()) - len(prefixes)
				measure.Report(t, len(w.Nodes), fmt.Sprintf("a speaker restarted (%s) under graceful restart, %s", end.name, r.Software), "0 failed, the route never changes",
					"%d of %d new connections failed, %d of 200 established broken, %d changes of the router's kernel routes; ended in %d ms, fresh %d ms after the session was back",
					failed, sent, lost, changes, ended.Milliseconds(), synced.Milliseconds())
				if failed > 0 || lost > 0 {
					t.Errorf("%d of %d new connections failed (%v), %d established broke (%v)", failed, sent, why, lost, first)
				}
				if changes > 0 {
					t.Errorf("the router's routes changed: %v", watch.Events())
				}
			})
		})
	}
}

// Without graceful restart a speaker that ends says so, and the router drops its routes at once.
func TestCease(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefixes := w.service(ctx, t, "field")
		w.everything(ctx, t, r, "")
		routed(ctx, t, r, 3, prefixes[:]...)
		node := w.Node(3)
		watch, err := r.WatchRoutes(prefixes[:]...)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		asked := time.Now()
		if err := node.Speaker.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		at, err := gone(ctx, watch, prefixes[0], node, asked)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Peer(ctx, node.Name)
		if err != nil || !strings.Contains(strings.ToLower(s.LastError), "administrative shutdown") {
			t.Errorf("%s says %q: %v", r.Name, s.LastError, err)
		}
		t.Logf("%s: %q, the next hop gone after %s", r.Name, s.LastError, at.Sub(asked).Round(time.Millisecond))
		if err := node.Speaker.Start(); err != nil {
			t.Fatal(err)
		}
		routed(ctx, t, r, 3, prefixes[:]...)
	})
}
