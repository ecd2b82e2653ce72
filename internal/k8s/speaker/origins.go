package speaker

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// routeAdvert is a BGPAdvertisement with its communities resolved, as a node sees it.
type routeAdvert struct {
	*k8s.BGPAdvertisement
	attributes bgp.Attributes
	// here is true if the node is among the next hops.
	here bool
}

// holding is what the Services that show an address come to.
type holding struct {
	address netip.Addr
	pool    string
	labels  labels.Set    // of the pool
	space   *netipx.IPSet // of the pool
	// sharers are the Services that the address counts for, the oldest first.
	sharers []*corev1.Service
}

// originsOf returns why an address is advertised by a node, by the advertisements, which go by name. With
// externalTrafficPolicy Local that is only while the node has an endpoint: v says which have.
func originsOf(h holding, v layer2.VIP, node string, adverts []*routeAdvert) (origins []bgp.Origin) {
	if v.Endpoints != nil && !v.Endpoints[node] {
		return nil
	}
	for _, a := range adverts {
		if a.here && h.covered(a.BGPAdvertisement) {
			origins = append(origins, bgp.Origin{Prefix: a.Prefix(h.address, h.space), Attributes: a.attributes, Peers: a.Peers})
		}
	}
	return origins
}

// covered tells whether an advertisement is for one of the Services that share the address.
func (h holding) covered(a *k8s.BGPAdvertisement) bool {
	return slices.ContainsFunc(h.sharers, func(svc *corev1.Service) bool { return a.Covers(h.pool, h.labels, labels.Set(svc.Labels)) })
}

func sameOrigin(a, b bgp.Origin) bool {
	return a.Prefix == b.Prefix && a.Attributes.Equal(b.Attributes) && (a.Peers == nil) == (b.Peers == nil) && slices.Equal(a.Peers, b.Peers)
}
