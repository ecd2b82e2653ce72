package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// metric sums the samples of a speaker's metric whose labels contain a text.
func (w *world) metric(ctx context.Context, t *testing.T, n *lab.Node, name, label string) float64 {
	t.Helper()
	_, page, err := n.Host.Page(ctx, lab.SpeakerHTTPPort, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return lab.Sum(page, name, label)
}

// Health, readiness and metrics of both processes.
func TestHTTP(t *testing.T) {
	ctx, w := within(t, time.Minute)
	for _, x := range []struct {
		host *lab.Host
		port int
		name string
	}{{w.CP, lab.ControllerHTTPPort, "fairlead_build_info"}, {w.Node(1).Host, lab.SpeakerHTTPPort, "fairlead_gossip_members 3"}} {
		for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": x.name} {
			eventually(ctx, t, x.host.Name+path, 10*time.Second, func() error {
				if code, page, err := x.host.Page(ctx, x.port, path); err != nil || code != 200 || !strings.Contains(page, want) {
					return fmt.Errorf("%d, %v; want %q in %.200s", code, err, want, page)
				}
				return nil
			})
		}
	}
}

// Processes that start without an API server wait, say so once, and go to work when it is there.
func TestStartWithoutAPIServer(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	if err := w.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	started := []*lab.Process{w.Controllers[0], w.Node(3).Speaker}
	seen := map[*lab.Process]int{}
	for _, p := range started {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		log, err := p.Log()
		if err != nil {
			t.Fatal(err)
		}
		seen[p] = len(log)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(4 * time.Second) // several rounds of trying
	if code, page, err := w.CP.Page(ctx, lab.ControllerHTTPPort, "/readyz"); err != nil || code != 503 || !strings.Contains(page, "waiting") {
		t.Errorf("/readyz of the controller: %d %q %v", code, page, err)
	}
	if err := w.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range started {
		log, err := p.Log()
		if err != nil || !p.Running() {
			t.Fatalf("%s runs: %v, %v", p.Name, p.Running(), err)
		}
		if n := strings.Count(log[seen[p]:], "API server not reached yet, waiting"); n != 1 {
			t.Errorf("%s said %d times that it waits:\n%s", p.Name, n, log[seen[p]:])
		}
	}
	w.awaitServing(ctx, t, "node3")
	w.service(ctx, t, "patience", nil)
	eventually(ctx, t, "an address", 40*time.Second, func() error {
		s, err := w.get(ctx, "patience")
		if err == nil && len(s.Status.LoadBalancer.Ingress) != 2 {
			err = fmt.Errorf("%d addresses", len(s.Status.LoadBalancer.Ingress))
		}
		return err
	})
	w.awaitKubeProxies(ctx, t, "patience")
}

// Malformed, truncated and spoofed frames about an address: dropped and counted, and the owner answers on.
func TestGarbageOnTheWire(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "noise", nil)
	vips, _ := w.addresses(ctx, t, "noise", 2)
	owner := w.owner(ctx, t, vips[0])
	malformed := w.metric(ctx, t, owner, "fairlead_layer2_frames_received_total", `verdict="malformed"`)
	conflicts := w.metric(ctx, t, owner, "fairlead_layer2_frames_received_total", `verdict="conflict"`)

	client := w.Client(2)
	send := func(kind ethernet.EtherType, frames [][]byte) {
		var c *packet.Conn
		err := client.Do(func() (err error) { c, err = packet.Listen(client.Interface(), packet.Raw, int(kind), nil); return err })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, f := range frames {
			_, _ = c.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]}) // the kernel refuses some, rightly
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	mutate := func(good []byte, n int) (frames [][]byte) {
		for range n {
			f := append([]byte(nil), good[:14+random.IntN(len(good)-13)]...)
			for range random.IntN(4) {
				if i := 14 + random.IntN(max(1, len(f)-14)); i < len(f) {
					f[i] = byte(random.Uint32())
				}
			}
			frames = append(frames, f)
		}
		return frames
	}
	request := arpRequest(client.MAC, client.V4, vips[0])
	send(ethernet.EtherTypeARP, mutate(request, 2000))
	send(ethernet.EtherTypeARP, [][]byte{arpRequest(client.MAC, vips[0], vips[0])}) // claims the address for itself
	solicitation := make([]byte, 14+40+24)
	copy(solicitation, []byte{0x33, 0x33, 0xff, 0, 2, byte(vips[1].As16()[15])})
	copy(solicitation[6:], client.MAC)
	solicitation[12], solicitation[13], solicitation[14], solicitation[19], solicitation[20], solicitation[21] = 0x86, 0xdd, 0x60, 24, 58, 255
	copy(solicitation[22:], client.V6.AsSlice())
	copy(solicitation[38:], vips[1].AsSlice())
	solicitation[54] = 135
	copy(solicitation[62:], vips[1].AsSlice()) // with a checksum of zero
	send(ethernet.EtherTypeIPv6, mutate(solicitation, 2000))

	if now := w.owner(ctx, t, vips[0]); now != owner || !owner.Speaker.Running() {
		t.Errorf("%s answers, %s's speaker runs: %v", now.Name, owner.Name, owner.Speaker.Running())
	}
	w.owner(ctx, t, vips[1])
	eventually(ctx, t, "counts", 5*time.Second, func() error {
		m := w.metric(ctx, t, owner, "fairlead_layer2_frames_received_total", `verdict="malformed"`) - malformed
		c := w.metric(ctx, t, owner, "fairlead_layer2_frames_received_total", `verdict="conflict"`) - conflicts
		if m < 100 || c < 1 {
			return fmt.Errorf("%v malformed, %v conflicts", m, c)
		}
		return nil
	})
}

// arpRequest is a broadcast request in a frame.
func arpRequest(mac net.HardwareAddr, sender, target netip.Addr) []byte {
	f := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	f = append(f, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, mac...), sender.AsSlice()...)
	return append(append(f, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}
