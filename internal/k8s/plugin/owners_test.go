package plugin

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// segmentOf is a cluster in which half of the addresses have no owner yet.
func segmentOf(addresses, nodeCount int) *Snapshot {
	s := &Snapshot{
		Time: now, Pools: []*v1alpha1.IPAddressPool{pool("edge", "198.18.0.0/15")},
		Advertisements: []*v1alpha1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "main"}, Spec: v1alpha1.L2AdvertisementSpec{
			Interfaces: []v1alpha1.InterfacePattern{"eth0"}}}},
	}
	a, owned := netip.MustParseAddr("198.18.0.1"), make([][]string, nodeCount)
	for i := range addresses {
		s.Services = append(s.Services, service("shop", fmt.Sprint("web", i), a.String()))
		if i%2 == 0 {
			owned[i/2%nodeCount] = append(owned[i/2%nodeCount], a.String())
		}
		a = a.Next()
	}
	for i := range nodeCount {
		name := fmt.Sprint("node", i)
		s.Nodes = append(s.Nodes, nodes(name)...)
		s.Speakers = append(s.Speakers, speakerOf(name, owned[i]...))
	}
	return s
}

func BenchmarkOwners(b *testing.B) {
	for _, size := range []struct{ addresses, nodes int }{{200, 3}, {10000, 10}, {10000, 500}} {
		b.Run(fmt.Sprintf("addresses=%d/nodes=%d", size.addresses, size.nodes), func(b *testing.B) {
			s := segmentOf(size.addresses, size.nodes)
			for b.Loop() {
				if o := Owners(s); len(o.Rows) != size.addresses {
					b.Fatal(len(o.Rows))
				}
			}
		})
	}
}
