package layer2

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/vishvananda/netlink"
)

var arpType, ipv6Type = int(ethernet.EtherTypeARP), int(ethernet.EtherTypeIPv6)

// sightings collects what a responder tells.
type sightings struct {
	mu  sync.Mutex
	all []Sighting
}

func (s *sightings) add(x Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, x)
}

// of returns how many of a kind there are about an address, and the last.
func (s *sightings) of(kind SightingKind, address netip.Addr) (n int, last Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if x.Kind == kind && x.Address == address {
			n, last = n+1, x
		}
	}
	return n, last
}

func (m *Metrics) count(protocol string, v Verdict) float64 {
	return testutil.ToFloat64(m.frames.WithLabelValues(protocol, string(v)))
}

func settled(t *testing.T, what string, got func() float64, want float64) {
	t.Helper()
	until(t, what, func() bool { return got() >= want })
	if n := got(); n != want {
		t.Errorf("%s: %v, want %v", what, n, want)
	}
}

// A stand-in's answer leads clients to the owner, and the owner's own, later, to itself.
func TestStandIn(t *testing.T) {
	a := plug(t, "a3", 2)
	r, m := newTestResponder(t)
	r.SetLinks(carriers(t, "a3"))
	far := must(a.far.LinkByName("far"))
	for _, vip := range []netip.Addr{netip.MustParseAddr("192.0.2.203"), netip.MustParseAddr("2001:db8:2::203")} {
		r.Own(vip, []string{"a3"}, ownerMAC)
		if got := a.resolve(vip); got != ownerMAC.String() {
			t.Errorf("%s is at %q, want the owner's %s", vip, got, ownerMAC)
		}
		// Its announcement mends what a client has wrong.
		check(t, a.far.NeighSet(&netlink.Neigh{LinkIndex: far.Attrs().Index, IP: vip.AsSlice(),
			State: netlink.NUD_REACHABLE, HardwareAddr: theirMAC}))
		until(t, "the owner's hardware address", func() bool {
			r.Announce(vip)
			n, ok := a.neighbor(vip)
			return ok && same(n.HardwareAddr, ownerMAC)
		})
		r.Own(vip, []string{"a3"}, nil)
		a.forget(vip)
		if got := a.resolve(vip); got != a.mac() {
			t.Errorf("%s is at %q, want %s", vip, got, a.mac())
		}
	}
	if n := m.count("arp", Contested) + m.count("ndp", Contested); n > 0 {
		t.Errorf("%v conflicts with itself", n)
	}
}

// Who may not speak any more neither answers nor announces, however late it finds out.
func TestLease(t *testing.T) {
	a := plug(t, "a4", 2)
	r, m := newTestResponder(t)
	r.SetLinks(carriers(t, "a4"))
	vip := netip.MustParseAddr("192.0.2.204")
	r.Own(vip, []string{"a4"}, nil)
	if got := a.resolve(vip); got != a.mac() {
		t.Fatalf("%s is at %q", vip, got)
	}
	a.forget(vip)
	r.Renew(time.Now().Add(-time.Millisecond))
	r.Announce(vip)
	if got := a.resolve(vip); got != "" || r.Holds() {
		t.Errorf("answered with %s after the lease was over", got)
	}
	if m.count("arp", Stale) == 0 || testutil.ToFloat64(m.announcements.WithLabelValues("arp")) != 0 {
		t.Error("not counted as stale, or announced")
	}
	a.forget(vip)
	r.Renew(time.Now().Add(time.Minute))
	if got := a.resolve(vip); got != a.mac() {
		t.Errorf("%s is at %q after the lease was renewed", vip, got)
	}
	silent := NewResponder(r.log, r.metrics)
	if silent.Holds() {
		t.Error("a responder that was never told may speak")
	}
}

