package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// serviceAddress is the i-th address to advertise.
func serviceAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 198<<24|18<<16+uint32(i))))
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdvertise measures from the first SetOrigins until the routers have all routes: one Service after the other
// on sessions that are established, and all at once as a session begins. The routers, which are in this process too,
// only count.
func BenchmarkAdvertise(b *testing.B) {
	for _, size := range []int{1_000, 10_000} {
		for _, peers := range []int{1, 2} {
			for _, late := range []bool{false, true} {
				name := fmt.Sprintf("%d/to-%d/one-by-one", size, peers)
				if late {
					name = fmt.Sprintf("%d/to-%d/as-a-session-begins", size, peers)
				}
				b.Run(name, func(b *testing.B) { benchAdvertise(b, size, peers, late) })
			}
		}
	}
}

func benchAdvertise(b *testing.B, size, peers int, late bool) {
	var spent time.Duration
	for range b.N {
		b.StopTimer()
		s := newSpeaker(b)
		var routers []*testRouter
		var connections []*connection
		for i := range peers {
			r := newRouter(b, fmt.Sprintf("192.0.2.%d", 2+i), 64513, lb.IPv4)
			r.silent = true
			routers = append(routers, r.listen())
		}
		begin := func() {
			for i, r := range routers {
				s.SetPeer(peerAt(fmt.Sprintf("tor%d", i), r.address.String(), 64513))
				connections = append(connections, r.next())
			}
		}
		if !late {
			begin()
			for i := range routers {
				s.established(fmt.Sprintf("tor%d", i))
			}
		}
		b.StartTimer()
		before := cpu()
		for i := range size {
			a := serviceAddress(i)
			s.SetOrigins(a, []Origin{{Prefix: netip.PrefixFrom(a, 32), Attributes: Attributes{LocalPref: 100, Communities: []Community{1}}}})
		}
		if late {
			begin()
		}
		for _, c := range connections {
			c.until("all routes", func() bool { return c.routesSeen >= size })
		}
		spent += cpu() - before
		b.StopTimer()
		s.stop()
		for _, r := range routers {
			r.listener.Close()
		}
		b.StartTimer()
	}
	b.ReportMetric(spent.Seconds()/float64(b.N)/float64(size)*1000, "CPU-s/1000-routes")
}
