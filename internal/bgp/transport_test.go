package bgp

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"golang.org/x/sys/unix"
)

func withMD5(address, key string) func(*net.ListenConfig) {
	return func(l *net.ListenConfig) {
		l.Control = func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error { return setMD5(fd, netip.MustParseAddr(address), Password(key)) })
		}
	}
}

func TestPasswords(t *testing.T) {
	for _, test := range []struct{ router, node string }{{"192.0.2.2", "192.0.2.1"}, {"2001:db8::2", "2001:db8::1"}} {
		t.Run(test.router, func(t *testing.T) {
			r := newRouter(t, test.router, 64513, lb.FamilyOf(netip.MustParseAddr(test.router))).listen(withMD5(test.node, "fair"))
			s := newSpeaker(t)
			p := peerAt("tor", test.router, 64513)
			p.Source = netip.MustParseAddr(test.node)
			p.ConnectTime, p.Password = time.Second, "foul"
			s.SetPeer(p)
			s.error("tor", "connecting to "+netip.AddrPortFrom(r.address, 179).String()+": timed out (also if the router has another password)")
			p.Password = "fair"
			s.SetPeer(p)
			r.next()
			s.established("tor")
		})
	}
}

func TestTTLSecurity(t *testing.T) {
	hops := func(address string, ttl, least int) func(*net.ListenConfig) {
		return func(l *net.ListenConfig) {
			l.Control = func(_, _ string, raw syscall.RawConn) error {
				return control(raw, func(fd int) error {
					if strings.Contains(address, ":") {
						_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
						return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least)
					}
					_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl)
					return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, least)
				})
			}
		}
	}
	for _, address := range []string{"192.0.2.2", "2001:db8::2"} {
		for name, test := range map[string]struct {
			ttl, least int
			peer       func(*Peer)
			works      bool
		}{
			"both have it":                  {255, 255, func(p *Peer) { p.Hops = 1 }, true},
			"the router alone has it":       {255, 255, func(*Peer) {}, false},
			"the node alone has it":         {64, 0, func(p *Peer) { p.Hops = 1 }, false},
			"the router is within reach":    {250, 0, func(p *Peer) { p.Hops = 6 }, true},
			"the router is too far":         {250, 0, func(p *Peer) { p.Hops = 5 }, false},
			"a multi-hop peer has a TTL":    {64, 2, func(p *Peer) { p.MultiHop = true }, true},
			"an external peer has one of 1": {64, 2, func(*Peer) {}, false},
			"an internal peer has a TTL":    {64, 2, func(p *Peer) { p.PeerASN = 64512 }, true},
		} {
			t.Run(address+": "+name, func(t *testing.T) {
				p := peerAt("tor", address, 64513)
				p.ConnectTime = time.Second
				test.peer(&p)
				r := newRouter(t, address, p.PeerASN, lb.FamilyOf(p.Address)).listen(hops(address, test.ttl, test.least))
				s := newSpeaker(t)
				s.SetPeer(p)
				if test.works {
					r.next()
					s.established("tor")
					return
				}
				s.until("tor", "no connection", func(st SessionStatus) bool { return st.LastError != "" || st.State == OpenSent })
				time.Sleep(300 * time.Millisecond)
				if st := s.session("tor"); st.State == Established {
					t.Errorf("the status is %+v", st)
				}
			})
		}
	}
}
