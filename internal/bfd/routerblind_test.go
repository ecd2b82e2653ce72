package bfd

import "testing"

// fromRouter is how the packets of the router come that watching watches.
var fromRouter = arrival{from: routerAddress, to: nodeAddress, direct: true, ttl: 255}

// watching watches one router, 3 x 100 ms.
func watching(t *testing.T) routerCore {
	t.Helper()
	c := newRouterCore(func() uint32 { return 1 }, func() float64 { return .5 })
	x := RouterTarget{Remote: routerAddress, Local: nodeAddress, Receive: 100 * ms, Transmit: 100 * ms, Multiplier: 3}
	if err := c.watch("router", x, start); err != nil {
		t.Fatal(err)
	}
	return c
}

// Who does not hear a session's packets does not know our discriminator. He must not be able to end it, in the router's
// name; what the router itself says of it does.
func TestRouterBlindForger(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    packet
		want State
		why  reason
	}{
		{"Down without our discriminator", packet{state: Down, my: 2}, Up, unknown},
		{"Down without it, of another session of the router's", packet{state: Down, my: 9}, Up, unknown},
		{"AdminDown without it", packet{state: AdminDown, my: 2}, Up, unknown},
		{"Down with a guess at it", packet{state: Down, my: 2, your: 77}, Up, unknown},
		{"Down with our discriminator", packet{state: Down, my: 2, your: 1}, Down, ""},
		{"AdminDown with our discriminator", packet{state: AdminDown, my: 2, your: 1}, Down, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := watching(t)
			say := func(p packet) reason {
				p.multiplier, p.desiredMinTx, p.requiredMinRx = 3, 100*ms, 100*ms
				why, _ := c.receive(fromRouter, p.appendTo(nil), start, start)
				return why
			}
			say(packet{state: Down, my: 2}) // as it begins: it knows nothing of us
			say(packet{state: Init, my: 2, your: 1})
			say(packet{state: Up, my: 2, your: 1})
			r := c.peers["router"]
			if r.session.state != Up {
				t.Fatalf("it is %s to begin with", r.session.state)
			}
			if why := say(tt.p); why != tt.why || r.session.state != tt.want || r.session.remote != 2 && tt.want == Up {
				t.Errorf("dropped as %q, it is %s with discriminator %d, want %q and %s", why, r.session.state, r.session.remote, tt.why, tt.want)
			}
		})
	}
}

// A router that has begun anew does not know our discriminator either. It is heard once it has missed two packets
// of before, and need not wait until it is lost.
func TestRouterBeginsAnew(t *testing.T) {
	c := watching(t)
	now := start
	say := func(p packet) {
		p.multiplier, p.desiredMinTx, p.requiredMinRx = 3, 100*ms, 100*ms
		_, _ = c.receive(fromRouter, p.appendTo(nil), now, now)
		c.advance(now, 0, 1)
	}
	say(packet{state: Down, my: 2})
	say(packet{state: Init, my: 2, your: 1})
	say(packet{state: Up, my: 2, your: 1})
	r := c.peers["router"]
	down := Up
	for now.Before(start.Add(second)) && down == Up {
		now = now.Add(50 * ms)
		say(packet{state: Down, my: 3})
		down = r.session.state
	}
	if took := now.Sub(start); down == Up || took > 250*ms || took < 200*ms {
		t.Fatalf("after %s it is %s", took, down)
	}
	say(packet{state: Down, my: 3})
	say(packet{state: Init, my: 3, your: 1})
	if r.session.state != Up || r.session.remote != 3 {
		t.Errorf("it is %s again, with discriminator %d", r.session.state, r.session.remote)
	}
}

// BIRD ends its BFD session when BGP's ends and begins another, at once: when we have just come up with the first, which
// answered Init and will never say Up. The other is to be heard, not awaited for two of the intervals of a second in which
// who is not Up sends: BGP would be there again by then, and be ended with it, and so on for ever.
func TestRouterBeginsAnewBeforeItIsUp(t *testing.T) {
	c := watching(t)
	say := func(p packet) {
		p.multiplier, p.desiredMinTx, p.requiredMinRx = 3, second, 100*ms
		if _, err := c.receive(fromRouter, p.appendTo(nil), start, start); err != nil {
			t.Error(err)
		}
		c.advance(start, 0, 1)
	}
	say(packet{state: Down, my: 2})
	say(packet{state: Init, my: 2, your: 1})
	r := c.peers["router"]
	if r.session.state != Up {
		t.Fatalf("it is %s to begin with", r.session.state)
	}
	say(packet{state: Down, my: 3})
	if r.session.state != Down || r.session.remote != 3 {
		t.Fatalf("it is %s with discriminator %d", r.session.state, r.session.remote)
	}
	say(packet{state: Init, my: 3, your: 1})
	if r.session.state != Up || r.session.remote != 3 {
		t.Errorf("it is %s again, with discriminator %d", r.session.state, r.session.remote)
	}
}
