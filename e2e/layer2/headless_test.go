package layer2

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// The API server is away for long, and a node is cut off meanwhile: a takeover needs no API server.
func TestAPIServerAway(t *testing.T) {
	each(t, large(), 10*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, max(6, len(w.Nodes)))...)
		before := w.owners(ctx, t, addresses)
		node, vips := victim(t, before, nil)
		w.spoiled = true // Kubernetes' own parts come back with a back-off of up to a minute
		if err := w.StopAPIServer(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		load := w.load(ctx, t, 20, vips...)
		measure.Pause(ctx, t, measure.Less(10*time.Second, 150*time.Second))
		load.stop().unharmed(t)
		gaps := w.pull(ctx, t, sides[0], node, vips)
		now := w.owners(ctx, t, addresses)
		if list := moved(before, now, node); list != nil {
			t.Errorf("only %s was cut off, and there moved %v", node.Name, list)
		}
		measure.Pause(ctx, t, time.Until(began.Add(measure.Less(20*time.Second, 5*time.Minute))))
		away := time.Since(began)
		if err := w.StartAPIServer(ctx); err != nil {
			t.Fatal(err)
		}
		measure.Pause(ctx, t, 3*time.Second) // for what the news would change
		if list := moved(now, w.owners(ctx, t, addresses), nil); list != nil {
			t.Errorf("there moved %v when the API server was back", list)
		}
		for _, p := range w.Processes() {
			if p.Program() == "speaker" && !p.Running() {
				t.Errorf("%s has ended", p.Name)
			}
		}
		measure.Report(t, len(w.Nodes), "API server stopped, the owner's cable pulled meanwhile", "without service < 500 ms", "%s (IPv4, IPv6); the API server was away for %.0f s", gaps.List(), away.Seconds())
		if gaps.Part(100) >= gapWorst {
			t.Errorf("without service for %s, want less than %s", gaps.List(), gapWorst)
		}
		// And it works on.
		if err := w.makeService(ctx, "afterwards", "fleet"); err != nil {
			t.Fatal(err)
		}
		w.owners(ctx, t, w.addresses(ctx, t, "afterwards")[0])
	})
}
