package layer2

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
	"github.com/mdlayher/packet"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// take gives a host an address that is not its own, announced as its kernel's start-up scripts would.
func take(ctx context.Context, t *testing.T, h *lab.Host, addresses ...netip.Addr) {
	t.Helper()
	for _, a := range addresses {
		prefix := netip.PrefixFrom(a, a.BitLen()).String()
		if _, err := h.Run(ctx, "ip", "address", "add", prefix, "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = h.Run(context.Background(), "ip", "address", "del", prefix, "dev", "eth0") })
		announce(t, h, a)
	}
}

// announce claims an address for a host, on the wire alone.
func announce(t *testing.T, h *lab.Host, a netip.Addr) {
	t.Helper()
	frame, err := h.Announcement(a)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := h.ListenFrames(kindOf(a))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		t.Fatal(err)
	}
}

// A foreign host uses an address of ours: it is reported by its hardware address, and the Service goes on.
func TestForeignHost(t *testing.T) {
	each(t, small, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		stranger := w.Client(foreign)
		const name = "contested"
		vips := w.services(ctx, t, "fleet", name)[0]
		t.Cleanup(func() { w.removeServices(t, nil, name) })
		owners := w.owners(ctx, t, vips)
		load := w.load(ctx, t, 20, vips...)
		conflicts := w.total(ctx, t, "fairlead_layer2_conflicts_total", "")
		begin := time.Now()
		take(ctx, t, stranger, vips...)
		for _, a := range vips {
			owner := owners[a]
			measure.Eventually(ctx, t, "the conflict about "+a.String()+" in the status of "+owner.Name, 10*time.Second, func() error {
				return w.conflict(ctx, owner.Name, a, stranger.MAC.String())
			})
			w.awaitEvent(ctx, t, name, "AddressConflict", stranger.MAC.String())
		}
		told := time.Since(begin)
		if counted := w.total(ctx, t, "fairlead_layer2_conflicts_total", "") - conflicts; counted < 2 {
			t.Errorf("%v conflicts counted, want one of each family", counted)
		}
		measure.Pause(ctx, t, 2*time.Second)
		for _, a := range vips {
			w.believed(t, owners[a], a) // though the foreign host answers too
		}
		outcome := load.stop()
		if outcome.longest > time.Second {
			t.Errorf("without service for %s", outcome.longest)
		}
		measure.Report(t, len(w.Nodes), "a foreign host uses an address of ours", "reported by MAC, the Service goes on",
			"in status, condition and event after %d ms; %s", told.Milliseconds(), outcome)
	})
}

// conflict returns nil if a Speaker's status names a foreign host for an address, and its condition says so.
func (w *world) conflict(ctx context.Context, node string, address netip.Addr, mac string) error {
	s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		return err
	}
	status, _ := object["status"].(map[string]any)
	layer2, _ := status["layer2"].(map[string]any)
	conflicts, _ := layer2["conflicts"].([]any)
	found := slices.ContainsFunc(conflicts, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["address"] == address.String() && strings.EqualFold(fmt.Sprint(m["hardwareAddress"]), mac)
	})
	if !found {
		return fmt.Errorf("layer2.conflicts is %v", conflicts)
	}
	for _, c := range s.Status.Conditions {
		if c.Type == "AddressConflict" && c.Status == metav1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("conditions are %v", s.Status.Conditions)
}

// awaitEvent waits until an event about a Service has a reason and contains a text.
func (w *world) awaitEvent(ctx context.Context, t *testing.T, service, reason, text string) {
	t.Helper()
	measure.Eventually(ctx, t, "the event "+reason+" about "+service, 10*time.Second, func() error {
		events, err := w.Kubernetes.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + service})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("there are %q", seen)
	})
}

// With conflictDetection the segment is asked before the first announcement: an address that somebody has is
// set aside, and the Service gets another.
func TestConflictDetection(t *testing.T) {
	each(t, small, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		stranger := w.Client(foreign)
		first := []netip.Addr{netip.MustParseAddr("192.0.2.240"), netip.MustParseAddr("2001:db8::4:0")}
		err := w.Apply(ctx, []byte(`
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: detected}
spec: {addresses: [192.0.2.240-192.0.2.243, "2001:db8::4:0-2001:db8::4:3"], autoAssign: false, conflictDetection: true}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: detected}
spec: {ipAddressPools: [detected]}
`))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range first {
			prefix := netip.PrefixFrom(a, a.BitLen()).String()
			if _, err := stranger.Run(ctx, "ip", "address", "add", prefix, "dev", "eth0"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = stranger.Run(context.Background(), "ip", "address", "del", prefix, "dev", "eth0") })
		}
		// From before its creation on nobody but the foreign host may answer for its addresses.
		begin := time.Now()
		watch := w.watch(ctx, t, 50*time.Millisecond, first...)
		const name = "detected"
		if err := w.makeService(ctx, name, "detected"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.removeServices(t, nil, name) })
		var vips []netip.Addr
		took := measure.Eventually(ctx, t, "other addresses", 20*time.Second, func() error {
			if vips = w.addresses(ctx, t, name)[0]; vips[0] == first[0] || vips[1] == first[1] {
				return fmt.Errorf("it has %v", vips)
			}
			answers, err := w.ask(ctx, vips)
			for _, a := range vips {
				if len(answers[a]) != 1 {
					err = errors.Join(err, fmt.Errorf("%v answer for %s", answers[a], a))
				}
			}
			return err
		})
		w.owners(ctx, t, vips)
		w.awaitEvent(ctx, t, name, "AddressConflict", stranger.MAC.String())
		for _, a := range vips {
			if _, err := w.Client(asking).Await(ctx, "tcp", at(a)); err != nil {
				t.Error(err)
			}
		}
		for _, a := range first {
			for _, r := range watch.Rounds(a, begin) {
				if len(r.MACs) > 1 || len(r.MACs) == 1 && !slices.Equal(r.MACs[0], stranger.MAC) {
					t.Errorf("%s was answered for though a foreign host has it: %s", a, r.Since(begin))
					break
				}
			}
		}
		measure.Report(t, len(w.Nodes), "both addresses of a new Service are in use, conflictDetection on", "others, and an event that names the MAC",
			"%v answered for after %.1f s", vips, took.Seconds())
	})
}
