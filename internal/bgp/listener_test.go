package bgp

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// A peer that goes takes its own key along, not that of one that has come in its place.
func TestPasswordOfTheSuccessor(t *testing.T) {
	k, router, node := newKernel(), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
	peer := func(name string, password Password) Peer {
		p := peerAt(name, router.String(), 64513)
		p.Passive, p.Password = true, password
		return p
	}
	stopOld, err := k.listen(peer("old", "foul"), router, func(c net.Conn) { c.Close() })
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan struct{})
	stopNew, err := k.listen(peer("new", "fair"), router, func(c net.Conn) { c.Close(); close(taken) })
	if err != nil {
		t.Fatal(err)
	}
	stopOld()
	defer stopNew()
	l := net.ListenConfig{}
	withMD5(node.String(), "fair")(&l)
	d := net.Dialer{Timeout: 5 * time.Second, Control: l.Control, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(router, 0))}
	c, err := d.DialContext(t.Context(), "tcp4", netip.AddrPortFrom(node, 179).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case <-taken:
	case <-time.After(5 * time.Second):
		t.Error("the new peer's connection was not taken")
	}
}
