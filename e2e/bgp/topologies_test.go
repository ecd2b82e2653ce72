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

// Layer 2 and BGP at once: an address of the nodes' segment that one node answers for, which routers know besides.
func TestLayer2AndBGP(t *testing.T) {
	ctx, w := start(t, time.Minute)
	r := w.routers[lab.BIRD]
	w.through(t, r)
	routedOnly := w.service(ctx, t, "field")
	w.everything(ctx, t, r, "")
	w.apply(ctx, t, `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: segment}
spec: {addresses: ["192.0.2.200-192.0.2.209", "2001:db8::200-2001:db8::209"], autoAssign: false}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: segment}
spec: {ipAddressPools: [segment]}
`)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		w.removeService(ctx, t, "near")
		if err := w.fairlead.FairleadV1alpha1().IPAddressPools().Delete(ctx, "segment", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	s := lab.BackedService("near")
	s.Annotations["fairlead.dev/address-pool"] = "segment"
	if err := w.Expose(ctx, s, w.backend); err != nil {
		t.Fatal(err)
	}
	near := w.service(ctx, t, "near")
	routed(ctx, t, r, 3, slices.Concat(routedOnly[:], near[:])...)
	for _, p := range near {
		measure.Eventually(ctx, t, "one owner of "+p.String(), 10*time.Second, func() error {
			macs, err := w.Client(2).Answerers(ctx, p.Addr(), 100*time.Millisecond)
			if err == nil && len(macs) != 1 {
				err = fmt.Errorf("%v answer", macs)
			}
			return err
		})
		for _, h := range []*lab.Host{w.Client(2), w.visitor} {
			if _, err := h.Await(ctx, "tcp", at(p)); err != nil {
				t.Errorf("%s does not reach %s: %v", h.Name, p, err)
			}
		}
	}
	for _, p := range routedOnly {
		if macs, err := w.Client(2).Answerers(ctx, p.Addr(), 200*time.Millisecond); err != nil || len(macs) > 0 {
			t.Errorf("%v answer for %s, which is for routers alone: %v", macs, p, err)
		}
		if _, err := w.visitor.Await(ctx, "tcp", at(p)); err != nil {
			t.Error(err)
		}
	}
}

// What OpenELB's users know: AS 50000 for the cluster, 50001 for the router.
func TestOpenELBTopology(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefix := w.service(ctx, t, "field")[0]
		speaks := w.speaks(func(p *lab.Peer) { p.ASN = 50000 }, "IPv4")
		speaks.ASN = 50001
		if err := r.Speak(ctx, speaks); err != nil {
			t.Fatal(err)
		}
		w.peer(ctx, t, "router", fmt.Sprintf("myASN: 50000, peerASN: 50001, peerAddress: %s", r.V4))
		routed(ctx, t, r, 3, prefix)
		w.showPaths(ctx, t, r, [2]netip.Prefix{prefix, netip.MustParsePrefix("2001:db8:51::ffff/128")}, field{want4: "via NODE4 path [50000]"})
		if got := w.through80(ctx, t, prefix); len(got) != 3 {
			t.Errorf("connections went through %v", got)
		}
	})
}

// through80 makes 80 connections and returns through which nodes they went.
func (w *world) through80(ctx context.Context, t *testing.T, prefix netip.Prefix) map[netip.Addr]int {
	t.Helper()
	if _, err := w.visitor.Await(ctx, "tcp", at(prefix)); err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]int{}
	for range 80 {
		reply, err := w.visitor.Ask(ctx, "tcp", at(prefix))
		if err != nil {
			t.Fatal(err)
		}
		seen[reply.Client.Addr().Unmap()]++
	}
	return seen
}

// Two racks, each with a router and an AS of its own: node1 and node2 in one, node3 in the other, and beyond both a router
// that spreads over them.
func TestTwoRacks(t *testing.T) {
	ctx, w := start(t, time.Minute)
	prefix := w.service(ctx, t, "field")[0]
	label := func(n *lab.Node, rack string) {
		_, err := w.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType,
			fmt.Appendf(nil, `{"metadata": {"labels": {"rack": %q}}}`, rack), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	racks := []struct {
		name   string
		router *lab.Router
		asn    uint32
		nodes  []*lab.Node
	}{
		{"a", w.routers[lab.FRR], 65101, w.Nodes[:2]},
		{"b", w.routers[lab.BIRD], 65102, w.Nodes[2:]},
	}
	spine := lab.BGP{ASN: 65100}
	for _, rack := range racks {
		speaks := lab.BGP{ASN: rack.asn, Transit: true, Peers: []lab.Peer{{Name: "spine", Address: w.far.V4, ASN: 65100, Active: true}}}
		for _, n := range rack.nodes {
			speaks.Peers = append(speaks.Peers, lab.Peer{Name: n.Name, Address: n.V4, ASN: nodesASN})
			label(n, rack.name)
			if err := w.LeadOutside(n.Host, rack.router); err != nil {
				t.Fatal(err)
			}
		}
		if err := rack.router.Speak(ctx, speaks); err != nil {
			t.Fatal(err)
		}
		w.peer(ctx, t, "rack-"+rack.name, fmt.Sprintf("myASN: 64512, peerASN: %d, peerAddress: %s, nodeSelectors: [{matchLabels: {rack: %s}}]", rack.asn, rack.router.V4, rack.name))
		spine.Peers = append(spine.Peers, lab.Peer{Name: "rack" + rack.name, Address: rack.router.Outside4, ASN: rack.asn})
	}
	if err := w.far.Speak(ctx, spine); err != nil {
		t.Fatal(err)
	}
	if err := w.LeadOutside(w.visitor, w.far); err != nil {
		t.Fatal(err)
	}
	routed(ctx, t, racks[0].router, 2, prefix)
	routed(ctx, t, racks[1].router, 1, prefix)
	routed(ctx, t, w.far, 2, prefix)
	got, err := shown(ctx, w.far, prefix, false)
	if want := "via 203.0.113.3 path [65101 64512] via 203.0.113.4 path [65102 64512]"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("the spine has %v, want %s: %v", got, want, err)
	}
	if got := w.through80(ctx, t, prefix); len(got) != 3 && lab.Seeded() || got[w.Node(3).V4] == 0 || len(got) == 1 {
		t.Errorf("connections went through %v", got)
	}
	// A rack is lost: the other serves.
	if err := errors.Join(w.Cut(w.Node(3).Host, lab.SwitchSide), racks[1].router.Kill()); err != nil {
		t.Fatal(err)
	}
	routed(ctx, t, w.far, 1, prefix)
	if got := w.through80(ctx, t, prefix); len(got) != 2 {
		t.Errorf("connections went through %v", got)
	}
}
