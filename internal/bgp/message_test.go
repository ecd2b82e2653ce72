package bgp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func TestNotificationsInWords(t *testing.T) {
	for _, test := range []struct {
		n    notification
		want string
	}{
		{notification{2, 2, nil}, "OPEN Message Error, Bad Peer AS"},
		{notification{4, 0, nil}, "Hold Timer Expired"},
		{notification{5, 3, nil}, "Finite State Machine Error, Receive Unexpected Message in Established State"},
		{notification{6, 2, []byte("\x0bmaintenance")}, `Cease, Administrative Shutdown: "maintenance"`},
		{notification{6, 4, []byte("\x05\x1b[31m")}, `Cease, Administrative Reset: "\x1b[31m"`},
		{notification{6, 2, []byte("\xffshort")}, "Cease, Administrative Shutdown"},
		{notification{6, 2, []byte("\x02\xff\xfe")}, "Cease, Administrative Shutdown"},
		{notification{6, 9, []byte("\x06\x02\x03now")}, `Cease, Hard Reset (Cease, Administrative Shutdown: "now")`},
		{notification{6, 9, []byte("\x06\x09\x06\x09")}, "Cease, Hard Reset"},
		{notification{6, 10, nil}, "Cease, BFD Down"},
		{notification{3, 77, nil}, "UPDATE Message Error, subcode 77"},
		{notification{99, 1, nil}, "error 99/1"},
		{notification{}, "error 0/0"},
		{notification{8, 0, nil}, "Send Hold Timer Expired"},
	} {
		if got := test.n.Error(); got != test.want {
			t.Errorf("%v is %q, not %q", test.n, got, test.want)
		}
	}
}

func TestEndOfRIB(t *testing.T) {
	for f, family := range map[lb.Family]bgp.RouteFamily{lb.IPv4: bgp.RF_IPv4_UC, lb.IPv6: bgp.RF_IPv6_UC} {
		theirs, err := bgp.NewEndOfRib(family).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if ours := endOfRIB(f); !slices.Equal(ours, theirs) {
			t.Errorf("%v's is % x, GoBGP's % x", f, ours, theirs)
		}
		if got, ok := isEndOfRIB(theirs); !ok || got != f {
			t.Errorf("% x is taken for %v, %v", theirs, got, ok)
		}
	}
	if _, ok := isEndOfRIB(newMessage(kindUpdate, []byte{0, 0, 0, 6, 0x80, 15, 3, 0, 1, 128})); ok {
		t.Error("a VPN's is taken for ours")
	}
}

// openOf is an OPEN as GoBGP writes it.
func openOf(t testing.TB, asn uint16, capabilities ...bgp.ParameterCapabilityInterface) []byte {
	t.Helper()
	b, err := bgp.NewBGPOpenMessage(asn, 90, "192.0.2.9", []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(capabilities)}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpen(t *testing.T) {
	ipv4, ipv6 := bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC)
	id := netip.MustParseAddr("192.0.2.9")
	tests := map[string]struct {
		message []byte
		want    open
	}{
		"nothing but the header means IPv4": {
			openOf(t, 64513), open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv4}},
		},
		"families come in any order, and twice": {
			openOf(t, 64513, ipv6, ipv4, ipv6),
			open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv4, lb.IPv6}},
		},
		"a router of VPNs alone has no family": {
			openOf(t, 64513, bgp.NewCapMultiProtocol(bgp.RF_IPv4_VPN)), open{version: 4, asn: 64513, holdTime: 90, id: id},
		},
		"a large AS number": {
			openOf(t, asTrans, ipv4, bgp.NewCapFourOctetASNumber(4200000000)),
			open{version: 4, asn: 4200000000, fourOctets: true, holdTime: 90, id: id, families: []lb.Family{lb.IPv4}},
		},
		"graceful restart for one family, and what is none of ours": {
			openOf(t, 64513, ipv4, bgp.NewCapFQDN("router", "example"), bgp.NewCapGracefulRestart(true, true, 120, []*bgp.CapGracefulRestartTuple{
				bgp.NewCapGracefulRestartTuple(bgp.RF_EVPN, true), bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true),
			})),
			open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv4}, restart: true, restartFamilies: []lb.Family{lb.IPv4}},
		},
		"graceful restart as a helper": {
			openOf(t, 64513, ipv4, bgp.NewCapGracefulRestart(false, false, 0, nil)),
			open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv4}, restart: true},
		},
		"IPv6 next hops for IPv4": {
			openOf(t, 64513, ipv4, bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{
				bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_VPN, bgp.AFI_IP6), bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6),
			})),
			open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv4}, extendedNextHop: true},
		},
		"extended length": { // RFC 9072
			newMessage(kindOpen, []byte{4, 0xFC, 1, 0, 90, 192, 0, 2, 9, 255, 255, 0, 9, 2, 0, 6, 1, 4, 0, 2, 0, 1}),
			open{version: 4, asn: 64513, holdTime: 90, id: id, families: []lb.Family{lb.IPv6}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseOpen(message(test.message).body())
			if err != nil {
				t.Fatal(err)
			}
			again := got
			got.capabilities = nil
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(open{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			checkRewritten(t, again)
		})
	}
}

