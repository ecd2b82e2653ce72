package bgp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// restarting is a router that keeps routes while a peer restarts.
func restarting(r *testRouter) *testRouter {
	r.capabilities = append(r.capabilities, bgp.NewCapGracefulRestart(false, false, 120,
		[]*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}))
	return r
}

func (c *connection) restart() (flags uint8, forwarding []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.open.OptParams {
		for _, capability := range o.(*bgp.OptionParameterCapability).Capability {
			if gr, ok := capability.(*bgp.CapGracefulRestart); ok {
				for _, t := range gr.Tuples {
					forwarding = append(forwarding, t.Flags&0x80 != 0)
				}
				return gr.Flags, forwarding
			}
		}
	}
	return 0, nil
}

func TestGracefulRestart(t *testing.T) {
	r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart = true
	for range 2 {
		s := newSpeaker(t)
		s.advertise("198.51.100.1", Attributes{})
		s.SetPeer(p)
		c := r.next()
		start := time.Now()
		c.says("end of IPv4")
		if took := time.Since(start); took > time.Second {
			t.Errorf("the routes came after %v", took)
		}
		c.routes("198.51.100.1/32 via 192.0.2.1 {AsPath: 64512}")
		if flags, forwarding := c.restart(); flags&0x08 == 0 || !slices.Equal(forwarding, []bool{true}) {
			t.Errorf("the Restart State is in flags %x, the Forwarding State is %v", flags, forwarding)
		}
		if st := s.established("tor"); !st.GracefulRestart {
			t.Errorf("the status is %+v", st)
		}
		s.stop()
		c.says("closed")
		if slices.ContainsFunc(c.tape, func(s string) bool { return strings.HasPrefix(s, "notification") }) {
			t.Errorf("the speaker left with words: %q", c.tape)
		}
	}
}

func TestAnEditResetsWithOrWithoutCease(t *testing.T) {
	const forwarding = "closed"
	tests := map[string]struct {
		edit func(*Peer)
		last string
	}{
		"the hold time":        {func(p *Peer) { p.HoldTime = 30 * time.Second }, forwarding},
		"the source":           {func(p *Peer) { p.Source = netip.MustParseAddr("192.0.2.3") }, "notification Cease, Other Configuration Change"},
		"no graceful restart":  {func(p *Peer) { p.GracefulRestart = false }, "notification Cease, Other Configuration Change"},
		"the AS number":        {func(p *Peer) { p.ASN = 64999 }, forwarding},
		"the BGP Identifier":   {func(p *Peer) { p.RouterID = netip.MustParseAddr("192.0.2.77") }, forwarding},
		"the connection's TTL": {func(p *Peer) { p.MultiHop = true }, forwarding},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
			s := newSpeaker(t)
			s.advertise("198.51.100.1", Attributes{})
			p := peerAt("tor", "192.0.2.2", 64513)
			p.GracefulRestart = true
			s.SetPeer(p)
			c := r.next()
			s.established("tor")
			c.says("end of IPv4")
			test.edit(&p)
			s.SetPeer(p)
			c.says(test.last)
			c.says("closed")
			if test.last == forwarding && slices.ContainsFunc(c.tape, func(s string) bool { return strings.HasPrefix(s, "notification") }) {
				t.Errorf("the router heard %q", c.tape)
			}
			c = r.next()
			c.until("OPEN", func() bool { return c.open != nil })
			c.until("a route", func() bool { return len(c.rib) == 1 })
			if got := c.open.ID.String(); got != p.RouterID.String() {
				t.Errorf("the BGP Identifier is %s", got)
			}
			s.until("tor", "two sessions", func(st SessionStatus) bool { return st.Established == 2 })
		})
	}
}
