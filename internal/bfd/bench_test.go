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

// benchCores returns two nodes whose session is up, without clock and socket.
func benchCores(b *testing.B) (x, y *core, now time.Time) {
	now = start
	cores := [2]*core{}
	for i, n := range []string{"a", "b"} {
		cores[i] = &core{
			local: addressPortOf(n), secret: []byte("k"), timing: Fast, random: random, jitter: func() float64 { return 0 },
			peers: map[netip.Addr]*peer{},
		}
	}
	x, y = cores[0], cores[1]
	x.setPeers(peersOf("b"), now)
	y.setPeers(peersOf("a"), now)
	for range 100 {
		now = now.Add(20 * time.Millisecond)
		exchange(b, x, y, now)
		exchange(b, y, x, now)
	}
	if x.sorted[0].session.state != Up {
		b.Fatal("not up")
	}
	x.events, y.events = nil, nil
	return x, y, now
}

func exchange(b *testing.B, x, y *core, now time.Time) {
	x.advance(now, 0, 0)
	for i := range x.out {
		if _, err := y.receive(x.local, x.out[i].octets[:], now, now); err != nil {
			b.Fatal(err)
		}
	}
	x.out = x.out[:0]
}

func BenchmarkEncodeAndSign(b *testing.B) {
	x, _, _ := benchCores(b)
	p := x.sorted[0]
	for b.Loop() {
		x.out = x.out[:0]
		x.send(p, p.session.packet())
	}
}

func BenchmarkVerifyAndReceive(b *testing.B) {
	x, y, now := benchCores(b)
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
	x, y, now := benchCores(b)
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
