package layer2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
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
	begin     time.Time
}

// load starts; so many connections stay established through each address.
func (w *world) load(ctx context.Context, t *testing.T, established int, addresses ...netip.Addr) *load {
	t.Helper()
	l := &load{addresses: addresses, begin: time.Now()}
	client := w.Client(asking)
	for _, a := range addresses {
		w.reach(ctx, t, a)
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

// reach has the client's kernel ask anew who has an address, so that its packets take the way through the owner
// of now. A node that was the owner once forwards too, and hides what it hides.
func (w *world) reach(ctx context.Context, t *testing.T, a netip.Addr) {
	t.Helper()
	if err := w.Client(asking).FlushNeighbor(a); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client(asking).Await(ctx, "tcp", at(a)); err != nil {
		t.Fatal(err)
	}
}

// believed fails if the client's kernel has not a node's hardware address for each of these addresses.
func (w *world) believed(t *testing.T, owner *lab.Node, addresses ...netip.Addr) {
	t.Helper()
	for _, a := range addresses {
		if n, ok, err := w.Client(asking).Neighbor(a); err != nil || !ok || !slices.Equal(n.MAC, owner.MAC) {
			t.Errorf("the client's kernel has %s %s for %s, which is %s's: %v", n.MAC, n.State, a, owner.Name, err)
		}
	}
}

// outcome is what a load has come to.
type outcome struct {
	established, broken, sent, failed int
	cut                               int           // new connections, one an address, that were reset: they were under way as it moved
	longest                           time.Duration // without an answer to a new connection
	slowest                           time.Duration // wait in an established one
	why                               []string
}

// stop ends the load after a second more, in which what is late may come.
func (l *load) stop() (o outcome) {
	time.Sleep(time.Second)
	for i, p := range l.probes {
		r := p.Stop()
		o.sent += r.Sent
		if r.Failed == 1 && errors.Is(r.Failure, syscall.ECONNRESET) {
			o.cut++
		} else {
			o.failed += r.Failed
		}
		o.longest = max(o.longest, r.Longest.Duration())
		if r.Failure != nil {
			o.why = append(o.why, fmt.Sprintf("%s: longest gap %s: %v", l.addresses[i], r.Longest, r.Failure))
		}
	}
	for i, h := range l.held {
		r := h.Stop()
		o.established += r.Connections
		o.broken += len(r.Broken)
		o.slowest = max(o.slowest, r.Slowest)
		if len(r.Broken) > 0 {
			o.why = append(o.why, fmt.Sprintf("%s: %d broken, the first: %v", l.addresses[i], len(r.Broken), r.Broken[0]))
		}
	}
	return o
}

func (o outcome) String() string {
	s := fmt.Sprintf("%d of %d new connections failed, longest gap %d ms", o.failed, o.sent, o.longest.Milliseconds())
	if o.cut > 0 {
		s = fmt.Sprintf("%d under way cut; ", o.cut) + s
	}
	if o.established > 0 {
		s = fmt.Sprintf("%d of %d established broken, slowest answer %d ms; ", o.broken, o.established, o.slowest.Milliseconds()) + s
	}
	return s
}

// unharmed fails if a request failed or a connection broke.
func (o outcome) unharmed(t *testing.T) {
	t.Helper()
	if o.failed > 0 || o.broken > 0 || o.cut > 0 {
		t.Errorf("%s: %q", o, o.why)
	}
}

// watch asks the segment all the time who has these addresses, until the test ends.
func (w *world) watch(ctx context.Context, t *testing.T, interval time.Duration, addresses ...netip.Addr) *lab.Watch {
	t.Helper()
	watch, err := w.Client(watching).Watch(ctx, interval, addresses...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Stop() })
	measure.Pause(ctx, t, 2*interval)
	return watch
}

// unmoved fails if anybody but its owner answered for an address from a moment on.
func unmoved(t *testing.T, watch *lab.Watch, from time.Time, owner *lab.Node, addresses ...netip.Addr) {
	t.Helper()
	for _, a := range addresses {
		for _, r := range watch.Rounds(a, from) {
			if slices.ContainsFunc(r.MACs, func(m net.HardwareAddr) bool { return !slices.Equal(m, owner.MAC) }) {
				t.Errorf("%s was %s's and is answered for by others: %s", a, owner.Name, r.Since(from))
				break
			}
		}
	}
}

// alone fails for every address that in some round nobody answered for, or more than one, and returns how many
// rounds there were. A single round without an answer is forgiven: a frame may be late.
func alone(t *testing.T, watch *lab.Watch, from time.Time, addresses ...netip.Addr) (rounds int) {
	t.Helper()
	for _, a := range addresses {
		list := watch.Rounds(a, from)
		if len(list) > 0 {
			list = list[:len(list)-1] // the last one may still be waiting
		}
		rounds += len(list)
		for i, r := range list {
			if len(r.MACs) > 1 || len(r.MACs) == 0 && i > 0 && len(list[i-1].MACs) == 0 {
				var some []string
				for _, r := range list[max(0, i-3):min(len(list), i+10)] {
					some = append(some, r.Since(from))
				}
				t.Errorf("%d answer for %s: %v", len(r.MACs), a, some)
				break
			}
		}
	}
	return rounds
}