// What this node does not answer for ends in the kernel: other addresses, other hosts' frames, other VLANs.
func TestFilterInTheKernel(t *testing.T) {
	a := plug(t, "a5", 2)
	r, m := newTestResponder(t)
	r.SetLinks(carriers(t, "a5"))
	near := must(netlink.LinkByName("a5"))
	check(t, netlink.SetPromiscOn(near))
	var vips []netip.Addr
	for i := range uint32(1000) {
		vips = append(vips, address4(0xc612_0000+i+i/8), address6(0x1000_0000+3*i))
	}
	began := time.Now()
	for _, vip := range vips {
		r.Own(vip, []string{"a5"}, nil)
	}
	owning := time.Since(began)
	arpFar, l := a.raw(arpType)
	ndpFar, _ := a.raw(ipv6Type)
	request := func(target netip.Addr) []byte {
		return arpFrame(arp.OperationRequest, l.HardwareAddr, their4, zeroMAC, target, ethernet.Broadcast)
	}
	for i := range uint32(125) { // the gaps between them
		check(t, arpFar.send(request(address4(0xc612_0008+9*i))))
	}
	ours := request(vips[0])
	check(t, arpFar.send(edit(ours, 0, theirMAC...)))
	check(t, arpFar.send(append(append(ours[:12:12], 0x81, 0, 0, 5), ours[12:]...))) // VLAN 5, for which there is no interface
	check(t, ndpFar.send(edit(solicitation(their6, group6, address6(0x2000_0000), nil), 0, near.Attrs().HardwareAddr...)))
	if n := m.count("arp", Answered) + m.count("ndp", Answered); n > 0 {
		t.Fatalf("%v answers", n)
	}
	began = time.Now()
	until(t, "the last addresses' answers", func() bool {
		check(t, arpFar.send(request(vips[1998])))
		check(t, ndpFar.send(edit(solicitation(their6, group6, vips[1999], nil), 0, near.Attrs().HardwareAddr...)))
		return m.count("arp", Answered) > 0 && m.count("ndp", Answered) > 0
	})
	t.Logf("%d addresses owned in %s, the last answered %s later", len(vips), owning, time.Since(began))
	for _, protocol := range []string{"arp", "ndp"} {
		for _, v := range []Verdict{NotOurs, Ignored, Malformed, Contested, Stale} {
			if n := m.count(protocol, v); n > 0 {
				t.Errorf("%v %s frames were %s: the filter let them in", n, protocol, v)
			}
		}
	}
	// no longer owned, no longer let in
	for _, vip := range vips[:1998] {
		r.Disown(vip)
	}
	last := address4(0xc613_0000)
	r.Own(last, []string{"a5"}, nil)
	answered := func() bool {
		before := m.count("arp", Answered)
		check(t, arpFar.send(request(last)))
		time.Sleep(time.Millisecond)
		return m.count("arp", Answered) > before
	}
	until(t, "the answer that shows the new filter", answered)
	check(t, arpFar.send(ours))
	until(t, "one more answer", answered)
	if n := m.count("arp", NotOurs); n > 0 {
		t.Errorf("%v requests for what was disowned were let in", n)
	}
}

