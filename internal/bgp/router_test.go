package bgp

import (
	"bufio"
	"context"
	"encoding/binary"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

var discard = slog.New(slog.DiscardHandler)

// testRouter is a BGP router for tests: it keeps what it is told, as text, and what happens to it. It reads with GoBGP's
// decoder, which knows nothing of how this package writes.
type testRouter struct {
	t        testing.TB
	address  netip.Addr
	listener net.Listener
	asn      uint32
	holdTime uint16
	// capabilities besides the 4-octet AS number and route refresh.
	capabilities []bgp.ParameterCapabilityInterface
	serializing  sync.Mutex
	silent       bool // it keeps no routes, and counts only
	twoOctets    bool // it knows no 4-octet AS numbers
	connections  chan *connection
}

// connection is one that the router has or had.
type connection struct {
	net.Conn
	router *testRouter
	// reading is held while the router is to read nothing.
	reading sync.Mutex
	mu      sync.Mutex
	open    *bgp.BGPOpen
	rib     map[string]string
	tape    []string
	// updates counts UPDATEs but for End-of-RIB.
	updates int
	// routesSeen counts what a silent router was advertised.
	routesSeen int
	changed    chan struct{}
	closed     bool
}

func newRouter(t testing.TB, address string, asn uint32, families ...lb.Family) *testRouter {
	r := &testRouter{t: t, address: netip.MustParseAddr(address), asn: asn, holdTime: 90, connections: make(chan *connection, 100)}
	for _, f := range families {
		r.capabilities = append(r.capabilities, bgp.NewCapMultiProtocol(bgp.AfiSafiToRouteFamily(afiOf(f), safiUnicast)))
	}
	return r
}

// listen has the router wait for connections.
func (r *testRouter) listen(control ...func(*net.ListenConfig)) *testRouter {
	r.t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	for _, c := range control {
		c(&config)
	}
	l, err := config.Listen(context.Background(), "tcp", netip.AddrPortFrom(r.address, 179).String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.listener = l
	r.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.serve(conn)
		}
	}()
	return r
}

// serve has the router speak on a connection.
func (r *testRouter) serve(conn net.Conn) *connection {
	c := &connection{Conn: conn, router: r, rib: map[string]string{}, changed: make(chan struct{}, 1)}
	r.t.Cleanup(func() { conn.Close() })
	go c.speak()
	r.connections <- c
	return c
}

// next returns the connection that comes next.
func (r *testRouter) next() *connection {
	r.t.Helper()
	select {
	case c := <-r.connections:
		return c
	case <-time.After(tooLong):
		r.t.Fatal("no connection comes")
		return nil
	}
}

func (c *connection) send(m *bgp.BGPMessage) {
	c.router.serializing.Lock() // which writes to capabilities
	b, err := m.Serialize()
	c.router.serializing.Unlock()
	if err != nil {
		c.router.t.Error(err)
	}
	_, _ = c.Write(b)
}

// stall has the router read nothing any more.
func (c *connection) stall() {
	c.reading.Lock()
	c.router.t.Cleanup(c.reading.Unlock)
}

func (c *connection) sendOpen() {
	capabilities := append([]bgp.ParameterCapabilityInterface{bgp.NewCapRouteRefresh()}, c.router.capabilities...)
	if !c.router.twoOctets {
		capabilities = append(capabilities, bgp.NewCapFourOctetASNumber(c.router.asn))
	}
	as := uint16(asTrans)
	if c.router.asn < 1<<16 {
		as = uint16(c.router.asn)
	}
	c.send(bgp.NewBGPOpenMessage(as, c.router.holdTime, "192.0.2.200", []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(capabilities)}))
}

func (c *connection) note(text string, f func()) {
	c.mu.Lock()
	if text != "" {
		c.tape = append(c.tape, text)
	}
	if f != nil {
		f()
	}
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *connection) speak() {
	c.sendOpen()
	in := bufio.NewReaderSize(c, bufferOctets)
	for {
		m, err := readMessage(in)
		c.reading.Lock() // unless it is stalled
		c.reading.Unlock()
		if err != nil {
			c.note("closed", func() { c.closed = true })
			c.Close()
			return
		}
		if m.kind() == kindUpdate && c.router.silent {
			c.note("", func() {
				c.updates++
				// IPv4 alone, as no more than /32s.
				body := m.body()[2:]
				c.routesSeen += (len(body) - 2 - int(binary.BigEndian.Uint16(body))) / 5
			})
			continue
		}
		parsed, err := bgp.ParseBGPMessage(slices.Clone(m))
		if err != nil {
			c.note("malformed: "+err.Error(), nil)
			continue
		}
		switch body := parsed.Body.(type) {
		case *bgp.BGPOpen:
			c.note("open", func() { c.open = body })
			c.send(bgp.NewBGPKeepAliveMessage())
		case *bgp.BGPNotification:
			c.note("notification "+notification{body.ErrorCode, body.ErrorSubcode, body.Data}.Error(), nil)
		case *bgp.BGPUpdate:
			if f, ok := isEndOfRIB(m); ok {
				c.note("end of "+f.String(), nil)
				continue
			}
			c.note("", func() { c.update(body) })
		case *bgp.BGPKeepAlive:
			c.note("keepalive", nil)
		}
	}
}

