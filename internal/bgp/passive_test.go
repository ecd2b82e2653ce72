package bgp

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// dial has the router connect to the node.
func (r *testRouter) dial(to string, key string) *connection {
	r.t.Helper()
	d := net.Dialer{
		Timeout: time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.address, 0)),
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error { return setMD5(fd, netip.MustParseAddr(to), Password(key)) })
		},
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		conn, err := d.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(to), 179).String())
		if err == nil {
			c := r.serve(conn)
			<-r.connections
			return c
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func passive(p Peer) Peer { p.Passive = true; return p }

func TestAPassivePeerConnectsItself(t *testing.T) {
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	p := passive(peerAt("tor", "192.0.2.2", 64513))
	p.Password = "fair"
	s.SetPeer(p)
	// Two more peers on the same listener, of which one gives no password, and one of the other family.
	s.SetPeer(passive(peerAt("spine", "192.0.2.3", 64514)))
	s.SetPeer(passive(peerAt("six", "2001:db8::2", 64515)))
	c := newRouter(t, "192.0.2.2", 64513, lb.IPv4).dial("192.0.2.1", "fair")
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
	newRouter(t, "192.0.2.3", 64514, lb.IPv4).dial("192.0.2.1", "").routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
	newRouter(t, "2001:db8::2", 64515, lb.IPv6).dial("2001:db8::1", "")
	for _, name := range []string{"tor", "spine", "six"} {
		s.established(name)
	}
	// A second connection does not take the place of one that is established.
	second := newRouter(t, "192.0.2.2", 64513, lb.IPv4).dial("192.0.2.1", "fair")
	second.says("notification Cease, Connection Collision Resolution")
	if st := s.session("tor"); st.State != Established || st.Established != 1 {
		t.Errorf("the status is %+v", st)
	}
	// The router may come back at any time.
	c.Close()
	s.until("tor", "lost", func(st SessionStatus) bool { return st.State == Active })
	newRouter(t, "192.0.2.2", 64513, lb.IPv4).dial("192.0.2.1", "fair").routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
	// An edit of one leaves the others, and the key goes with the peer.
	p.Password = "better"
	s.SetPeer(p)
	s.until("tor", "reset", func(st SessionStatus) bool { return st.State == Active })
	newRouter(t, "192.0.2.2", 64513, lb.IPv4).dial("192.0.2.1", "better")
	s.until("tor", "established", func(st SessionStatus) bool { return st.State == Established })
	if st := s.session("spine"); st.State != Established || st.Established != 1 {
		t.Errorf("the status is %+v", st)
	}
	// Nobody else is let in, and with the last peer the port is closed.
	if conn, err := net.DialTimeout("tcp", "192.0.2.1:179", time.Second); err == nil {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a stranger is spoken to")
		}
	}
	for _, name := range []string{"tor", "spine", "six"} {
		s.RemovePeer(name)
		s.until(name, "gone", func(st SessionStatus) bool { return st.Peer == "" })
	}
	if conn, err := net.DialTimeout("tcp", "192.0.2.1:179", time.Second); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestARouterThatRestartedUnseenIsLetIn(t *testing.T) {
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	p := passive(peerAt("tor", "192.0.2.2", 64513))
	p.GracefulRestart = true
	s.SetPeer(p)
	restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).dial("192.0.2.1", "").says("end of IPv4")
	restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).dial("192.0.2.1", "").routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
}

func TestAPortThatIsTakenIsTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp4", ":179")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newSpeaker(t)
	p := passive(peerAt("tor", "192.0.2.2", 64513))
	p.ConnectTime = 100 * time.Millisecond
	s.SetPeer(p)
	s.error("tor", "waiting for the router on port 179: listen tcp4 :179: bind: address already in use: does another BGP speaker run on this node?")
	taken.Close()
	newRouter(t, "192.0.2.2", 64513, lb.IPv4).dial("192.0.2.1", "")
	s.established("tor")
}
