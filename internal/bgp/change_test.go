package bgp

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
)

// router returns a peer with every field set, made anew each time.
func router() Peer {
	return Peer{
		Name: "tor-1", ASN: 64512, PeerASN: 64513,
		Address: netip.MustParseAddr("192.0.2.1"), Interface: "eth1", Port: 179,
		Source: netip.MustParseAddr("192.0.2.11"), VRF: "red", RouterID: netip.MustParseAddr("192.0.2.11"),
		HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, ConnectTime: 10 * time.Second,
		Password: "first", GracefulRestart: true, MultiHop: true, Hops: 1, Passive: true,
		Families: []lb.Family{lb.IPv4, lb.IPv6}, ExtendedNextHop: true,
		NextHops: [2]netip.Addr{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")},
		BFD:      &BFD{Profile: "fast", Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 3, MinimumTTL: 254},
	}
}

// Every field of Peer has at least one row. One that is added without a decision on what its change takes fails.
func TestChangeOf(t *testing.T) {
	reset := func(why string) Change { return Change{Reset: why} }
	bridged := func(why string) Change { return Change{Reset: why, Bridged: true} }
	tests := []struct {
		field, name string
		edit        func(*Peer)
		want        Change
	}{
		{"Name", "another peer", func(p *Peer) { p.Name = "tor-2" }, reset("name changed")},
		{"ASN", "another AS number", func(p *Peer) { p.ASN = 64999 }, bridged("AS number changed")},
		{"PeerASN", "another AS number of the router", func(p *Peer) { p.PeerASN = 64999 }, bridged("router's AS number changed")},
		{"PeerASN", "any AS number of the router", func(p *Peer) { p.PeerASN = 0 }, bridged("router's AS number changed")},
		{"Address", "another router", func(p *Peer) { p.Address = netip.MustParseAddr("192.0.2.2") }, reset("address changed")},
		{"Interface", "another link", func(p *Peer) { p.Interface = "eth2" }, reset("interface changed")},
		{"Interface", "from a link to an address", func(p *Peer) { p.Interface = "" }, reset("interface changed")},
		{"Port", "another port", func(p *Peer) { p.Port = 1179 }, reset("port changed")},
		{"Source", "the router sees another neighbour", func(p *Peer) { p.Source = netip.MustParseAddr("192.0.2.12") }, reset("source address changed")},
		{"Source", "the kernel's choice", func(p *Peer) { p.Source = netip.Addr{} }, reset("source address changed")},
		{"VRF", "another network", func(p *Peer) { p.VRF = "" }, reset("VRF changed")},
		{"RouterID", "another router ID", func(p *Peer) { p.RouterID = netip.MustParseAddr("192.0.2.99") }, bridged("router ID changed")},
		{"HoldTime", "another hold time", func(p *Peer) { p.HoldTime = 9 * time.Second }, bridged("hold time changed")},
		{"HoldTime", "no hold time", func(p *Peer) { p.HoldTime = 0 }, bridged("hold time changed")},
		{"KeepaliveTime", "another keepalive time", func(p *Peer) { p.KeepaliveTime = 0 }, bridged("keepalive time changed")},
		{"ConnectTime", "attempts alone follow the connect time", func(p *Peer) { p.ConnectTime = time.Second }, Change{Attempts: true}},
		{"Password", "another password", func(p *Peer) { p.Password = "second" }, bridged("password changed")},
		{"Password", "no password", func(p *Peer) { p.Password = "" }, bridged("password changed")},
		{"GracefulRestart", "it cannot bridge its own end", func(p *Peer) { p.GracefulRestart = false }, reset("graceful restart changed")},
		{"MultiHop", "another TTL", func(p *Peer) { p.MultiHop = false }, bridged("multi-hop changed")},
		{"Hops", "another limit of TTL", func(p *Peer) { p.Hops = 2 }, bridged("TTL security changed")},
		{"Passive", "a connection stays, whoever opened it", func(p *Peer) { p.Passive = false }, Change{Attempts: true}},
		{"Families", "one family less", func(p *Peer) { p.Families = []lb.Family{lb.IPv4} }, bridged("families changed")},
		{"ExtendedNextHop", "routes alone", func(p *Peer) { p.ExtendedNextHop = false }, Change{Routes: true}},
		{"NextHops", "routes alone", func(p *Peer) { p.NextHops[lb.IPv6] = netip.Addr{} }, Change{Routes: true}},
		{"BFD", "no BFD any more", func(p *Peer) { p.BFD = nil }, Change{BFD: true}},
		{"BFD", "another interval", func(p *Peer) { p.BFD = &BFD{Profile: "fast", Receive: time.Second, Multiplier: 3} }, Change{BFD: true}},

		{"", "several at once", func(p *Peer) { p.HoldTime, p.Password, p.ConnectTime, p.BFD = 0, "", 0, nil },
			Change{Reset: "hold time, password changed", Bridged: true, Attempts: true, BFD: true}},
		{"", "one of several cannot be bridged", func(p *Peer) { p.HoldTime, p.Port = 0, 1179 }, reset("port, hold time changed")},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		covered[tt.field] = true
		t.Run(tt.field+": "+tt.name, func(t *testing.T) {
			before, after := router(), router()
			tt.edit(&after)
			if diff := cmp.Diff(tt.want, ChangeOf(before, after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, ChangeOf(after, before)); diff != "" {
				t.Errorf("the other way round (-want +got):\n%s", diff)
			}
			if before.Equal(after) || after.Equal(before) || !after.Equal(after) {
				t.Error("Equal does not see it")
			}
			before.GracefulRestart, after.GracefulRestart = false, false
			if tt.field != "GracefulRestart" && ChangeOf(before, after).Bridged {
				t.Error("bridged without graceful restart")
			}
		})
	}
	whole := reflect.ValueOf(router())
	for _, f := range reflect.VisibleFields(whole.Type()) {
		if !covered[f.Name] {
			t.Errorf("%s has no row", f.Name)
		}
		if whole.FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s is not set in the peer that the rows edit", f.Name)
		}
	}
}

// The profile's every field counts too.
func TestEqualBFD(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[BFD]()) {
		before, after := router(), router()
		v := reflect.ValueOf(after.BFD).Elem().FieldByIndex(f.Index)
		switch v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Uint8:
			v.SetUint(v.Uint() + 1)
		default:
			t.Fatalf("%s is of a kind that this test does not know", f.Name)
		}
		if got := ChangeOf(before, after); got != (Change{BFD: true}) {
			t.Errorf("%s: %+v", f.Name, got)
		}
	}
}

func TestEqualPeersNeedNothing(t *testing.T) {
	a, b := router(), router()
	if got := ChangeOf(a, b); got != (Change{}) || !a.Equal(b) {
		t.Errorf("equal peers, made separately: %+v", got)
	}
	a.Families, b.Families = nil, []lb.Family{}
	if !a.Equal(b) {
		t.Error("no families and an empty list of them differ")
	}
	if !slices.Equal(router().Families, []lb.Family{lb.IPv4, lb.IPv6}) || !(Peer{}).Equal(Peer{}) {
		t.Error("zero peers differ")
	}
}
