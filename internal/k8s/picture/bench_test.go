package picture

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// crowd is a cluster of ten nodes with so many Services, each with an address that a node owns, as far as speakers
// list them.
func crowd(services int) *scene {
	s := newScene()
	p := aPool("main", "198.18.0.0/15")
	p.Status.IPv4 = &v1alpha1.PoolFamilyStatus{Total: "131072", Assigned: int64(services), Available: "100000", First: "198.18.0.0", Last: "198.19.255.255"}
	s.put(p, anAdvertisement("all"), aBGPAdvertisement("all"), aPeer("r1", "192.0.2.1"), aPeer("r2", "192.0.2.2"))
	address := netip.MustParseAddr("198.18.0.0")
	owned := make([][]string, 10)
	for i := range services {
		name := fmt.Sprintf("service-%05d", i)
		svc := aService(name, address.String())
		svc.Status.Conditions[0].Message = address.String() + " from pool main"
		s.put(svc)
		if n := i % 10; len(owned[n]) < 256 {
			owned[n] = append(owned[n], address.String())
		}
		address = address.Next()
	}
	for i, list := range owned {
		name := fmt.Sprintf("node%02d", i)
		sp := withSession(withSession(aSpeaker(name, list...), "r1", v1alpha1.BGPSessionEstablished, 9), "r2", v1alpha1.BGPSessionEstablished, 9)
		sp.Status.Layer2.Owned, sp.Status.Layer2.Truncated = int32(services/10), services/10 > len(list)
		s.put(aNode(name), sp)
	}
	return s
}

var sizes = []int{100, 1000, 10_000}

// BenchmarkSnapshot is what somebody costs who begins to look.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%d-Services", n), func(b *testing.B) {
			s := crowd(n)
			b.ReportAllocs()
			var text []byte
			for b.Loop() {
				text, _ = json.Marshal(s.anew())
			}
			b.StopTimer()
			var zipped bytes.Buffer
			w, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
			_, _ = w.Write(text)
			_ = w.Close()
			b.ReportMetric(float64(len(text)), "bytes")
			b.ReportMetric(float64(zipped.Len()), "gzip-bytes")
		})
	}
}

// BenchmarkChange is what the change of one Service costs while somebody looks.
func BenchmarkChange(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%d-Services", n), func(b *testing.B) {
			s := crowd(n)
			s.show()
			one, other := aService("service-00000", "198.18.0.0"), aService("service-00000")
			b.ReportAllocs()
			for b.Loop() {
				one, other = other, one
				s.put(one)
				text, _ := json.Marshal(s.show())
				b.SetBytes(int64(len(text)))
			}
		})
	}
}

// BenchmarkTakeover is what it costs that a node takes over all that another one lists, 256 addresses.
func BenchmarkTakeover(b *testing.B) {
	for _, n := range sizes[1:] {
		b.Run(fmt.Sprintf("%d-Services", n), func(b *testing.B) {
			s := crowd(n)
			s.show()
			of := func(name string) *v1alpha1.Speaker { return get[v1alpha1.Speaker](s.objects, speaker, name) }
			from, to := of("node00"), of("node01")
			with, without := *from.DeepCopy(), *from.DeepCopy()
			without.Status.Layer2.Addresses = nil
			b.ReportAllocs()
			for b.Loop() {
				taken := *to.DeepCopy()
				taken.Status.Layer2.Addresses = append(taken.Status.Layer2.Addresses, with.Status.Layer2.Addresses...)
				s.put(&without, &taken)
				_, _ = json.Marshal(s.show())
				s.put(with.DeepCopy(), to)
				s.show()
			}
		})
	}
}

// BenchmarkNobodyLooks is what the change of a Service costs while nobody looks.
func BenchmarkNobodyLooks(b *testing.B) {
	s := &Source{dirty: map[thing]struct{}{}, changed: make(chan struct{}, 1)}
	svc := aService("web", "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		s.note(service, svc, false)
	}
	if len(s.dirty) > 0 {
		b.Error("something was noted")
	}
}

var _ page.Source = (*Source)(nil)
