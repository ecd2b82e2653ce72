package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A node gets another address, as from DHCP, and its Node says so: its speaker, which listens at the old one, ends and
// says why. Started again it is where the others look for it.
func TestRenumberedNode(t *testing.T) {
	ctx, w := within(t, 4*time.Minute)
	n := w.Node(3)
	home, other := n.V4, netip.MustParseAddr("192.0.2.33")
	w.awaitServing(ctx, t, n.Name)
	t.Cleanup(func() {
		if t.Failed() { // leave the node as it was
			if err := errors.Join(w.renumber(context.Background(), n, other, home), n.Speaker.Kill(), n.Speaker.Start()); err != nil {
				t.Log(err)
			}
		}
	})
	for _, move := range [][2]netip.Addr{{home, other}, {other, home}} {
		log, err := n.Speaker.Log()
		if err != nil {
			t.Fatal(err)
		}
		begin, ended := time.Now(), n.Speaker.Ended()
		if err := w.renumber(ctx, n, move[0], move[1]); err != nil {
			t.Fatal(err)
		}
		// The connection to the API server had the old address: it takes a while until it is given up.
		select {
		case <-ended:
			t.Logf("ended after %s", time.Since(begin).Round(100*time.Millisecond))
		case <-time.After(75 * time.Second):
			t.Fatalf("from %s to %s: the speaker goes on", move[0], move[1])
		}
		want := fmt.Sprintf("the InternalIP of Node %s is %s now, and gossip was at %s: starting anew", n.Name, move[1], move[0])
		if now, err := n.Speaker.Log(); err != nil || !strings.Contains(now[len(log):], want) {
			t.Errorf("%v; it does not say %q:\n%s", err, want, now[len(log):])
		}
		if err := n.Speaker.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(ctx, t, n.Name+"'s speaker", 20*time.Second, func() error {
			if code, page, err := n.Host.Page(ctx, lab.SpeakerHTTPPort, "/readyz"); err != nil || code != 200 {
				return fmt.Errorf("%d, %v: %s", code, err, page)
			}
			return nil
		})
		for _, n := range w.Nodes {
			eventually(ctx, t, n.Name+" to see all", 20*time.Second, func() error {
				if members := w.metric(ctx, t, n, "fairlead_gossip_members", ""); members != 3 {
					return fmt.Errorf("%v members", members)
				}
				return nil
			})
		}
	}
}

// renumber gives a node another IPv4 address instead of the one that it has, and says so in its Node as its kubelet would.
func (w *world) renumber(ctx context.Context, n *lab.Node, from, to netip.Addr) error {
	// Without this the first address of a subnet takes the others along, and all routes.
	if err := n.Sysctls("net/ipv4/conf/eth0/promote_secondaries=1"); err != nil {
		return err
	}
	eth0, err := n.Netlink().LinkByName("eth0")
	if err != nil {
		return err
	}
	onSegment := func(a netip.Addr) *netlink.Addr {
		return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(lab.Segment4.Bits(), a.BitLen())}}
	}
	if err := errors.Join(n.Netlink().AddrReplace(eth0, onSegment(to)), n.Netlink().AddrDel(eth0, onSegment(from))); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"addresses": []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: to.String()},
		{Type: corev1.NodeInternalIP, Address: n.V6.String()},
		{Type: corev1.NodeHostName, Address: n.Name},
	}}})
	if err != nil {
		return err
	}
	// Not a strategic merge patch: that takes a node to have one address of each type.
	_, err = w.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
