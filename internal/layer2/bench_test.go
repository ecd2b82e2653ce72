package layer2

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// What one event costs one speaker, whatever else there is.
func BenchmarkElection(b *testing.B) {
	for _, of := range []struct{ nodes, addresses int }{{3, 10_000}, {100, 10_000}, {500, 10_000}, {2_000, 50_000}} {
		nodes, addresses := of.nodes, of.addresses
		size := fmt.Sprintf("nodes=%d/addresses=%d", nodes, addresses)
		now := time.Unix(0, 0)
		// settled returns an elector in a cluster at rest.
		settled := func() *Elector {
			e := crowd(nodeName(0), nodes, addresses)
			for a, owner := range e.Owners() {
				e.Hear(lb.Claim{Address: a, Node: owner, Epoch: 2})
			}
			e.Decide(now)
			return e
		}
		b.Run("address added and removed/"+size, func(b *testing.B) {
			e := settled()
			vip := VIP{Address: swarmAddress(addresses), Service: service(0), Scopes: []string{"all"}}
			for b.Loop() {
				e.SetVIP(vip)
				e.Decide(now)
				e.RemoveVIP(vip.Address)
				e.Decide(now)
			}
		})
		b.Run("node lost/"+size, func(b *testing.B) {
			e := settled()
			victim := nodeName(nodes - 1)
			list := slices.Collect(mapKeys(e.owned[victim]))
			b.ReportMetric(float64(len(list)), "addresses")
			for b.Loop() {
				e.Part(victim, true, now)
				e.Decide(now)
				b.StopTimer()
				e.Join(victim, swarmSegment)
				for _, a := range list {
					e.Hear(lb.Claim{Address: a, Node: victim, Epoch: e.claim(a).Epoch + 1})
				}
				e.Decide(now)
				b.StartTimer()
			}
		})
		b.Run("node joined/"+size, func(b *testing.B) {
			e := settled()
			victim := nodeName(nodes) // it owns nothing
			for b.Loop() {
				e.Join(victim, swarmSegment)
				e.Decide(now)
				b.StopTimer()
				e.Part(victim, false, now)
				e.Decide(now)
				b.StartTimer()
			}
		})
		b.Run("memory/"+size, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				e := settled()
				e.queue, e.waits.queue, e.pending.queue = nil, nil, nil
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(addresses), "B/address")
				runtime.KeepAlive(e)
			}
		})
	}
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
