package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// With bindAddress the address is on its owner's interface for as long as it owns: gone at a move, gone by
// itself after a crash, there again after a restart.
func TestBindAddress(t *testing.T) {
	each(t, small, 3*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		err := w.Apply(ctx, []byte(`
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: bound}
spec: {addresses: [192.0.2.244-192.0.2.247, "2001:db8::5:0-2001:db8::5:3"], autoAssign: false}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: bound}
spec: {ipAddressPools: [bound], bindAddress: true}
`))
		if err != nil {
			t.Fatal(err)
		}
		const name = "bound"
		vips := w.services(ctx, t, "bound", name)[0]
		t.Cleanup(func() { w.removeServices(t, nil, name) })
		begin := time.Now()
		owners := w.owners(ctx, t, vips)
		for _, a := range vips {
			w.awaitBound(ctx, t, a, owners[a], 2*time.Second)
		}
		t.Logf("bound %d ms after the first answer", time.Since(begin).Milliseconds())
		vip, first := vips[0], owners[vips[0]]

		// A speaker that is restarted leaves it, and finds it.
		if err := first.Speaker.Kill(); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 2*time.Second)
		if on, err := w.bound(ctx, vip); err != nil || on != first.Name {
			t.Errorf("2 s after its speaker was killed %s is on %q, %v; want %s", vip, on, err, first.Name)
		}
		if err := first.Speaker.Start(); err != nil {
			t.Fatal(err)
		}
		w.serving(ctx, t)
		measure.Pause(ctx, t, 2*time.Second)
		w.awaitBound(ctx, t, vip, first, time.Second)

		// A move takes it along at once.
		drain := func(n *lab.Node, value string) {
			_, err := w.Kubernetes.CoreV1().Nodes().Patch(context.Background(), n.Name, types.MergePatchType,
				[]byte(`{"metadata": {"annotations": {"fairlead.dev/drain": `+value+`}}}`), metav1.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
		}
		drain(first, `"test"`)
		t.Cleanup(func() { drain(first, "null") })
		asked := time.Now()
		var second *lab.Node
		measure.Eventually(ctx, t, "another owner", 5*time.Second, func() error {
			if second = w.owners(ctx, t, vips[:1])[vip]; second == first {
				return fmt.Errorf("%s answers", first.Name)
			}
			return nil
		})
		w.awaitBound(ctx, t, vip, second, 2*time.Second)
		moved := time.Since(asked)
		drain(first, "null")

		// A crash: nobody renews it, and the kernel removes it.
		killed := time.Now()
		if err := second.Speaker.Kill(); err != nil {
			t.Fatal(err)
		}
		var gone time.Duration
		measure.Eventually(ctx, t, vip.String()+" to be gone from "+second.Name, 20*time.Second, func() error {
			output, err := second.Run(ctx, "ip", "-o", "address", "show")
			if err == nil && strings.Contains(output, " "+vip.String()+"/") {
				err = fmt.Errorf("it is there:\n%s", output)
			}
			gone = time.Since(killed)
			time.Sleep(100 * time.Millisecond)
			return err
		})
		if gone > 16*time.Second {
			t.Errorf("gone %s after the crash, want at most 16 s", gone)
		}
		third := w.owners(ctx, t, vips[:1])[vip]
		measure.Eventually(ctx, t, "a new owner", 10*time.Second, func() error {
			if third = w.owners(ctx, t, vips[:1])[vip]; third == second {
				return fmt.Errorf("it is %s", third.Name)
			}
			return nil
		})
		w.awaitBound(ctx, t, vip, third, 2*time.Second)
		if err := second.Speaker.Start(); err != nil {
			t.Fatal(err)
		}
		w.serving(ctx, t)
		w.awaitBound(ctx, t, vip, third, time.Second)
		measure.Report(t, len(w.Nodes), "bindAddress", "gone at once after a move, within 16 s after a crash",
			"moved to the new owner's interface in %d ms; gone %.1f s after a crash", moved.Milliseconds(), gone.Seconds())
	})
}

// bound lists the nodes that have an address on an interface.
func (w *world) bound(ctx context.Context, a netip.Addr) (string, error) {
	var names []string
	for _, n := range w.Nodes {
		output, err := n.Run(ctx, "ip", "-o", "address", "show")
		if err != nil {
			return "", err
		}
		if strings.Contains(output, " "+a.String()+"/") {
			names = append(names, n.Name)
		}
	}
	return strings.Join(names, " "), nil
}

// awaitBound waits until one node alone has an address on an interface.
func (w *world) awaitBound(ctx context.Context, t *testing.T, a netip.Addr, owner *lab.Node, limit time.Duration) {
	t.Helper()
	measure.Eventually(ctx, t, a.String()+" on an interface of "+owner.Name, limit, func() error {
		on, err := w.bound(ctx, a)
		if err == nil && on != owner.Name {
			err = fmt.Errorf("it is on %q", on)
		}
		return err
	})
}
