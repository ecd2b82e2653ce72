package bgp

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// network is how sessions reach routers.
type network interface {
	// resolve returns a peer's address: the router's on the interface where the session is unnumbered.
	resolve(ctx context.Context, p Peer) (netip.Addr, error)
	// dial connects to a peer at an address.
	dial(ctx context.Context, p Peer, remote netip.Addr) (net.Conn, error)
	// listen has connections of a peer handed over until stop, by a function that does not block. Remote may be invalid for an unnumbered peer without a
	// password.
	listen(p Peer, remote netip.Addr, accepted func(net.Conn)) (stop func(), err error)
	// connected tells whether an address is in a subnet of this node.
	connected(remote netip.Addr) bool
}

// dialPatience is for how long a router may take to answer a connection request.
func (p Peer) dialPatience() time.Duration {
	const most = 5 * time.Second
	if p.ConnectTime <= 0 {
		return most
	}
	return min(most, max(p.ConnectTime, minPause))
}

// internal tells whether a peer is of this node's AS.
func (p Peer) internal() bool { return p.PeerASN == p.ASN }

// hops are the TTL of packets to a peer, and the least that packets from it must have, 0 for any.
func (p Peer) hops() (ttl, least int) {
	switch {
	case p.Hops > 0:
		return 255, 256 - int(p.Hops) // RFC 5082 section 3
	case p.internal() || p.MultiHop:
		return 255, 0
	}
	return 1, 0 // a router that is not next to this node is not the one that is meant
}

// device is what the peer's sockets are bound to, empty for nothing.
func (p Peer) device() string {
	if p.Interface != "" {
		return p.Interface
	}
	return p.VRF
}

// multiHop tells whether routers may be between this node and the peer, which BFD has to know (RFC 5883).
func (p Peer) multiHop(connected bool) bool {
	return p.MultiHop || p.Hops > 1 || p.internal() && !connected
}

// addressOf returns the address of one end of a connection, an IPv4 one as such.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
