package allocator

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

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

// comesAndGoes has one more Service get an address and give it back, and reports both by themselves.
func comesAndGoes(b *testing.B, a *Allocator, one Request) {
	b.Helper()
	var assign, release time.Duration
	for b.Loop() {
		began := time.Now()
		if d := a.Decide(one); !d.Satisfied {
			b.Fatal(d.Refusals)
		}
		between := time.Now()
		a.Release(one.Service, epoch)
		assign += between.Sub(began)
		release += time.Since(between)
	}
	b.ReportMetric(float64(assign.Nanoseconds())/float64(b.N), "assign-ns/op")
	b.ReportMetric(float64(release.Nanoseconds())/float64(b.N), "release-ns/op")
}

// One more Service comes and goes where n have an address already.
func BenchmarkAssignAndRelease(b *testing.B) {
	one := Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v4}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			comesAndGoes(b, filled(b, wide(n+1), requests(n, v4)), one)
		})
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("rules=all/services=%d", n), func(b *testing.B) {
			p, quota := wide(n+1), n+1
			p.AvoidBuggyIPs, p.Quota, p.Retention, p.Namespaces = false, &quota, 0, []string{"default"}
			p.ServiceSelectors = []lb.Selector{labelled("app=web")}
			with := one
			with.Labels = map[string]string{"app": "web"}
			list := requests(n, v4)
			for i := range list {
				list[i].Labels = with.Labels
			}
			comesAndGoes(b, filled(b, p, list), with)
		})
	}
	b.Run("pool=64bits/services=50000", func(b *testing.B) {
		p := lb.Pool{Name: "wide", Ranges: []netipx.IPRange{netipx.RangeOfPrefix(netip.MustParsePrefix("2001:db8::/64"))}}
		with := one
		with.Families = v6
		comesAndGoes(b, filled(b, p, requests(50_000, v6)), with)
	})
}

// labelled is a selector of one label, "key=value".
type labelled string

func (s labelled) String() string { return string(s) }

func (s labelled) Matches(labels map[string]string) bool {
	key, value, _ := strings.Cut(string(s), "=")
	return labels[key] == value
}

// n Services of one sharing key have an address each, since they all take port 80; one more comes that can
// share any of them, and one that can share none.
func BenchmarkShare(b *testing.B) {
	sharing := func(port uint16) lb.Sharing {
		return lb.Sharing{Key: "key", Ports: []lb.Port{{Protocol: "TCP", Number: port}}}
	}
	for _, n := range sizes {
		for name, port := range map[string]uint16{"any": 443, "none": 80} {
			b.Run(fmt.Sprintf("fits=%s/services=%d", name, n), func(b *testing.B) {
				list := requests(n, v4)
				for i := range list {
					list[i].Sharing = sharing(80)
				}
				a := filled(b, wide(n+1), list)
				comesAndGoes(b, a, Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v4, Sharing: sharing(port)})
			})
		}
	}
}

// A pool in which n Services have an address grows by one and shrinks by one.
func BenchmarkPoolEdit(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			a := filled(b, wide(n+1), requests(n, v4))
			sizes := []lb.Pool{wide(n + 2), wide(n + 1)}
			for i := 0; b.Loop(); i++ {
				if change := a.SetPools(sizes[i%2 : i%2+1]); len(change.Again) > 0 {
					b.Fatal(change)
				}
			}
		})
	}
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
			comesAndGoes(b, a, Request{Service: lb.Key{Namespace: "default", Name: "one-more"}, Families: v4})
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
