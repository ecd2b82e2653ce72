package allocator

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

var sizes = []int{1_000, 10_000, 50_000}

func wide(n int) lb.Pool {
	first := netip.MustParseAddr("198.18.0.0")
	last := netip.AddrFrom4([4]byte{198, byte(18 + n>>16), byte(n >> 8), byte(n)})
	return lb.Pool{Name: "wide", Ranges: []netipx.IPRange{netipx.IPRangeFrom(first, last)}}
}

func requests(n int, families []lb.Family) []Request {
	list := make([]Request, n)
	for i := range list {
		list[i] = Request{Service: lb.Key{Namespace: "default", Name: fmt.Sprintf("service-%05d", i)}, Families: families}
	}
	return list
}

func filled(b *testing.B, p lb.Pool, list []Request) *Allocator {
	b.Helper()
	a := New()
	a.SetPools([]lb.Pool{p})
	for _, r := range list {
		if d := a.Decide(r); !d.Satisfied {
			b.Fatal(d.Refusals)
		}
	}
	return a
}

// One more Service comes and goes where n have an address already.
func BenchmarkAssign(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			a := filled(b, wide(n+1), requests(n, v4))
			one := Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v4}
			for b.Loop() {
				if d := a.Decide(one); !d.Satisfied {
					b.Fatal(d.Refusals)
				}
				a.Release(one.Service, epoch)
			}
		})
	}
	b.Run("pool=64bits/services=50000", func(b *testing.B) {
		p := lb.Pool{Name: "wide", Ranges: []netipx.IPRange{netipx.RangeOfPrefix(netip.MustParsePrefix("2001:db8::/64"))}}
		a := filled(b, p, requests(50_000, v6))
		one := Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v6}
		for b.Loop() {
			a.Decide(one)
			a.Release(one.Service, epoch)
		}
	})
}

// Every second address is free: as many intervals as there are Services.
func BenchmarkAssignFragmented(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			list := requests(2*n, v4)
			a := filled(b, wide(2*n), list)
			for i := 0; i < len(list); i += 2 {
				a.Release(list[i].Service, epoch)
			}
			one := Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v4}
			for b.Loop() {
				a.Decide(one)
				a.Release(one.Service, epoch)
			}
		})
	}
}

// A controller starts and takes over what the Services' statuses show.
func BenchmarkRestart(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			list := requests(n, v4)
			addr := netip.MustParseAddr("198.18.0.0")
			for i := range list {
				addr = addr.Next()
				list[(i*7919)%n].Current = []netip.Addr{addr} // in no order
			}
			for b.Loop() {
				filled(b, wide(n+1), list)
			}
		})
	}
}

// n Services wait at an exhausted pool; one address is freed and given to the first.
func BenchmarkExhausted(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			a := New()
			a.SetPools([]lb.Pool{wide(0)})
			holder := lb.Key{Namespace: "default", Name: "holder"}
			a.Decide(Request{Service: holder, Families: v4})
			for _, r := range requests(n, v4) {
				a.Decide(r)
			}
			for b.Loop() {
				next := a.Release(holder, epoch)
				a.Decide(Request{Service: next[0], Families: v4})
				a.Decide(Request{Service: holder, Families: v4})
				holder = next[0]
			}
		})
	}
}
