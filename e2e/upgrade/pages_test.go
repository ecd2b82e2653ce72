package upgrade

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// metrics is what a process counts.
func (w *world) metrics(ctx context.Context, p *lab.Process) (string, error) {
	port := lab.SpeakerHTTPPort
	if i := slices.Index(w.Controllers, p); i >= 0 {
		port = lab.ControllerHTTPPort + i
	}
	_, page, err := p.Host.Page(ctx, port, "/metrics")
	return page, err
}

// serving waits until every speaker sees all the others, and has sessions with them.
func (w *world) serving(ctx context.Context, t *testing.T) {
	t.Helper()
	measure.Eventually(ctx, t, "all speakers among the others", 30*time.Second, func() error {
		for _, n := range w.Nodes {
			page, err := w.metrics(ctx, n.Speaker)
			if err != nil {
				return err
			}
			if members := lab.Sum(page, "fairlead_gossip_members", ""); members != float64(len(w.Nodes)) {
				return fmt.Errorf("%s sees %v speakers", n.Name, members)
			}
			up, down := lab.Sum(page, "fairlead_bfd_sessions", `state="up"`), lab.Sum(page, "fairlead_bfd_sessions", `state="down"`)
			if down > 0 || up != float64(len(w.Nodes)-1) {
				return fmt.Errorf("%s has %v sessions that are up, and %v that are down", n.Name, up, down)
			}
		}
		return nil
	})
}

// understood fails if a speaker has dropped what another one said. What was lost while cables were pulled does not
// count: only what came and made no sense does.
func (w *world) understood(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, n := range w.Nodes {
		page, err := w.metrics(ctx, n.Speaker)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []struct{ name, label string }{
			{"fairlead_gossip_messages_dropped_total", ""},
			{"fairlead_bfd_packets_dropped_total", `"malformed"`},
			{"fairlead_bfd_packets_dropped_total", `"unauthenticated"`},
			{"fairlead_layer2_frames_dropped_total", `"claim"`},
		} {
			if dropped := lab.Sum(page, m.name, m.label); dropped > 0 {
				t.Errorf("%s, the %s release: %s %s is %v", n.Speaker.Name, w.runs[n.Speaker].name, m.name, m.label, dropped)
			}
		}
	}
}
