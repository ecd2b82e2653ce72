package bgp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"golang.org/x/sync/errgroup"
)

// flows are connections that a host keeps to a Service, each with a request at an interval. A node hides the client from
// the backend behind its own address, so the first answer tells through which node a connection goes.
type flows struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	list []*flow
}

type flow struct {
	via    netip.Addr // the node, as the backend sees it
	broken error
	at     time.Time // when it broke
}

// patience is how late an answer may be.
const patience = 2 * time.Second

// flows makes n connections and uses them until the test ends.
func (w *world) flows(ctx context.Context, t *testing.T, to netip.AddrPort, n int, interval time.Duration) *flows {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	f := &flows{cancel: cancel}
	connections := make([]net.Conn, n)
	f.list = make([]*flow, n)
	var making errgroup.Group
	making.SetLimit(20)
	for i := range n {
		making.Go(func() error {
			c, err := w.visitor.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return err
			}
			connections[i] = c
			reply, err := lab.AskAgain(c, bufio.NewReader(c), to, patience)
			f.list[i] = &flow{via: reply.Client.Addr().Unmap()}
			return err
		})
	}
	err := making.Wait()
	t.Cleanup(func() {
		cancel()
		f.running.Wait()
		for _, c := range connections {
			if c != nil {
				c.Close()
			}
		}
	})
	if err != nil {
		t.Fatalf("making %d connections to %s: %v", n, to, err)
	}
	for i, c := range connections {
		f.running.Go(func() {
			select { // so that they do not all ask at once
			case <-time.After(interval * time.Duration(i) / time.Duration(n)):
				f.use(ctx, f.list[i], c, to, interval)
			case <-ctx.Done():
			}
		})
	}
	return f
}

func (f *flows) use(ctx context.Context, x *flow, c net.Conn, to netip.AddrPort, interval time.Duration) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for reader := bufio.NewReader(c); ; {
		_, err := lab.AskAgain(c, reader, to, patience)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.mu.Lock()
			x.broken, x.at = fmt.Errorf("%s through %s: %w", c.LocalAddr(), x.via, err), time.Now()
			f.mu.Unlock()
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// through counts the connections, and those that broke, by the address of the node that they went through.
func (f *flows) through() (all, broken map[netip.Addr]int, first error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, broken = map[netip.Addr]int{}, map[netip.Addr]int{}
	for _, x := range f.list {
		all[x.via]++
		if x.broken != nil {
			broken[x.via]++
			if first == nil {
				first = x.broken
			}
		}
	}
	return all, broken, first
}
