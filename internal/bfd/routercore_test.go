package bfd

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// Which session a packet of a router is for.
func TestRouterDemultiplexing(t *testing.T) {
	var (
		router = netip.MustParseAddr("192.0.2.2")
		local  = netip.MustParseAddr("192.0.2.1")
		other  = netip.MustParseAddr("192.0.2.9")
		link   = netip.MustParseAddr("fe80::2")
	)
	keys := map[string]RouterTarget{
		"single-hop":          {Remote: router, Local: local},
		"any local address":   {Remote: router},
		"in a VRF":            {Remote: router, Local: local, Device: "red"},
		"multi-hop":           {Remote: router, Local: local, MultiHop: true},
		"mapped":              {Remote: netip.MustParseAddr("::ffff:192.0.2.3")},
		"link-local on eth0":  {Remote: link.WithZone("eth0")},
		"link-local on eth1":  {Remote: link, Device: "eth1"},
		"of the zone unknown": {Remote: link.WithZone("eth2")},
	}
	zones := map[string]int{"eth0": 1, "eth1": 2}
	n := uint32(0)
	c := newRouterCore(func() uint32 { n++; return n }, func() float64 { return 0 })
	for name, x := range keys {
		x.Receive, x.Transmit, x.Multiplier = second, second, 3
		if err := c.watch(name, x, start); err != nil {
			t.Fatal(err)
		}
		c.peers[name].zone = zones[c.peers[name].remote.Zone()]
	}
	default4, default6 := channel{}, channel{v6: true}
	for _, tt := range []struct {
		name, want string
		a          arrival
		your       string // the session whose discriminator it carries
	}{
		{"a first packet to the right address", "single-hop", arrival{default4, router, local, 1, true, 255}, ""},
		{"to another address", "any local address", arrival{default4, router, other, 1, true, 255}, ""},
		{"of a mapped address", "mapped", arrival{default4, netip.MustParseAddr("192.0.2.3"), local, 1, true, 255}, ""},
		{"of a stranger", "", arrival{default4, other, local, 1, true, 255}, ""},
		{"to the other port", "multi-hop", arrival{channel{multiHop: true}, router, local, 1, true, 255}, ""},
		{"from the VRF", "in a VRF", arrival{channel{device: "red"}, router, local, 5, false, 255}, ""},
		{"from the VRF to another address", "", arrival{channel{device: "red"}, router, other, 5, false, 255}, ""},
		{"from an interface that another session is bound to", "single-hop", arrival{channel{device: "eth5"}, router, local, 5, true, 255}, ""},
		{"link-local", "link-local on eth0", arrival{default6, link, link, 1, true, 255}, ""},
		{"the same on another interface", "link-local on eth1", arrival{channel{v6: true, device: "eth1"}, link, link, 2, true, 255}, ""},
		{"the same on a third", "", arrival{default6, link, link, 3, true, 255}, ""},
		{"with a discriminator", "any local address", arrival{default4, router, local, 1, true, 255}, "any local address"},
		{"with a discriminator, from elsewhere", "", arrival{default4, other, local, 1, true, 255}, "any local address"},
		{"with a discriminator, at the other port", "", arrival{channel{multiHop: true}, router, local, 1, true, 255}, "any local address"},
		{"with a discriminator of nobody", "", arrival{default4, router, local, 1, true, 255}, "nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			your := uint32(0)
			if r := c.peers[tt.your]; r != nil {
				your = r.session.local
			} else if tt.your != "" {
				your = 4711
			}
			got := ""
			if r := c.find(tt.a, your); r != nil {
				got = r.peers[0]
			}
			if got != tt.want {
				t.Errorf("is for %q", got)
			}
		})
	}
	for name := range keys {
		c.unwatch(name, start)
	}
	if len(c.remotes)+len(c.discriminators)+len(c.sorted)+len(c.routers)+len(c.peers)+len(c.farewells) > 0 || !c.next(start).IsZero() {
		t.Errorf("left is %+v", c)
	}
}

// FuzzRouterReceive: whatever comes, a packet that is dropped changes nothing, the core is never to be woken in
// the past, and what it sends is well-formed.
func FuzzRouterReceive(f *testing.F) {
	up := packet{state: Up, multiplier: 3, my: 2, your: 1, desiredMinTx: 100 * ms, requiredMinRx: 100 * ms}
	f.Add(up.appendTo(nil), byte(255), byte(10))
	up.demand, up.poll = true, true
	f.Add(append(up.appendTo(nil), up.appendTo(nil)...), byte(255), byte(200))
	down := packet{state: Down, multiplier: 255, my: 2, desiredMinTx: second}
	f.Add(down.appendTo(nil), byte(255), byte(0))
	keyed := somePacket()
	f.Add(keyed.appendTo(nil), byte(254), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, ttl, step byte) {
		c := newRouterCore(func() uint32 { return 1 }, func() float64 { return .5 })
		x := RouterTarget{Remote: routerAddress, Local: nodeAddress, Receive: 100 * ms, Transmit: 100 * ms, Multiplier: 3}
		if err := c.watch("router", x, start); err != nil {
			t.Fatal(err)
		}
		r, now := c.peers["router"], start
		a := arrival{from: routerAddress, to: nodeAddress, direct: true, ttl: 255}
		for _, s := range []State{Down, Init, Up} {
			p := packet{state: s, multiplier: 3, my: 2, your: 1, desiredMinTx: 100 * ms, requiredMinRx: 100 * ms}
			if _, err := c.receive(a, p.appendTo(nil), now, now); err != nil {
				t.Fatal(err)
			}
			c.advance(now, 0, 1)
		}
		if a.ttl = ttl; r.session.state != Up {
			t.Fatal("not up")
		}
		for len(b) > 0 {
			n := min(len(b), headerOctets)
			before := *r.session
			if why, err := c.receive(a, b[:n], now, now); err != nil && !same(before, *r.session) || (err == nil) != (why == "") || err == nil && ttl != 255 {
				t.Fatalf("% x: %q %v, from %+v to %+v", b[:n], why, err, before, *r.session)
			}
			b = b[n:]
			c.advance(now, 0, 1)
			if next := c.next(now); !next.After(now) {
				t.Fatalf("to be woken %s ago: %+v", now.Sub(next), *r.session)
			}
			now = now.Add(time.Duration(step) * ms)
			x.Receive, x.Transmit = time.Duration(10+int(step))*ms, time.Duration(300-int(step))*ms
			if step%3 == 0 {
				_ = c.watch("router", x, now)
			}
		}
		for i := range c.out {
			if _, err := decode(c.out[i].octets[:]); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// same compares all of two sessions but what makes discriminators.
func same(a, b session) bool {
	a.discriminator, b.discriminator = nil, nil
	return reflect.DeepEqual(a, b)
}
