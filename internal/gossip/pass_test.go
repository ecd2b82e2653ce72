package gossip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// In a large group an author reaches few: whoever hears something new has to pass it on, once.
func TestNewsIsPassedOn(t *testing.T) {
	g, err := New(Config{Node: "n1", Address: loopback(1), Key: []byte("k"), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Kick: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	g.SetState(lb.NodeState{})
	before := g.queue.NumQueued()
	message, err := encode(content{
		states:     []lb.NodeState{{Node: "n2", Version: 1}},
		suspicions: []lb.Suspicion{{Node: "n3", Version: 1}},
		claims:     []lb.Claim{{Address: netip.MustParseAddr("192.0.2.1"), Node: "n2", Epoch: 1}, {Address: netip.MustParseAddr("192.0.2.2"), Node: "n2", Epoch: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	delegate{g}.NotifyMsg(message)
	if n := g.queue.NumQueued() - before; n != 4 {
		t.Errorf("passes on %d of 4 that are new", n)
	}
	g.queue.Reset()
	delegate{g}.NotifyMsg(message)
	if n := g.queue.NumQueued(); n != 0 {
		t.Errorf("passes on %d that are not new", n)
	}
}

// A node that does not answer does not hold the good-bye up: until it is heard, nobody stands in for this node,
// which does not answer for long any more.
func TestGoodByeDoesNotWait(t *testing.T) {
	port := freePort(t)
	nowhere := netip.MustParseAddr("127.0.0.3") // TCP is connected, and never answered
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	silent(t, ctx, nowhere, port)
	all := []netip.Addr{loopback(1), loopback(2), nowhere}
	a := start(t, 1, port, "k", all...)
	b := start(t, 2, port, "k", all...)
	a.await(t, "n2", joined("n2"))
	b.await(t, "n1", joined("n1"))
	<-time.After(2500 * time.Millisecond) // it is being asked again, which takes two seconds
	asked := time.Now()
	if heard := b.Refresh(); !heard || time.Since(asked) > time.Second {
		t.Errorf("heard %v what others know after %s", heard, time.Since(asked))
	}
	stopped := time.Now()
	b.stop()
	a.await(t, "n2's good-bye", func(u lb.GossipUpdate) bool { return len(u.Left)+len(u.Lost) > 0 })
	if took := time.Since(stopped); took > time.Second {
		t.Errorf("the good-bye took %s", took)
	}
}

// silent accepts TCP and says nothing.
func silent(t *testing.T, ctx context.Context, at netip.Addr, port int) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(port)).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
		}
	}()
}
