package layer2

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
)

func testLink(prefixes ...string) Link {
	l := Link{Interface: lb.Interface{Name: "eth0", HardwareAddr: ourMAC}, Index: 1}
	for _, p := range prefixes {
		l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func TestProbe(t *testing.T) {
	withLinkLocal := testLink("2001:db8:9::1/64")
	withLinkLocal.LinkLocal = netip.MustParseAddr("fe80::1")
	tests := []struct {
		name   string
		link   Link
		target string
		source string // the sender protocol address, or the packet's source
		to     string // IPv6 destination
	}{
		{name: "asks with the address in the target's subnet", link: testLink("198.51.100.1/24", "192.0.2.1/24", "192.0.2.2/24"), target: "192.0.2.101", source: "192.0.2.1"},
		{name: "without one, with none", link: testLink("198.51.100.1/24"), target: "192.0.2.101", source: "0.0.0.0"},
		{name: "IPv6: asks with the address in the target's subnet", link: testLink("192.0.2.1/24", "2001:db8::1/64"), target: "2001:db8::101", source: "2001:db8::1", to: "2001:db8::101"},
		{name: "without one, with the link-local", link: withLinkLocal, target: "2001:db8::101", source: "fe80::1", to: "2001:db8::101"},
		{name: "a link-local target too", link: withLinkLocal, target: "fe80::2", source: "fe80::1", to: "fe80::2"},
		{name: "without any, with none, of the group", link: testLink(), target: "2001:db8::101", source: "::", to: "ff02::1:ff00:101"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := netip.MustParseAddr(tt.target)
			frame, err := probe(tt.link, Target{"eth0", theirMAC, target})
			check(t, err)
			if !same(frame[:6], theirMAC) || !same(frame[6:12], ourMAC) {
				t.Errorf("from %x to %x", frame[6:12], frame[:6])
			}
			if target.Is4() {
				if _, p := packetOf(t, frame); p.SenderIP.String() != tt.source || p.TargetIP != target || p.Operation != arp.OperationRequest {
					t.Errorf("%+v", p)
				}
				return
			}
			p, ok := readNDP(frame)
			if !ok || p.source.String() != tt.source || p.destination.String() != tt.to || p.target != target || !same(p.hardwareAddr, ourMAC) {
				t.Errorf("%+v %v", p, ok)
			}
		})
	}
	for _, bad := range []Target{
		{"eth0", theirMAC, netip.Addr{}}, {"eth0", nil, their4}, {"eth0", ethernet.Broadcast, their4}, {"eth0", theirMAC, allNodes}, {"eth0", zeroMAC, their6},
	} {
		if frame, err := probe(testLink(), bad); err == nil {
			t.Errorf("%v is probed with %x", bad, frame)
		}
	}
}

func TestObserve(t *testing.T) {
	bare := &ndp.NeighborSolicitation{TargetAddress: vip6}
	tests := []struct {
		name            string
		frame           []byte
		address, wanted string // what the sender has, and wants: "" if nothing is observed
	}{
		{"a request", arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast), "192.0.2.101", ""},
		{"a reply", arpFrame(arp.OperationReply, theirMAC, their4, ourMAC, vip4, ourMAC), "192.0.2.101", ""},
		{"a probe", arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ethernet.Broadcast), "0.0.0.0", "192.0.2.200"},
		{"a speaker's question", arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ourMAC), "0.0.0.0", ""},
		{"a solicitation", solicitation(their6, group6, vip6, nil), "2001:db8::101", ""},
		{"an advertisement", solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6}), "2001:db8::200", ""},
		{"an advertisement to us", edit(solicitation(their6, allNodes, vip6, &ndp.NeighborAdvertisement{TargetAddress: vip6}), 0, ourMAC...), "2001:db8::200", ""},
		{"an announcement as a reply", arpFrame(arp.OperationReply, theirMAC, vip4, theirMAC, vip4, ethernet.Broadcast), "192.0.2.200", ""},
		{"another speaker's question of our kernel", arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ourMAC), "192.0.2.101", ""},
		{"duplicate address detection", solicitation(unset6, group6, vip6, bare), "::", "2001:db8::200"},
		{"a speaker's solicitation", edit(solicitation(unset6, group6, vip6, bare), 0, ourMAC...), "::", ""},
		{"our own request", arpFrame(arp.OperationRequest, ourMAC, their4, zeroMAC, vip4, ethernet.Broadcast), "", ""},
		{"that of this node's other interface", arpFrame(arp.OperationRequest, secondMAC, their4, zeroMAC, vip4, ethernet.Broadcast), "", ""},
		{"our own solicitation", edit(solicitation(unset6, group6, vip6, bare), 6, ourMAC...), "", ""},
		{"a sender of zeros", arpFrame(arp.OperationRequest, zeroMAC, their4, zeroMAC, vip4, ethernet.Broadcast), "", ""},
		{"an operation of which nothing is known", arpFrame(9, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			observe := observeARP
			if tt.frame[12] == 0x86 {
				observe = observeNDP
			}
			o, ok := observe(tt.frame, ourLink)
			if !ok {
				if tt.address != "" {
					t.Error("not observed")
				}
				return
			}
			if want := tt.name == "a reply" || tt.name == "an advertisement to us"; o.answer != want {
				t.Errorf("an answer to us: %v", o.answer)
			}
			wanted := ""
			if o.wanted.IsValid() {
				wanted = o.wanted.String()
			}
			if o.address.String() != tt.address || wanted != tt.wanted || !same(o.hardwareAddr, theirMAC) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// A kernel answers a probe by itself, whatever there is to ask with.
func TestProbeRealKernel(t *testing.T) {
	a := plug(t, "a9", 2)
	far := must(a.far.LinkByName("far"))
	for _, address := range []string{"198.51.100.7/24", "2001:db8:51::7/64", "fe80::7/64"} {
		parsed := must(netlink.ParseAddr(address))
		parsed.Flags = syscall.IFA_F_NODAD
		check(t, a.far.AddrAdd(far, parsed))
	}
	r, _ := newTestResponder(t)
	seen := make(chan Sighting, 1000)
	r.Sighted = func(s Sighting) {
		select {
		case seen <- s:
		default:
		}
	}
	var links []Link
	until(t, "a link-local address", func() bool {
		links = carriers(t, "a9")
		return links[0].LinkLocal.IsValid()
	})
	// await returns how long it took until the client was seen at an address.
	await := func(address netip.Addr) time.Duration {
		t.Helper()
		began := time.Now()
		check(t, r.Probe(Target{"a9", far.Attrs().HardwareAddr, address}))
		for {
			select {
			case s := <-seen:
				if s.At.After(began) && s.Address == address && s.Kind == Answer && same(s.HardwareAddr, far.Attrs().HardwareAddr) && s.Interface == "a9" {
					return time.Since(began)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%s does not answer", address)
				return 0
			}
		}
	}
	all := []string{"192.0.2.2", "198.51.100.7", "2001:db8:2::2", "2001:db8:51::7", "fe80::7"}
	if err := r.Probe(Target{"a9", far.Attrs().HardwareAddr, netip.MustParseAddr(all[0])}); err == nil {
		t.Error("probed on an interface that it has not been told of")
	}
	bare := links[0]
	bare.Prefixes, bare.LinkLocal = nil, netip.Addr{}
	for _, links := range [][]Link{links, {bare}} {
		r.SetLinks(links)
		for _, address := range all {
			await(netip.MustParseAddr(address))
		}
	}
	r.SetLinks(links)
	var took []time.Duration
	for i := range 200 {
		time.Sleep(time.Millisecond) // what else the client has to say is over
		took = append(took, await(netip.MustParseAddr(all[i%len(all)])))
	}
	slices.Sort(took)
	t.Logf("seen after %s, at worst %s", took[len(took)/2], took[len(took)-1])

	// what is not used any more is closed
	p := r.probers
	p.mu.Lock()
	for _, x := range p.open {
		x.last = time.Now().Add(-proberIdle)
	}
	idle := slices.Collect(func(yield func(*prober) bool) {
		for _, x := range p.open {
			if !yield(x) {
				return
			}
		}
	})
	p.mu.Unlock()
	for _, x := range idle {
		p.closeIdle(x)
	}
	if len(p.open) > 0 || len(idle) != 2 {
		t.Errorf("%d probers, %d still open", len(idle), len(p.open))
	}
	await(netip.MustParseAddr(all[0]))
	// an interface that is gone
	r.SetLinks(nil)
	if err := r.Probe(Target{"a9", far.Attrs().HardwareAddr, netip.MustParseAddr(all[0])}); err == nil {
		t.Error("probed on an interface that is gone")
	}
}

// Detect finds who has an address, and who asks for it at the same time.
func TestDetect(t *testing.T) {
	a := plug(t, "a10", 2)
	r, _ := newTestResponder(t)
	r.SetLinks(carriers(t, "a10"))
	arpFar, l := a.raw(arpType)
	ndpFar, _ := a.raw(ipv6Type)
	type result struct {
		address  string
		conflict *Sighting
		took     time.Duration
	}
	results := make(chan result, 100)
	detect := func(address string, interfaces ...string) {
		began := time.Now()
		r.Detect(netip.MustParseAddr(address), interfaces, false, func(s *Sighting) { results <- result{address, s, time.Since(began)} })
	}
	want := map[string]bool{ // whether it is another's
		"192.0.2.2": true, "2001:db8:2::2": true, // the client's own
		"192.0.2.77": true, "2001:db8:2::77": true, // asked for below
		"192.0.2.99": false, "2001:db8:2::99": false,
		"192.0.2.98": false, // nowhere to ask
	}
	for address := range want {
		if address == "192.0.2.98" {
			detect(address, "no-such-interface")
		} else {
			detect(address, "a10", "no-such-interface")
		}
	}
	detect("192.0.2.99", "a10") // twice at a time by this node: no conflict
	next := func() result {
		for { // whoever asks too does so again and again
			select {
			case got := <-results:
				return got
			case <-time.After(50 * time.Millisecond):
				check(t, arpFar.send(must(addressProbe(l, netip.MustParseAddr("192.0.2.77"), nil))))
				check(t, ndpFar.send(must(addressProbe(l, netip.MustParseAddr("2001:db8:2::77"), nil))))
			}
		}
	}
	for range len(want) + 1 {
		got := next()
		if (got.conflict != nil) != want[got.address] {
			t.Errorf("%s: %+v", got.address, got.conflict)
		}
		if c := got.conflict; c != nil && (c.Kind != Conflict || !same(c.HardwareAddr, l.HardwareAddr) || c.Address.String() != got.address || c.Interface != "a10") {
			t.Errorf("%s: %+v", got.address, c)
		}
		if free := !want[got.address] && got.address != "192.0.2.98"; free != (got.took >= detectProbes*detectPause) {
			t.Errorf("%s: took %s", got.address, got.took)
		}
	}
	// its end is told also when there is no more time, and when there was none to begin with
	detect("192.0.2.99", "a10")
	r.Close()
	detect("192.0.2.99", "a10")
	for range 2 {
		if got := <-results; got.conflict != nil {
			t.Errorf("closed: %+v", got.conflict)
		}
	}
	if len(results) > 0 {
		t.Error("told twice")
	}
}
