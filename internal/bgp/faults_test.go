package bgp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func TestTheHoldTimerEndsASilentRoutersSession(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513)
	r.holdTime = 3
	r.listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	c.says("notification Hold Timer Expired")
	s.error("tor", "sent: Hold Timer Expired")
}

func TestWhyThereIsNoSession(t *testing.T) {
	tests := map[string]struct {
		router func(*testRouter)
		talk   func(*connection)
		peer   func(*Peer)
		want   string
	}{
		"nobody listens": {peer: func(p *Peer) { p.Port = 1179 }, want: "connecting to 192.0.2.2:1179: connection refused"},
		"another AS": {
			router: func(r *testRouter) { r.asn = 4200000000 },
			want:   "sent: OPEN Message Error, Bad Peer AS: the router says AS 4200000000, 64513 is configured",
		},
		"the own AS where another is wanted": {
			router: func(r *testRouter) { r.asn = 64512 }, peer: func(p *Peer) { p.PeerASN = 0 },
			want: "sent: OPEN Message Error, Bad Peer AS: the router says AS 64512, which is this node's; it is to be another",
		},
		"no family in common": {
			router: func(r *testRouter) {
				r.capabilities = []bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC)}
			},
			want: "sent: OPEN Message Error, Unsupported Capability: the router has none of the families [IPv4]",
		},
		"the router shuts down": {
			talk: func(c *connection) {
				c.send(bgp.NewBGPNotificationMessage(6, 2, append([]byte{11}, "maintenance"...)))
			},
			want: `received: Cease, Administrative Shutdown: "maintenance"`,
		},
		"the router hangs up": {talk: func(c *connection) { _ = c.Conn.(*net.TCPConn).CloseWrite() }, want: "the router closed the connection"},
		"the router crashes": {talk: func(c *connection) {
			_ = c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, want: "the router reset the connection"},
		"a message of no type": {talk: func(c *connection) { m := newMessage(9, nil); _, _ = c.Write(m) }, want: "sent: Message Header Error, Bad Message Type"},
		"a message of no length": {talk: func(c *connection) {
			m := newMessage(kindUpdate, nil)
			m[17] = 20
			_, _ = c.Write(m)
		}, want: "sent: Message Header Error, Bad Message Length"},
		"no message": {talk: func(c *connection) { _, _ = c.Write(make([]byte, 40)) }, want: "sent: Message Header Error, Connection Not Synchronized"},
		"OPEN twice": {talk: func(c *connection) { c.sendOpen() }, want: "sent: Finite State Machine Error, Receive Unexpected Message in Established State"},
		"an address that is not the node's": {
			peer: func(p *Peer) { p.Source = netip.MustParseAddr("192.0.3.7") },
			want: "connecting to 192.0.2.2:179: cannot assign requested address",
		},
		"an interface that is not there": {
			peer: func(p *Peer) { p.Address, p.Interface = netip.Addr{}, "eth7" },
			want: "looking for the router on eth7: there is no such interface",
		},
		"a VRF that is not there": {
			peer: func(p *Peer) { p.VRF = "red" },
			want: "connecting to 192.0.2.2:179: binding to red: no such device",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
			if test.router != nil {
				test.router(r)
			}
			r.listen()
			s := newSpeaker(t)
			p := peerAt("tor", "192.0.2.2", 64513)
			if test.peer != nil {
				test.peer(&p)
			}
			s.SetPeer(p)
			if test.talk != nil {
				c := r.next()
				s.established("tor")
				test.talk(c)
			}
			s.error("tor", test.want)
		})
	}
}

func TestWhatARouterAdvertisesChangesNothing(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4).listen()
	s := newSpeaker(t)
	s.advertise("198.51.100.1", Attributes{})
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	attributes := []bgp.PathAttributeInterface{
		bgp.NewPathAttributeOrigin(0), bgp.NewPathAttributeNextHop("192.0.2.2"),
		bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(2, []uint32{64513})}),
	}
	var flood []byte
	const count = 100_000
	for i := range count {
		m, err := bgp.NewBGPUpdateMessage(nil, attributes, []*bgp.IPAddrPrefix{
			bgp.NewIPAddrPrefix(32, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String())}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if flood = append(flood, m...); i%1000 == 0 { // one that cannot be read at all
			flood = append(flood, newMessage(kindUpdate, []byte{255, 255, 0, 0, 1, 2, 3})...)
		}
	}
	start := time.Now()
	if _, err := c.Write(flood); err != nil {
		t.Fatal(err)
	}
	st := s.until("tor", "all of them", func(st SessionStatus) bool { return st.UpdatesReceived >= count+count/1000 })
	t.Logf("%d UPDATEs, %d octets, in %v", count, len(flood), time.Since(start))
	s.advertise("198.51.100.2", Attributes{})
	c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}", "198.51.100.2/32 via 192.0.2.1 {AsPath: 64512}")
	if st.Established != 1 || st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}

func TestUpdatesKeepASessionAlive(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
	r.holdTime = 3
	r.listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	c := r.next()
	s.established("tor")
	for range 20 {
		_, _ = c.Write(endOfRIB(lb.IPv4)) // and no KEEPALIVE
		time.Sleep(250 * time.Millisecond)
	}
	if st := s.session("tor"); st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}
