package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
)

// RouteRow is a prefix that nodes advertise to a peer, all of them with the same attributes, or do not, all of them
// for the same reason.
type RouteRow struct {
	Prefix string `json:"prefix"`
	// Services that show an address of the prefix, sorted.
	Services []string `json:"services"`
	// Peer is the name of the BGPPeer; empty if why the nodes do not advertise the prefix has to do with no certain
	// one.
	Peer string `json:"peer,omitempty"`
	// Advertised is true if the peer has the prefix from the nodes.
	Advertised bool `json:"advertised"`
	// Nodes are sorted by name.
	Nodes []RouteNode `json:"nodes"`
	// LocalPref goes to internal peers alone.
	LocalPref *uint32 `json:"localPref,omitempty"`
	// Communities by their well-known names, by aliases, or as numbers.
	Communities []string `json:"communities,omitempty"`
	// Why not, in words.
	Why string `json:"why,omitempty"`

	prefix netip.Prefix
	// moot is true if that is as it should be, where somebody else advertises the prefix or is to.
	moot bool
}

// RouteNode is a node that advertises a prefix.
type RouteNode struct {
	Name string `json:"name"`
	// NextHop is what the peer is told to send packets to; empty if that is not known.
	NextHop string `json:"nextHop,omitempty"`
}

// Selection narrows routes down. What is empty selects everything.
type Selection struct {
	// Prefix selects those that overlap with it, Service those that advertise an address of it.
	Prefix     netip.Prefix
	Service    lb.Key
	Peer, Node string
}

// Routes are what nodes advertise over BGP, and what they do not although a BGPAdvertisement covers it; sorted by
// prefix and peer. Of what is asked for by its prefix or its Service it is also said that no BGPAdvertisement
// covers it.
func Routes(s *Snapshot, want Selection) []RouteRow {
	if len(s.BGPAdvertisements) == 0 && !want.named() {
		return []RouteRow{}
	}
	return newAdvertising(s).routes(want)
}

// named tells whether something is asked for by name.
func (w Selection) named() bool { return w.Prefix.IsValid() || w.Service != lb.Key{} }

// routes are the rows that are selected.
func (v *advertising) routes(want Selection) []RouteRow {
	named := want.named()
	var addresses []netip.Addr
	for a, services := range v.services {
		if (!want.Prefix.IsValid() || want.Prefix.Overlaps(v.widest(a))) &&
			(want.Service == lb.Key{} || slices.ContainsFunc(services, func(svc *corev1.Service) bool { return k8s.Key(svc) == want.Service })) &&
			(named || len(v.covering(a)) > 0) {
			addresses = append(addresses, a)
		}
	}
	return v.routesOf(addresses, want)
}

// routesOf are the rows of addresses that are selected.
func (v *advertising) routesOf(addresses []netip.Addr, want Selection) []RouteRow {
	c := collection{rows: map[string]*RouteRow{}, services: map[netip.Prefix]map[string]bool{}}
	var nodes []string
	for _, n := range v.s.Nodes {
		if want.Node == "" || n.Name == want.Node {
			nodes = append(nodes, n.Name)
		}
	}
	for node, view := range v.views(nodes, addresses) {
		for _, a := range addresses {
			if _, pooled := view.Addresses[a]; pooled {
				v.collect(&c, want, node, view, a)
			}
		}
	}
	return c.sorted()
}

// collect adds what a node does with an address.
func (v *advertising) collect(c *collection, want Selection, node string, view speaker.BGPView, a netip.Addr) {
	var services []string
	for _, svc := range v.services[a] {
		services = append(services, k8s.Key(svc).String())
	}
	selected := func(p netip.Prefix) bool {
		return (!want.Prefix.IsValid() || want.Prefix.Overlaps(p)) &&
			(want.Service == lb.Key{} || slices.Contains(services, want.Service.String()))
	}
	on := view.Addresses[a]
	if itself := netip.PrefixFrom(a, a.BitLen()); len(on.Origins) == 0 && selected(itself) {
		c.add(RouteRow{prefix: itself, Why: on.Why}, services, RouteNode{Name: node})
	}
	for _, o := range on.Origins {
		if !selected(o.Prefix) {
			continue
		}
		some := false // of the peers that it is for
		for name := range view.Peers {
			if o.Peers != nil && !slices.Contains(o.Peers, name) {
				continue
			}
			some = true
			if want.Peer != "" && want.Peer != name {
				continue
			}
			row, on := v.route(node, view, name, o.Prefix)
			c.add(row, services, on)
		}
		if !some {
			c.add(RouteRow{prefix: o.Prefix, Why: v.peerless(o), moot: true}, services, RouteNode{Name: node})
		}
	}
}

// peerless says why no session of a node is for an origin.
func (v *advertising) peerless(o bgp.Origin) string {
	if o.Peers == nil {
		return "no BGPPeer selects the node"
	}
	var names []string
	for _, name := range o.Peers {
		if v.peers[name] == nil {
			name += " (there is no such BGPPeer)"
		}
		names = append(names, name)
	}
	return "it is for peers that do not select the node: " + enumerate(names)
}

// route is a prefix as a node advertises it to a peer, or why it does not: to any peer, where that is the same for
// all.
func (v *advertising) route(node string, view speaker.BGPView, name string, prefix netip.Prefix) (RouteRow, RouteNode) {
	row, on := RouteRow{prefix: prefix}, RouteNode{Name: node}
	if absent := v.absent(node); absent != "" {
		row.Why = absent
		return row, on
	}
	peer, session := view.Peers[name], v.sessions[[2]string{name, node}]
	if view.Barred != "" && !(view.Unproven && v.tells(node)) {
		row.Why = "the node advertises nothing: " + view.Barred
		return row, on
	}
	row.Peer = name
	family := lb.FamilyOf(prefix.Addr())
	i, found := slices.BinarySearchFunc(peer.Routes, prefix, func(r bgp.Route, p netip.Prefix) int { return r.Prefix.Compare(p) })
	if found {
		a := peer.Routes[i].Attributes
		if peer.Session.PeerASN == peer.Session.ASN {
			row.LocalPref = &a.LocalPref
		}
		for _, value := range values(a) {
			row.Communities = append(row.Communities, cmp.Or(v.names[value], value))
		}
	}
	var hop netip.Addr
	usable := true
	if session != nil {
		if local, err := netip.ParseAddr(session.LocalAddress); err == nil {
			hop, usable = bgp.NextHop(prefix, local, peer.Session)
		}
	}
	switch {
	case peer.Session.Name == "":
		row.Why = "no session: " + cmp.Or(peer.Message, peer.Reason)
		row.moot = peer.Reason == string(v1alpha1.BGPSessionConflicting) // the older one has it
	case !slices.Contains(peer.Session.Families, family):
		row.Why, row.moot = fmt.Sprintf("the session does not exchange %s", family), true
	case session == nil:
		row.Why = "no session: its speaker does not know of the peer yet"
	case session.State != v1alpha1.BGPSessionEstablished:
		row.Why = "the session is " + cmp.Or(string(session.State), "in no known state")
		if why := sessionTrouble(session); why != "" {
			row.Why += ": " + why
		}
	case len(session.Families) > 0 && !slices.ContainsFunc(session.Families, func(f v1alpha1.AddressFamily) bool { return string(f) == family.String() }):
		row.Why = fmt.Sprintf("the router does not exchange %s on this session", family)
	case !found || !usable:
		row.Why = "the node has no InternalIP that could be the next hop"
	default:
		row.Advertised = true
		if hop.IsValid() {
			on.NextHop = hop.String()
		}
	}
	return row, on
}