// update keeps a route as "next hop, AS path, what else".
func (c *connection) update(u *bgp.BGPUpdate) {
	c.updates++
	var gone, come []bgp.AddrPrefixInterface
	for _, p := range u.WithdrawnRoutes {
		gone = append(gone, p)
	}
	for _, p := range u.NLRI {
		come = append(come, p)
	}
	hop := ""
	var rest []string
	for _, a := range u.PathAttributes {
		switch a := a.(type) {
		case *bgp.PathAttributeMpReachNLRI:
			come, hop = append(come, a.Value...), a.Nexthop.String()
		case *bgp.PathAttributeMpUnreachNLRI:
			gone = append(gone, a.Value...)
		case *bgp.PathAttributeNextHop:
			hop = a.Value.String()
		case *bgp.PathAttributeOrigin:
		default:
			rest = append(rest, a.String())
		}
	}
	slices.Sort(rest)
	for _, p := range gone {
		delete(c.rib, p.String())
	}
	for _, p := range come {
		c.rib[p.String()] = strings.Join(append([]string{"via " + hop}, rest...), " ")
	}
}

// tooLong is how long nothing is waited for, on a busy machine with the race detector too.
const tooLong = 30 * time.Second

// until waits until something holds of the connection, for as long as its routes become more or fewer.
func (c *connection) until(what string, holds func() bool) {
	c.router.t.Helper()
	deadline, had := time.After(tooLong), 0
	for {
		c.mu.Lock()
		ok, tape, rib := holds(), c.tape, len(c.rib)
		c.mu.Unlock()
		if ok {
			return
		}
		if rib != had {
			deadline, had = time.After(tooLong), rib
		}
		select {
		case <-c.changed:
		case <-deadline:
			c.router.t.Fatalf("%s: not within %v, but %q and %d routes", what, tooLong, tape, rib)
		}
	}
}

// says waits until the router has heard something.
func (c *connection) says(text string) {
	c.router.t.Helper()
	c.until(text, func() bool { return slices.Contains(c.tape, text) })
}

// routes waits until the router's RIB is as it should be.
func (c *connection) routes(want ...string) {
	c.router.t.Helper()
	var got string
	holds := func() bool {
		var lines []string
		for _, p := range slices.Sorted(maps.Keys(c.rib)) {
			lines = append(lines, p+" "+c.rib[p])
		}
		got = strings.Join(lines, "\n")
		return got == strings.Join(want, "\n")
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		c.mu.Lock()
		ok := holds()
		c.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			c.router.t.Fatalf("the router has\n%s\nnot\n%s", got, strings.Join(want, "\n"))
		}
		select {
		case <-c.changed:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// speakerUnderTest is an engine that runs.
type speakerUnderTest struct {
	*Engine
	t       testing.TB
	stop    func()
	changed chan struct{}
}

func newSpeaker(t testing.TB, with ...func(*Config)) *speakerUnderTest {
	t.Helper()
	s := &speakerUnderTest{t: t, changed: make(chan struct{}, 1)}
	c := Config{Log: slog.New(slog.DiscardHandler), Changed: func() {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}}
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, w := range with {
		w(&c)
	}
	s.Engine = NewEngine(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(s.stop)
	return s
}

// session returns the session with a peer.
func (s *speakerUnderTest) session(peer string) SessionStatus {
	for _, st := range s.Status() {
		if st.Peer == peer {
			return st
		}
	}
	return SessionStatus{}
}

// until waits until something holds of the session with a peer.
func (s *speakerUnderTest) until(peer, what string, holds func(SessionStatus) bool) SessionStatus {
	s.t.Helper()
	deadline := time.After(tooLong)
	for {
		st := s.session(peer)
		if holds(st) {
			return st
		}
		select {
		case <-s.changed:
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			s.t.Fatalf("%s: not within %v, but %+v", what, tooLong, st)
		}
	}
}

func (s *speakerUnderTest) established(peer string) SessionStatus {
	s.t.Helper()
	return s.until(peer, "established", func(st SessionStatus) bool { return st.State == Established })
}

func (s *speakerUnderTest) error(peer, text string) {
	s.t.Helper()
	s.until(peer, "error "+text, func(st SessionStatus) bool { return st.LastError == text })
}

// advertise has one address advertised by itself.
func (s *speakerUnderTest) advertise(address string, a Attributes, peers ...string) {
	ip := netip.MustParseAddr(address)
	s.SetOrigins(ip, []Origin{{Prefix: netip.PrefixFrom(ip, ip.BitLen()), Attributes: a, Peers: peers}})
}

func peerAt(name, address string, asn uint32) Peer {
	p := Peer{
		Name: name, ASN: 64512, PeerASN: asn, Address: netip.MustParseAddr(address), Port: 179,
		RouterID: netip.MustParseAddr("192.0.2.1"), HoldTime: 90 * time.Second, ConnectTime: 2 * time.Second,
	}
	p.Families = []lb.Family{lb.FamilyOf(p.Address)}
	return p
}
