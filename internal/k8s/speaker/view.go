package speaker

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Objects are what of the API server an election, and what is advertised over BGP, depends on.
type Objects struct {
	Nodes          []*corev1.Node
	Pools          []*v1alpha1.IPAddressPool
	Advertisements []*v1alpha1.L2Advertisement
	Services       []*corev1.Service
	Slices         []*discoveryv1.EndpointSlice

	// These matter to BGP alone.
	Peers             []*v1alpha1.BGPPeer
	BGPAdvertisements []*v1alpha1.BGPAdvertisement
	Profiles          []*v1alpha1.BFDProfile
	Communities       []*v1alpha1.Community
}

// View is what objects come to.
type View struct {
	// VIPs are the addresses that Services show and a pool holds.
	VIPs map[netip.Addr]layer2.VIP
	// Scopes are the advertisements, by name.
	Scopes map[string]layer2.Scope
	// Barred are the nodes that there are, with why they must own nothing; empty for those that may.
	Barred map[string]string
}

// Tell tells an elector of objects as a speaker that starts now would, by the same code: for those who want to
// know what the speakers decide, and why, without being one. Class is --load-balancer-class. It reads nothing.
func Tell(e *layer2.Elector, class string, o Objects) View {
	s := fed(class, o)
	s.tell = func(tell func(*layer2.Elector)) { tell(e) }
	s.takeIn(o)
	v := View{VIPs: s.vips, Scopes: map[string]layer2.Scope{}, Barred: map[string]string{}}
	for name, a := range s.adverts {
		v.Scopes[name] = a.scope(s.known)
	}
	s.reviewing.Stop()
	for name := range s.known {
		v.Barred[name] = s.barredFor(name)
	}
	return v
}

// fed returns a speaker whose watches do not run: they have brought objects, of which it was not told yet.
func fed(class string, o Objects) *Speaker {
	s := New(Config{Class: class, Cluster: &k8s.Cluster{}, Log: slog.New(slog.DiscardHandler)})
	s.tell = func(func(*layer2.Elector)) {}
	s.links = func() []layer2.Link { return nil }
	s.routing.passwordOf = func(string) (bgp.Password, error) { return "", nil }
	fill(s.nodes, o.Nodes)
	fill(s.pools, o.Pools)
	fill(s.advertisements, o.Advertisements)
	fill(s.services, o.Services)
	fill(s.slices, o.Slices)
	fill(s.routing.peers, o.Peers)
	fill(s.routing.advertisements, o.BGPAdvertisements)
	fill(s.routing.profiles, o.Profiles)
	fill(s.routing.communities, o.Communities)
	return s
}

// takeIn tells a speaker of objects that its watches have brought.
func (s *Speaker) takeIn(o Objects) {
	s.readPools() // in this order, as in Prepare, each address is looked at once
	for _, o := range o.Nodes {
		s.setNode(k8s.Key(o))
	}
	for _, o := range o.Advertisements {
		s.readAdvertisement(o)
	}
	s.prepareBGP(context.Background()) // there is nothing to wait for
	s.setAllServices()
}

// fill puts objects where a watch would.
func fill[T any](w *k8s.Watch, objects []T) {
	for _, o := range objects {
		_ = w.GetStore().Add(o) // fails only for what has no name
	}
}

// Barred returns why a Node must own no address by what its object says, empty if it may: without what takes
// time to tell, and what a flag has speakers heed.
func Barred(n *corev1.Node) string { return newNode(n, false).barred }
