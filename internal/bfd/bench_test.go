package bfd

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func BenchmarkEncodeAndSign(b *testing.B) {
	x, _, _ := corePair(b)
	p := x.sorted[0]
	for b.Loop() {
		x.out = x.out[:0]
		x.send(p, p.session.packet())
	}
}

func BenchmarkVerifyAndReceive(b *testing.B) {
	x, y, now := corePair(b)
	x.send(x.sorted[0], x.sorted[0].session.packet())
	octets := x.out[0].octets[:]
	seen := &y.sorted[0].seen
	for b.Loop() {
		seen.last-- // the same packet is new each time
		if _, err := y.receive(x.local, octets, now, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDropForged(b *testing.B) {
	x, y, now := corePair(b)
	x.send(x.sorted[0], x.sorted[0].session.packet())
	octets := x.out[0].octets[:]
	octets[30]++
	for b.Loop() {
		if _, err := y.receive(x.local, octets, now, now); err == nil {
			b.Fatal("taken")
		}
	}
}

func BenchmarkWatched500(b *testing.B) {
	nodes := nodeNames(500)
	for b.Loop() {
		Watched(nodes[0], nodes, 2)
	}
}

// BenchmarkMeshSecond: what a second costs a node with four sessions of 50 ms, on real sockets: five nodes, each
// with the others. cpu-% is of one core, for one node.
func BenchmarkMeshSecond4Sessions50ms(b *testing.B) {
	const port, nodes = 47959, 5
	peers := map[string]netip.Addr{}
	for i := range nodes {
		peers[fmt.Sprint(i)] = netip.AddrFrom4([4]byte{127, 0, 84, byte(i + 1)})
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	up, done := make(chan Event, nodes*nodes), make(chan error, nodes)
	for _, a := range peers {
		m, err := NewMesh(Config{
			Local: netip.AddrPortFrom(a, port), Key: []byte("k"), Timing: Fast, Log: slog.New(slog.DiscardHandler),
			Metrics: prometheus.NewRegistry(), Changed: func(e Event) { up <- e },
		})
		if err != nil {
			b.Fatal(err)
		}
		m.SetPeers(peers)
		go func() { done <- m.Run(ctx) }()
	}
	for range nodes * (nodes - 1) {
		<-up
	}
	before := cpu()
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.StopTimer()
	b.ReportMetric((cpu()-before).Seconds()/float64(b.N)/nodes*100, "cpu-%")
	b.ReportMetric(float64(len(up)), "events")
	stop()
	for range nodes {
		<-done
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRoutersSecond: what a second costs a node that watches two routers at 100 ms, on real sockets and a veth
// pair. cpu-% is of one core, for this node and the routers, which are Routers too.
func BenchmarkRoutersSecond2Sessions100ms(b *testing.B) {
	c := plug(b)
	here, there := c.live(b, false), c.live(b, true)
	for i, a := range []string{"192.0.2.", "2001:db8::"} {
		x := RouterTarget{Remote: netip.MustParseAddr(a + "2"), Receive: 100 * ms, Transmit: 100 * ms, Multiplier: 3}
		y := x
		y.Remote = netip.MustParseAddr(a + "1")
		here.Watch(fmt.Sprint(i), x)
		there.Watch(fmt.Sprint(i), y)
	}
	here.expect(true)
	here.expect(true)
	before := cpu()
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.StopTimer()
	b.ReportMetric((cpu()-before).Seconds()/float64(b.N)*100, "cpu-%")
	b.ReportMetric(float64(len(here.events)), "events")
}

func BenchmarkRouterReceive(b *testing.B) {
	c := newRouterCore(random, func() float64 { return 0 })
	for i := range 100 {
		x := RouterTarget{Remote: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Receive: 100 * ms, Transmit: 100 * ms, Multiplier: 3}
		if err := c.watch(fmt.Sprint(i), x, start); err != nil {
			b.Fatal(err)
		}
	}
	r := c.sorted[50]
	p := packet{state: Up, multiplier: 3, my: 2, your: r.session.local, desiredMinTx: 100 * ms, requiredMinRx: 100 * ms}
	octets, a := p.appendTo(nil), arrival{from: r.remote, direct: true, ttl: 255}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.receive(a, octets, start, start); err != nil {
			b.Fatal(err)
		}
	}
}