// An address is answered soon after it is owned, also as the first of an interface.
func TestOwnedIsAnsweredSoon(t *testing.T) {
	a := plug(t, "a6", 2)
	r, _ := newTestResponder(t)
	r.SetLinks(carriers(t, "a6"))
	far, l := a.raw(arpType)
	var took []time.Duration
	buffer := make([]byte, 2048)
	for i := range uint32(50) {
		vip := address4(0xc612_0000 + 2*i)
		began := time.Now()
		r.Own(vip, []string{"a6"}, nil)
		for answered := false; !answered; {
			if time.Since(began) > 5*time.Second {
				t.Fatalf("%s is not answered", vip)
			}
			check(t, far.send(arpFrame(arp.OperationRequest, l.HardwareAddr, their4, zeroMAC, vip, ethernet.Broadcast)))
			check(t, far.conn.SetReadDeadline(time.Now().Add(200*time.Microsecond)))
			for {
				n, err := far.read(buffer)
				if err != nil {
					break
				}
				p, ok := readARP(buffer[:n])
				answered = answered || (ok && p.sender == vip)
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("answered after %s, at worst %s", took[len(took)/2], took[len(took)-1])
}

// Another host that uses an address is told of at once, then seldom; one that asks first is sent away.
func TestRivals(t *testing.T) {
	a := plug(t, "a7", 2)
	r, m := newTestResponder(t)
	var seen sightings
	r.Sighted = seen.add
	r.SetLinks(carriers(t, "a7"))
	vip := map[int]netip.Addr{arpType: vip4, ipv6Type: vip6}
	for etherType, vip := range vip {
		r.Own(vip, []string{"a7"}, nil)
		far, l := a.raw(etherType)
		// until the first is answered, so that the filter is in place
		probe := must(addressProbe(l, vip, nil))
		until(t, "the first probe's sighting", func() bool {
			check(t, far.send(probe))
			n, s := seen.of(Wanted, vip)
			return n > 0 && same(s.HardwareAddr, l.HardwareAddr) && s.Interface == "a7"
		})
		announcement := announceARP(vip, link{hardwareAddr: l.HardwareAddr}, l.HardwareAddr)[0]
		protocol := "arp"
		if vip.Is6() {
			protocol = "ndp"
			announcement = announceNDP(vip, link{hardwareAddr: l.HardwareAddr}, l.HardwareAddr)[0]
		}
		for range 10 {
			check(t, far.send(announcement))
		}
		settled(t, "announcements", func() float64 { return m.count(protocol, Contested) }, 10)
		if n, s := seen.of(Conflict, vip); n != 1 || !same(s.HardwareAddr, l.HardwareAddr) {
			t.Errorf("%d sightings, the last %+v", n, s)
		}
	}
}

func TestRivalsAreToldOfSeldom(t *testing.T) {
	var r rivals
	now := time.Now()
	see := func(after time.Duration, address netip.Addr, mac net.HardwareAddr, kind SightingKind) bool {
		return r.news(Sighting{At: now.Add(after), Address: address, HardwareAddr: mac, Kind: kind})
	}
	for _, s := range []struct {
		name    string
		after   time.Duration
		address netip.Addr
		mac     net.HardwareAddr
		kind    SightingKind
		want    bool
	}{
		{"the first", 0, vip4, theirMAC, Conflict, true},
		{"the same", 0, vip4, theirMAC, Conflict, false},
		{"another address", 0, vip6, theirMAC, Conflict, true},
		{"another host", 0, vip4, ownerMAC, Conflict, true},
		{"another kind", 0, vip4, theirMAC, Wanted, true},
		{"the same just before its time", sightingPause - 1, vip4, theirMAC, Conflict, false},
		{"the same in time", sightingPause, vip4, theirMAC, Conflict, true},
		{"and again", sightingPause, vip4, theirMAC, Conflict, false},
	} {
		if got := see(s.after, s.address, s.mac, s.kind); got != s.want {
			t.Errorf("%s: %v", s.name, got)
		}
	}
	told := 0
	for i := range 10000 {
		if see(time.Hour, vip4, net.HardwareAddr{2, 1, 0, 0, byte(i >> 8), byte(i)}, Conflict) {
			told++
		}
	}
	if told != maxRivals || len(r.told) != maxRivals || !see(2*time.Hour, vip4, theirMAC, Conflict) {
		t.Errorf("%d forged rivals are told of, %d kept", told, len(r.told))
	}
}

// Linux asks by unicast whether an entry is still right, and is told.
func TestUnreachabilityDetection(t *testing.T) {
	a := plug(t, "a8", 2)
	r, _ := newTestResponder(t)
	r.SetLinks(carriers(t, "a8"))
	a.inside(func() error {
		for _, family := range []string{"ipv4", "ipv6"} {
			for name, value := range map[string]string{"base_reachable_time_ms": "200", "delay_first_probe_time": "0"} {
				if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/far/"+name, []byte(value), 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
	updates, done := make(chan netlink.NeighUpdate, 100), make(chan struct{})
	defer close(done)
	check(t, netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{Namespace: &a.client}))
	for _, vip := range []netip.Addr{netip.MustParseAddr("192.0.2.208"), netip.MustParseAddr("2001:db8:2::208")} {
		r.Own(vip, []string{"a8"}, nil)
		a.resolve(vip)
		state := func() int { n, _ := a.neighbor(vip); return n.State }
		for range 2 {
			until(t, "a stale entry", func() bool { return state() == netlink.NUD_STALE })
			a.poke(vip)
			until(t, "its confirmation", func() bool { return state() == netlink.NUD_REACHABLE })
		}
		probed := false
		for probing := false; ; {
			select {
			case u := <-updates:
				if address, _ := netip.AddrFromSlice(u.IP); address.Unmap() == vip {
					probed = probed || (probing && u.State == netlink.NUD_REACHABLE)
					probing = u.State == netlink.NUD_PROBE
					if u.State == netlink.NUD_FAILED {
						t.Errorf("%s failed", vip)
					}
				}
				continue
			case <-time.After(20 * time.Millisecond):
			}
			break
		}
		if !probed {
			t.Errorf("%s never went from PROBE to REACHABLE", vip)
		}
	}
}
