package bgp

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
)

func benchAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)})
}

// filled returns a table of addresses, each by itself or all in one aggregate, advertised twice.
func filled(addresses int, aggregate bool) *Table {
	t := NewTable()
	for i := range addresses {
		t.Set(benchAddress(i), benchOrigins(i, aggregate, "65000:1"))
	}
	return t
}

func benchOrigins(i int, aggregate bool, community string) []Origin {
	p := netip.PrefixFrom(benchAddress(i), 32)
	if aggregate {
		p = mustPrefix("198.18.0.0/15")
	}
	return []Origin{
		{Prefix: p, Attributes: attributes(100, community, "large:65000:1:2")},
		{Prefix: p, Attributes: attributes(200, "no-export"), Peers: []string{"tor-1", "tor-2"}},
	}
}

// What one event on one address costs, whatever else there is.
func BenchmarkTableSet(b *testing.B) {
	for _, aggregate := range []bool{false, true} {
		for _, n := range []int{1000, 10_000, 50_000} {
			name := fmt.Sprint(n)
			if aggregate {
				name = "aggregate/" + name
			}
			b.Run(name, func(b *testing.B) {
				t := filled(n, aggregate)
				a := benchAddress(n / 2)
				other, back := benchOrigins(n/2, aggregate, "65000:2"), benchOrigins(n/2, aggregate, "65000:1")
				b.ReportAllocs()
				for b.Loop() {
					t.Set(a, other)
					t.Set(a, back)
				}
			})
		}
	}
}

// What it costs that an address is said again what was said of it.
func BenchmarkTableSetEqual(b *testing.B) {
	for _, n := range []int{1000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := filled(n, false)
			a, same := benchAddress(n/2), benchOrigins(n/2, false, "65000:1")
			b.ReportAllocs()
			for b.Loop() {
				t.Set(a, same)
			}
		})
	}
}

// What it costs to fill a table, and the memory that it holds then.
func BenchmarkTableFill(b *testing.B) {
	for _, n := range []int{1000, 10_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			origins := make([][]Origin, n)
			for i := range origins {
				origins[i] = benchOrigins(i, false, "65000:1")
			}
			var before, after runtime.MemStats
			var t *Table
			for b.Loop() {
				t = NewTable()
				for i, o := range origins {
					t.Set(benchAddress(i), o)
				}
			}
			t = nil
			runtime.GC()
			runtime.ReadMemStats(&before)
			t = NewTable()
			for i, o := range origins {
				t.Set(benchAddress(i), o)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B-held/address")
			runtime.KeepAlive(t)
			runtime.KeepAlive(origins)
		})
	}
}

// What it costs to list a peer's routes when its session comes up.
func BenchmarkTableRoutes(b *testing.B) {
	for _, peer := range []string{"tor-1", "other"} {
		for _, n := range []int{1000, 10_000, 50_000} {
			b.Run(fmt.Sprintf("%s/%d", peer, n), func(b *testing.B) {
				t := filled(n, false)
				b.ReportAllocs()
				for b.Loop() {
					if len(t.Routes(peer)) != n {
						b.Fatal("routes are missing")
					}
				}
			})
		}
	}
}
