package layer2

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/fairlead-lb/fairlead/internal/gossip"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/mdlayher/ethernet"
	"github.com/prometheus/client_golang/prometheus"
)

// TestTraitor is a host of the segment that has the gossip key, as of a node that was taken over. It claims all addresses,
// for nodes that there are and one that there is not, with the highest epochs that it can say. While it does so it may
// have them move. When it is silent again each address has one owner, which serves it, and nobody was restarted.
func TestTraitor(t *testing.T) {
	each(t, small, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, 6)...)
		key, err := os.ReadFile(filepath.Join(w.Directory, "gossip.key"))
		if err != nil {
			t.Fatal(err)
		}
		before := w.owners(ctx, t, addresses)
		pids := map[string]int{}
		for _, n := range w.Nodes {
			pids[n.Name] = n.Speaker.PID()
		}
		traitor := w.Client(foreign)
		names := []string{"ghost", w.Node(1).Name, w.Node(2).Name}
		for round := range 30 {
			for _, epoch := range []uint64{1 << 62, 1<<48 + uint64(time.Now().UnixMilli()), 1e9 + uint64(round)} {
				for _, f := range treason(t, traitor, key, names[round%len(names)], epoch, addresses) {
					sendFrame(t, traitor, f)
				}
			}
			measure.Pause(ctx, t, 100*time.Millisecond)
		}
		silent := time.Now()
		watch := w.watch(ctx, t, 200*time.Millisecond, addresses...)
		after := w.owners(ctx, t, addresses)
		w.serving(ctx, t)
		settled := time.Since(silent)
		measure.Pause(ctx, t, 3*time.Second)
		alone(t, watch, silent.Add(settled), addresses...)
		moved := 0
		for _, a := range addresses {
			if before[a] != after[a] {
				moved++
			}
		}
		if moved == 0 {
			t.Error("nothing moved: the claims were not believed, and this test shows nothing")
		}
		for _, n := range w.Nodes {
			if n.Speaker.PID() != pids[n.Name] {
				t.Errorf("%s's speaker was restarted", n.Name)
			}
		}
		measure.Report(t, len(w.Nodes), "claims of who has the key, for 3 s", "one owner for each address afterwards, without a restart",
			"%d of %d addresses moved; one owner each, serving, %s after the last claim", moved, len(addresses), settled.Round(time.Millisecond))
	})
}

// treason are frames with claims of a node to all of these addresses, sealed with the key.
func treason(t *testing.T, from *lab.Host, key []byte, node string, epoch uint64, addresses []netip.Addr) (frames [][]byte) {
	t.Helper()
	g, err := gossip.New(gossip.Config{
		Node: node, Address: netip.MustParseAddr("127.0.0.1"), Port: 1, Key: key, Log: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(), Kick: func() {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var claims []lb.Claim
	for _, a := range addresses {
		claims = append(claims, lb.Claim{Address: a, Node: node, Epoch: epoch})
	}
	g.Publish(claims)
	for _, payload := range g.Seal(addresses, 1400) {
		header := append(append(bytes.Clone(ethernet.Broadcast), from.MAC...), byte(claimsType>>8), byte(claimsType&0xff))
		frames = append(frames, append(binary.BigEndian.AppendUint16(header, uint16(len(payload))), payload...))
	}
	return frames
}
