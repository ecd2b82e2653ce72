package lab

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// What BIRD 2.0.12 prints is for people; this is what of it is read.
func TestParseBirdProtocol(t *testing.T) {
	s := parseBirdProtocol(`BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
peer_node1 BGP        ---        up     1795258122    Established   
  Description:    x
  BGP state:          Established
    Neighbor address: 192.0.2.11
    Neighbor AS:      64512
    Local AS:         64500
    Neighbor ID:      192.0.2.11
    Local capabilities
      Multiprotocol
        AF announced: ipv4 ipv6
      Route refresh
      Graceful restart
      4-octet AS numbers
    Neighbor capabilities
      Multiprotocol
        AF announced: ipv4
      Extended next hop
        IPv6 nexthop: ipv4
      Graceful restart
        Restart time: 120
        AF supported: ipv4
        AF preserved: ipv4
      4-octet AS numbers
    Session:          external AS4
    Source address:   192.0.2.4
    Hold timer:       71.093/90
    Keepalive timer:  11.500/30
  Channel ipv4
    State:          UP
    Routes:         1 imported, 0 exported, 0 preferred
    Route change stats:     received   rejected   filtered    ignored   accepted
      Import updates:              3          0          0          0          3
  Last error:       Socket: Connection closed
`)
	if !s.Established || s.ASN != 64512 || s.RouterID != "192.0.2.11" || s.Hold != 90*time.Second || s.Keepalive != 30*time.Second ||
		!slices.Equal(s.Families, []string{"IPv4"}) || !s.GracefulRestart || !s.ExtendedNextHop || s.UpdatesReceived != 3 ||
		s.LastError != "Socket: Connection closed" || s.Up <= 0 && time.Now().Unix() > 1795258123 {
		t.Errorf("%+v", s)
	}
	if s := parseBirdProtocol("peer_node1 BGP        ---        start  1795258122    Passive\n  BGP state:          Passive\n    Hold timer:  0\n"); s.Established || s.Up != 0 {
		t.Errorf("%+v", s)
	}
}

func TestParseBirdRoute(t *testing.T) {
	got := parseBirdRoute(`BIRD 2.0.12 ready.
Table master4:
198.51.100.1/32      unicast [peer_node1 1795258122] * (100) [AS64512i]
	via 192.0.2.11 on eth0
	Type: BGP univ
	BGP.origin: IGP
	BGP.as_path: 64512
	BGP.next_hop: 192.0.2.11
	BGP.local_pref: 100
	BGP.community: (65000,100) (65535,65281)
	BGP.large_community: (64512, 1, 2)
                     unicast [peer_node2 1795258122 from 192.0.2.12] (100s) [AS64512i]
	via 192.0.2.12 on eth0
	BGP.next_hop: 2001:db8::12 fe80::12
	BGP.as_path: 
`)
	want := []string{
		"via 192.0.2.11 path [64512] localpref 100 communities [65000:100 65535:65281] large [64512:1:2]",
		"via 2001:db8::12 path [] stale",
	}
	if len(got) != 2 || got[0].String() != want[0] || got[1].String() != want[1] || got[1].NextHop != netip.MustParseAddr("2001:db8::12") {
		t.Errorf("%v", got)
	}
}
