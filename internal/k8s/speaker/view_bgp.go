package speaker

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// BGPView is what objects come to for BGP on one node. Which sessions are up, and at which address of the node, is
// for its Speaker's status to tell.
type BGPView struct {
	// Phase is how far the node is with leaving service, as if what has it leave had done so for long; Barred is
	// why, empty while it is Serving.
	Phase  bgp.Phase
	Barred string
	// Unproven is true of a node that is not Ready, but may have been since its speaker started: if its speaker
	// advertises anything, it was, and advertises all the Routes.
	Unproven bool
	// Peers are the BGPPeers that select the node, by name.
	Peers map[string]PeerView
	// Addresses are those that Services show and a pool holds.
	Addresses map[netip.Addr]AddressView
}

// PeerView is a BGPPeer on a node.
type PeerView struct {
	// Session is what the node has with it, without its password. It is the zero value if it has none, for Reason.
	Session bgp.Peer
	// Reason and Message are what the speaker's status would say, empty if the session is as the BGPPeer says. A
	// missing Secret is not known here.
	Reason, Message string
	// Routes are what the peer is told while the session is up, sorted by prefix. Those of a family that the session
	// does not exchange, or for which the node has no next hop, are left out.
	Routes []bgp.Route
}

// AddressView is an address on a node.
type AddressView struct {
	// Origins are why it is advertised, by BGPAdvertisement in the order of their names.
	Origins []bgp.Origin
	// Why is why it is not, in words; empty if it is.
	Why string
}

// Advertised returns what objects come to on nodes as speakers that start now would have it, by the same code: for
// those who want to know what is advertised where, and why not, without being one. Class is
// --load-balancer-class. It reads nothing.
func Advertised(class string, o Objects, nodes ...string) map[string]BGPView {
	s := fed(class, o)
	s.takeIn(o)
	views := map[string]BGPView{}
	for _, name := range nodes {
		views[name] = s.bgpView(name)
	}
	s.reviewing.Stop()
	return views
}

// bgpView is what the objects come to on a node.
func (s *Speaker) bgpView(name string) BGPView {
	s.config.Node = name
	r := s.routing
	clear(r.told) // or another node's sessions would be taken for former ones
	n, known := s.known[name]
	for _, a := range r.adverts {
		a.here = known && a.Allows(n.labels)
	}
	s.setPeers()
	v := BGPView{Peers: map[string]PeerView{}, Addresses: map[netip.Addr]AddressView{}}
	switch barred := s.barredFor(name); {
	case !known:
		v.Phase, v.Barred = bgp.Gone, noNode
	case barred != "":
		v.Phase, v.Barred = bgp.Gone, barred
	case !n.ready:
		v.Phase, v.Unproven, v.Barred = bgp.Gone, true, "not Ready, and nobody knows here whether it was since its speaker started"
	}
	table := bgp.NewTable()
	for address, vip := range s.vips {
		h, _ := s.holdingOf(address)
		av := AddressView{Origins: originsOf(h, vip, name, r.adverts)}
		if len(av.Origins) == 0 {
			av.Why = h.unadvertised(vip, name, r.adverts)
		}
		table.Set(address, av.Origins)
		v.Addresses[address] = av
	}
	for _, p := range r.read {
		session, has := r.told[p.Name]
		trouble, bad := r.problems[p.Name]
		if !has && !bad {
			continue
		}
		pv := PeerView{Session: session}
		if has && (v.Phase != bgp.Gone || v.Unproven) {
			without := 0
			pv.Routes = slices.DeleteFunc(table.Routes(p.Name), func(route bgp.Route) bool {
				f := lb.FamilyOf(route.Prefix.Addr())
				if !slices.Contains(session.Families, f) {
					return true
				}
				has := hasNextHop(session, f)
				if !has {
					without++
				}
				return !has
			})
			if without > 0 && !bad {
				trouble = noNextHop(without)
			}
		}
		pv.Reason, pv.Message = string(trouble.reason), trouble.message
		v.Peers[p.Name] = pv
	}
	for name := range r.unreadable {
		if trouble, bad := r.problems[name]; bad {
			v.Peers[name] = PeerView{Reason: string(trouble.reason), Message: trouble.message}
		}
	}
	return v
}

// hasNextHop tells whether there is a next hop for the prefixes of a family. For those of the session's own family
// it is the address that the session is held from.
func hasNextHop(p bgp.Peer, f lb.Family) bool {
	of := lb.IPv6 // an unnumbered session
	if p.Address.IsValid() {
		of = lb.FamilyOf(p.Address)
	}
	if f == lb.IPv4 && p.ExtendedNextHop {
		f = lb.IPv6
	}
	return f == of || p.NextHops[f].IsValid()
}

// unadvertised returns why a node does not advertise an address, in words.
func (h holding) unadvertised(v layer2.VIP, node string, adverts []*routeAdvert) string {
	covered, here := false, false
	for _, a := range adverts {
		if h.covered(a.BGPAdvertisement) {
			covered, here = true, here || a.here
		}
	}
	switch {
	case !covered:
		return "no BGPAdvertisement is for it"
	case !here:
		return "no BGPAdvertisement that is for it selects the node"
	case len(v.Endpoints) == 0:
		return "externalTrafficPolicy is Local, and no endpoint is ready on any node"
	}
	return "externalTrafficPolicy is Local, and no endpoint is ready on the node"
}