// checkRewritten checks that GoBGP gets an OPEN that it can read, and that says the same.
func checkRewritten(t testing.TB, o open) {
	t.Helper()
	rewritten := o.message(45)
	if _, err := bgp.ParseBGPMessage(rewritten); err != nil {
		t.Errorf("GoBGP cannot read % x: %v", rewritten, err)
	}
	got, err := parseOpen(rewritten.body())
	if err != nil {
		t.Fatal(err)
	}
	if got.asn != o.asn && o.asn <= 0xFFFF || got.holdTime != 45 || got.id != o.id || got.restart != o.restart ||
		!slices.Equal(got.restartFamilies, o.restartFamilies) {
		t.Errorf("%+v has become %+v", o, got)
	}
}

func TestMalformedOpens(t *testing.T) {
	for name, body := range map[string][]byte{
		"short":                                  {4, 0, 1},
		"another version":                        {3, 0, 1, 0, 90, 192, 0, 2, 9, 0},
		"more parameters than there are":         {4, 0, 1, 0, 90, 192, 0, 2, 9, 9},
		"less parameters than there are":         {4, 0, 1, 0, 90, 192, 0, 2, 9, 0, 1},
		"a parameter longer than all":            {4, 0, 1, 0, 90, 192, 0, 2, 9, 2, 2, 9},
		"a capability longer than its parameter": {4, 0, 1, 0, 90, 192, 0, 2, 9, 4, 2, 2, 1, 9},
		"half a capability":                      {4, 0, 1, 0, 90, 192, 0, 2, 9, 3, 2, 1, 1},
		"authentication":                         {4, 0, 1, 0, 90, 192, 0, 2, 9, 3, 1, 1, 1},
	} {
		if o, err := parseOpen(body); err == nil {
			t.Errorf("%s is %+v", name, o)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(message(openOf(f, 64513, bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC), bgp.NewCapFourOctetASNumber(4200000000),
		bgp.NewCapGracefulRestart(true, true, 120, []*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}))).body()))
	f.Add([]byte{4, 0xFC, 1, 0, 90, 192, 0, 2, 9, 255, 255, 0, 9, 2, 0, 6, 1, 4, 0, 2, 0, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		if o, err := parseOpen(body); err == nil {
			checkRewritten(t, o)
		} else if n := (notification{}); !errors.As(err, &n) || n.code != openError {
			t.Errorf("it is refused with %v", err)
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(slices.Concat(keepaliveMessage, endOfRIB(lb.IPv6), notification{6, 2, []byte("\x02hi")}.message(), newMessage(kindRefresh, []byte{0, 1, 0, 1}))))
	f.Add(openOf(f, 64513))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), bufferOctets)
		var read int
		for {
			has := hasMessage(r)
			m, err := readMessage(r)
			if n := (notification{}); errors.As(err, &n) {
				if n.code != headerError || n.Error() == "" {
					t.Errorf("refused with %v", n)
				}
				return
			} else if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF || has {
					t.Errorf("%v although there is a message: %v", err, has)
				}
				return
			}
			read += len(m)
			if read > len(b) || len(m) > maxLength || m.kind() == 0 || int(m.kind()) >= len(kindNames) {
				t.Fatalf("% x", m)
			}
			switch m.kind() {
			case kindUpdate:
				isEndOfRIB(m)
			case kindRefresh:
				refreshFamily(m)
			case kindNotification:
				_ = parseNotification(m.body()).Error()
			}
		}
	})
}
