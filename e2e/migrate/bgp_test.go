package migrate

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

const metallbBGP = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed, namespace: metallb-system}
spec: {addresses: [198.51.100.10-198.51.100.29]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64500, peerAddress: %s}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec: {ipAddressPools: [routed]}
`

// From MetalLB's BGP to Fairlead's. A router has one session with a node, so those of MetalLB end before Fairlead's
// begin. With the routes written down in the router meanwhile no client notices.
func TestMetalLBBGP(t *testing.T) {
	steps := guide(t)
	ctx, w := start(t, 4*time.Minute)
	router, err := w.NewRouter("router", lab.FRR)
	if err != nil {
		t.Fatal(err)
	}
	visitor, err := w.NewOutsideClient("visitor", router)
	if err != nil {
		t.Fatal(err)
	}
	b := lab.BGP{ASN: 64500}
	for _, n := range w.Nodes {
		b.Peers = append(b.Peers, lab.Peer{Name: n.Name, Address: n.V4, ASN: 64512})
		if err := w.LeadOutside(n.Host, router); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.LeadOutside(w.Client(backend), router); err != nil {
		t.Fatal(err)
	}
	if err := router.Speak(ctx, b); err != nil {
		t.Fatal(err)
	}
	w.installMetalLB(ctx, t, fmt.Sprintf(metallbBGP, router.V4))
	for i := range 4 {
		w.makeService(ctx, t, fmt.Sprintf("web-%d", i), nil)
	}
	before := w.assigned(ctx, t, 1)
	addresses := flat(before)
	w.everywhere(ctx, t, router, addresses)

	// In a table of their own, which is asked first: FRR replaces a static route of its own by one of BGP in one step, but
	// not one that it finds in the kernel.
	const table = "100"
	for _, a := range addresses {
		line := []string{"route", "add", a.String() + "/32", "table", table}
		for _, n := range w.Nodes {
			line = append(line, "nexthop", "via", n.V4.String(), "dev", "eth0")
		}
		if _, err := router.Run(ctx, "ip", line...); err != nil {
			t.Fatal(err)
		}
	}
	written := func(verb string) {
		if _, err := router.Run(ctx, "ip", "rule", verb, "to", "198.51.100.0/24", "lookup", table, "priority", "100"); err != nil {
			t.Fatal(err)
		}
	}
	for _, move := range []struct {
		name, bound string
		written     bool
		do          func()
	}{
		{"MetalLB to Fairlead, BGP, routes written down meanwhile", "0 broken, 0 failed", true, func() {
			for _, step := range []string{"check", "save", "stop the controller", "install", "end the sessions", "take over", "look at the sessions"} {
				w.follow(ctx, t, steps, step)
			}
		}},
		{"back to MetalLB, BGP, routes written down meanwhile", "0 broken, 0 failed", true, func() { w.follow(ctx, t, steps, "back, BGP") }},
		{"MetalLB to Fairlead, BGP, as it comes, and MetalLB removed", "no address lost", false, func() {
			for _, step := range []string{"stop the controller", "install", "end the sessions", "take over", "remove"} {
				w.follow(ctx, t, steps, step)
			}
		}},
	} {
		load := &traffic{addresses: addresses, begin: time.Now()}
		load.start(ctx, t, w, visitor)
		if move.written {
			written("add")
		}
		move.do()
		w.everywhere(ctx, t, router, addresses)
		if move.written {
			written("del")
		}
		measure.Pause(ctx, t, 3*time.Second)
		outcome := load.stop(w)
		if move.written {
			outcome.unharmed(t)
		} else if len(outcome.lost) > 0 {
			t.Errorf("statuses changed: %q", outcome.lost)
		}
		if now, err := w.statuses(ctx); err != nil || fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("the Services have %v, had %v: %v", now, before, err)
		}
		measure.Report(t, len(w.Nodes), move.name, move.bound, "%s", outcome)
	}
	if left := w.programs.of(metallbNamespace); len(left) > 0 {
		t.Errorf("%d programs of MetalLB run still", len(left))
	}
}

// everywhere waits until a router has each address by BGP from each node.
func (w *world) everywhere(ctx context.Context, t *testing.T, router *lab.Router, addresses []netip.Addr) {
	t.Helper()
	took := measure.Eventually(ctx, t, "a route to each address from each node", 40*time.Second, func() error {
		for _, a := range addresses {
			paths, err := router.Paths(ctx, netip.PrefixFrom(a, 32))
			if err != nil || len(paths) != len(w.Nodes) {
				return fmt.Errorf("the router has %d paths to %s: %v", len(paths), a, err)
			}
		}
		return nil
	})
	t.Logf("the router has each address from each node after %.1f s more", took.Seconds())
}
