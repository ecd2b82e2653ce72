package bgp

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// talk is a conversation at a time of its own.
type talk struct {
	*conversation
	t   *testing.T
	now time.Time
}

func newTalk(t *testing.T, edit func(*Peer)) *talk {
	p := peerAt("tor", "192.0.2.2", 64513)
	if edit != nil {
		edit(&p)
	}
	return &talk{newConversation(p), t, time.Unix(1_000_000, 0)}
}

// router passes a message of the router's, and checks what GoBGP gets and what the router gets, in types of messages.
func (k *talk) router(m message, toServer, toRouter string) pass {
	k.t.Helper()
	p := k.fromRouter(m, k.now)
	k.check(p, toServer, toRouter)
	return p
}

func (k *talk) server(m message, toRouter string) pass {
	k.t.Helper()
	p := k.fromServer(m)
	k.check(p, "", toRouter)
	return p
}

func (k *talk) check(p pass, toServer, toRouter string) {
	k.t.Helper()
	if a, b := types(p.toServer), types(p.toRouter); a != toServer || b != toRouter {
		k.t.Errorf("GoBGP gets %q, the router %q, instead of %q and %q", a, b, toServer, toRouter)
	}
}

func types(b message) string {
	var list []string
	for len(b) > 0 {
		n, err := measure(b)
		if err != nil {
			return err.Error()
		}
		list = append(list, kindNames[b.kind()])
		b = b[n:]
	}
	return strings.Join(list, " ")
}

var update = newMessage(kindUpdate, []byte{0, 4, 24, 198, 51, 100, 0, 0})

// establish has both greet.
func (k *talk) establish(capabilities ...bgp.ParameterCapabilityInterface) {
	k.t.Helper()
	k.server(openOf(k.t, 64512), "open")
	if p := k.router(openOf(k.t, 64513, capabilities...), "open", ""); !p.opened {
		k.t.Errorf("%+v", p)
	}
	k.server(keepaliveMessage, "keepalive")
	if p := k.fromRouter(keepaliveMessage, k.now); !p.established || k.state != Established {
		k.t.Errorf("%+v in %s", p, k.state)
	}
}

func TestUpdatesOfTheRouterStay(t *testing.T) {
	k := newTalk(t, nil)
	k.establish()
	k.router(update, "", "")
	k.now = k.now.Add(feedInterval)
	k.router(update, "keepalive", "") // stands in for it
	k.router(update, "", "")
	k.router(keepaliveMessage, "", "")
	k.now = k.now.Add(feedInterval)
	k.router(keepaliveMessage, "keepalive", "")
	k.server(update, "update")
	k.server(keepaliveMessage, "keepalive")
}

func TestGreetingsInAnyOrder(t *testing.T) {
	k := newTalk(t, nil)
	k.router(openOf(t, 64513), "open", "")
	if p := k.router(keepaliveMessage, "keepalive", ""); p.established {
		t.Error("established without GoBGP")
	}
	k.server(openOf(t, 64512), "open")
	if p := k.server(keepaliveMessage, "keepalive"); !p.established {
		t.Error("not established")
	}
}

