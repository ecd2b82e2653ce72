package upgrade

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// load is what clients do with addresses: connections that stay, and 100 new ones a second to each address.
type load struct {
	addresses []netip.Addr
	probes    []*lab.Probe
	held      []*lab.Held
}

// load starts; so many connections stay established through each address.
func (w *world) load(ctx context.Context, t *testing.T, established int, addresses ...netip.Addr) *load {
	t.Helper()
	l := &load{addresses: addresses}
	client := w.Client(asking)
	for _, a := range addresses {
		// So that packets take the way through the owner of now: one that was it once forwards too.
		if err := client.FlushNeighbor(a); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Await(ctx, "tcp", at(a)); err != nil {
			t.Fatal(err)
		}
		if established > 0 {
			held, err := client.Hold(ctx, at(a), established, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { held.Stop() })
			l.held = append(l.held, held)
		}
		probe := client.Probe(ctx, "tcp", at(a), 10*time.Millisecond)
		t.Cleanup(func() { probe.Stop() })
		l.probes = append(l.probes, probe)
	}
	measure.Pause(ctx, t, 300*time.Millisecond)
	return l
}

// unharmed ends the load after a second more, in which what is late may come, fails if a connection broke or more requests
// to an address failed than may, and says what there was.
func (l *load) unharmed(t *testing.T, mayFail int) string {
	t.Helper()
	time.Sleep(time.Second)
	var established, broken, sent, failed int
	var longest time.Duration
	for i, p := range l.probes {
		r := p.Stop()
		sent, failed, longest = sent+r.Sent, failed+r.Failed, max(longest, r.Longest.Duration())
		if r.Failed > mayFail {
			t.Errorf("%s: %d new connections failed, longest gap %s: %v", l.addresses[i], r.Failed, r.Longest, r.Failure)
		}
	}
	for i, h := range l.held {
		r := h.Stop()
		established, broken = established+r.Connections, broken+len(r.Broken)
		if len(r.Broken) > 0 {
			t.Errorf("%s: %d connections broke, the first: %v", l.addresses[i], len(r.Broken), r.Broken[0])
		}
	}
	return fmt.Sprintf("%d of %d established broken, %d of %d new failed, longest gap %d ms", broken, established, failed, sent, longest.Milliseconds())
}