func TestWhatComesTooEarlyOrTwiceEndsTheConversation(t *testing.T) {
	for name, test := range map[string]struct {
		before []message
		m      message
		want   string
	}{
		"KEEPALIVE before OPEN":   {nil, keepaliveMessage, "sent: Finite State Machine Error, Receive Unexpected Message in OpenSent State"},
		"UPDATE before OPEN":      {nil, update, "sent: Finite State Machine Error, Receive Unexpected Message in OpenSent State"},
		"UPDATE before KEEPALIVE": {[]message{openOf(t, 64513)}, update, "sent: Finite State Machine Error, Receive Unexpected Message in OpenConfirm State"},
		"OPEN twice":              {[]message{openOf(t, 64513)}, openOf(t, 64513), "sent: Finite State Machine Error, Receive Unexpected Message in OpenConfirm State"},
		"OPEN that is none":       {nil, newMessage(kindOpen, []byte{4, 0, 1, 0, 90, 192, 0, 2, 9, 9}), "sent: OPEN Message Error"},
		"NOTIFICATION":            {nil, notification{6, 5, nil}.message(), "received: Cease, Connection Rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTalk(t, nil)
			for _, m := range test.before {
				k.fromRouter(m, k.now)
			}
			if p := k.fromRouter(test.m, k.now); p.ended != test.want || len(p.toServer) > 0 {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestGoBGPNeverWaitsForTheEndOfTheRoutersRIB(t *testing.T) {
	gr := bgp.NewCapGracefulRestart(false, false, 120, []*bgp.CapGracefulRestartTuple{
		bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true), bgp.NewCapGracefulRestartTuple(bgp.RF_IPv6_UC, true)})
	ipv4, ipv6 := bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC)
	k := newTalk(t, func(p *Peer) { p.GracefulRestart, p.Families = true, []lb.Family{lb.IPv4, lb.IPv6} })
	k.router(openOf(t, 64513, ipv4, gr), "open", "")
	k.router(keepaliveMessage, "keepalive update", "") // of the one family that was agreed on
	k.server(endOfRIB(lb.IPv4), "update")
	k.server(endOfRIB(lb.IPv6), "")
	k = newTalk(t, func(p *Peer) { p.GracefulRestart, p.Families = true, []lb.Family{lb.IPv4, lb.IPv6} })
	k.router(openOf(t, 64513, ipv4, ipv6, gr), "open", "")
	k.router(keepaliveMessage, "keepalive update update", "")
	k = newTalk(t, nil)
	k.router(openOf(t, 64513, gr), "open", "")
	k.router(keepaliveMessage, "keepalive", "")
}

func TestRequestsForRoutesAreAnsweredAtAPace(t *testing.T) {
	refresh := newMessage(kindRefresh, []byte{0, afiIPv4, 0, safiUnicast})
	k := newTalk(t, nil)
	k.establish()
	k.router(refresh, "", "")
	if got := types(k.refreshes(k.now)); got != "route_refresh" || k.waiting() {
		t.Errorf("GoBGP gets %q", got)
	}
	k.router(refresh, "", "")
	if got := types(k.refreshes(k.now)); got != "" || !k.waiting() {
		t.Errorf("GoBGP gets %q", got)
	}
	k.now = k.now.Add(refreshInterval)
	if got := types(k.refreshes(k.now)); got != "route_refresh" || k.waiting() {
		t.Errorf("GoBGP gets %q", got)
	}
	for _, other := range []message{
		newMessage(kindRefresh, []byte{0, afiIPv6, 0, safiUnicast}), newMessage(kindRefresh, []byte{0, afiIPv4, 1, safiUnicast}),
		newMessage(kindRefresh, []byte{0, afiIPv4, 0, safiUnicast, 1, 128, 0, 0}), newMessage(kindRefresh, []byte{0, 25, 0, 70}),
	} {
		if k.router(other, "keepalive", ""); k.waiting() {
			t.Errorf("% x is waited for", other)
		}
		k.now = k.now.Add(feedInterval)
	}
}

func TestWithoutAHoldTimeThereAreNoKeepalives(t *testing.T) {
	k := newTalk(t, func(p *Peer) { p.HoldTime = 0 })
	if p := k.server(openOf(t, 64512), "open"); p.toRouter[22] != 0 || p.toRouter[23] != 0 {
		t.Errorf("the router is offered % x", p.toRouter[22:24])
	}
	if p := k.router(openOf(t, 64513), "open", ""); k.holdTime != 0 || p.toServer[23] != 90 {
		t.Errorf("the hold time is %v, GoBGP's % x", k.holdTime, p.toServer[22:24])
	}
	k.server(keepaliveMessage, "keepalive") // this one is part of opening
	k.router(keepaliveMessage, "keepalive", "")
	k.server(keepaliveMessage, "")
}

// Whatever comes, in whatever order: nothing panics, GoBGP gets nothing but what it is meant to, and no UPDATE.
func FuzzConversation(f *testing.F) {
	f.Add(uint64(1), []byte{1, 4, 2, 5})
	opens := []message{openOf(f, 64513), openOf(f, 64512, bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC))}
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		random := rand.New(rand.NewPCG(seed, 0))
		k := newTalk(t, func(p *Peer) { p.GracefulRestart = seed%2 == 0 })
		for _, s := range script {
			m := newMessage(kind(s%5)+1, make([]byte, 4+random.IntN(20)))
			if m.kind() == kindOpen {
				m = opens[random.IntN(len(opens))]
			}
			if _, err := measure(m); err != nil {
				continue
			}
			k.now = k.now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			var p pass
			if s >= 128 {
				p = k.fromServer(m)
			} else {
				p = k.fromRouter(m, k.now)
			}
			if p.ended != "" {
				return
			}
			for b := message(p.toServer); len(b) > 0; {
				n, err := measure(b)
				if err != nil {
					t.Fatal(err)
				}
				if m := b[:n]; m.kind() == kindUpdate {
					if f, ok := isEndOfRIB(m); !ok || !slices.Contains(k.families, f) {
						t.Fatalf("GoBGP gets % x", m)
					}
				}
				b = b[n:]
			}
		}
	})
}

func TestPauses(t *testing.T) {
	for _, test := range []struct {
		failures int
		most     time.Duration
		jitter   float64
		want     time.Duration
	}{
		{0, 10 * time.Second, 1, 0}, {1, 10 * time.Second, 0, time.Second}, {2, 10 * time.Second, 0, 2 * time.Second},
		{4, 10 * time.Second, 0, 8 * time.Second}, {5, 10 * time.Second, 0, 10 * time.Second},
		{1000, 10 * time.Second, 1, 7500 * time.Millisecond}, {1, 500 * time.Millisecond, 0, 500 * time.Millisecond}, {9, 0, 0, 10 * time.Second},
	} {
		if got := pauseAfter(test.failures, test.most, test.jitter); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
