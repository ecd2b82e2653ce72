package bgp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	api "github.com/osrg/gobgp/v3/api"
	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// This is the only file that knows GoBGP. Each peer has a GoBGP server of its own: so each has its own RIB, AS number
// and BGP Identifier, and nothing that is done to one session can touch another. To that server the router is a
// passive neighbour that connects from a loopback address; the relay connects, and holds the connection to the real
// router. GoBGP itself would wait 1 to 2 s before its first attempt, and 5 s before each further one.

// restartTime is for how long routers are asked to keep routes while this speaker restarts (RFC 4724).
const restartTime = 120 * time.Second

// backend is what a session needs of a BGP implementation.
type backend interface {
	// change advertises and withdraws, in this order.
	change(advertise []path, withdraw []netip.Prefix) error
	// attach returns a connection to a fresh state machine, which has sent OPEN. detach ends it.
	attach(ctx context.Context, p Peer) (net.Conn, *bufio.Reader, error)
	detach()
	// release ends the use of it.
	release()
}

// gobgp is a GoBGP server.
type gobgp struct {
	bgp  *server.BgpServer
	log  *bridge
	port uint16
	// neighbor is the loopback address that the router has here, invalid without one.
	neighbor netip.Addr
	// ending are closed when the state machines of former neighbors have ended.
	ending []<-chan struct{}

	// parking is true while the server is to stop after what it does now: then it says so through parked, and goes
	// on when resume lets it.
	parking        atomic.Bool
	parked, resume chan struct{}
}

// fleet holds the GoBGP servers of this process. GoBGP has options in global variables, which are written when a
// server starts and read by those that run: so there is one fleet, and all others stand still when one starts.
var fleet struct {
	sync.Mutex
	all, idle []*gobgp
}

// Observe is called by the server's one goroutine after everything that it does.
func (g *gobgp) Observe(server.FSMOperation, time.Duration, time.Duration) {
	if g.parking.Load() {
		g.parked <- struct{}{}
		<-g.resume
	}
}

// launch returns a server for a peer, without routes. A server never ends in GoBGP's hands, so one that is not needed
// any more is taken up again.
func launch(p Peer, log *slog.Logger) (backend, error) {
	fleet.Lock()
	defer fleet.Unlock()
	var g *gobgp
	if n := len(fleet.idle); n > 0 {
		g, fleet.idle = fleet.idle[n-1], fleet.idle[:n-1]
	} else {
		g = &gobgp{log: &bridge{}, parked: make(chan struct{}), resume: make(chan struct{})}
		g.bgp = server.NewBgpServer(server.LoggerOption(g.log), server.TimingHookOption(g))
		go g.bgp.Serve()
		fleet.all = append(fleet.all, g)
	}
	g.log.to.Store(log)
	if err := g.start(p); err != nil {
		fleet.idle = append(fleet.idle, g)
		return nil, err
	}
	return g, nil
}

// park has all other servers stand still until the result is called. It is called with the fleet's lock.
func (g *gobgp) park() (resume func()) {
	var parked []*gobgp
	var occupied sync.WaitGroup
	for _, other := range fleet.all {
		if other != g {
			other.parking.Store(true)
			// It parks after the next thing that it does: give it one.
			occupied.Go(func() { _, _ = other.bgp.GetBgp(context.Background(), &api.GetBgpRequest{}) })
			<-other.parked
			other.parking.Store(false)
			parked = append(parked, other)
		}
	}
	return func() {
		for _, other := range parked {
			other.resume <- struct{}{}
		}
		occupied.Wait()
	}
}

// start is called with the fleet's lock.
func (g *gobgp) start(p Peer) error {
	defer g.park()()
	var err error
	for range 10 {
		if g.port, err = freePort(); err != nil {
			break
		}
		// ListenPort 0 would be 179, and -1 would never accept the relay.
		if err = g.bgp.StartBgp(context.Background(), &api.StartBgpRequest{Global: &api.Global{
			Asn: p.ASN, RouterId: p.RouterID.String(), ListenPort: int32(g.port), ListenAddresses: []string{loopback.String()},
			Families: []uint32{0, 1}, // IPv4 and IPv6 unicast, as IntToAfiSafiTypeMap has them
		}}); err == nil {
			break // else the port was taken meanwhile
		}
	}
	if err != nil {
		return fmt.Errorf("starting GoBGP on %s: %w", netip.AddrPortFrom(loopback, g.port), err)
	}
	if err := g.rejectImports(); err != nil {
		_ = g.bgp.StopBgp(context.Background(), &api.StopBgpRequest{})
		return fmt.Errorf("setting GoBGP's import policy: %w", err)
	}
	return nil
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func freePort() (uint16, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort(loopback.String(), "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}

// rejectImports keeps routes that are not this node's out of the RIB. The relay lets none through; this is for the
// case that it would.
func (g *gobgp) rejectImports() error {
	const name = "own"
	ctx := context.Background()
	policy := &api.Policy{Name: name, Statements: []*api.Statement{{
		Name:       name,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if err := g.bgp.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}); err != nil {
		return err
	}
	return g.bgp.AddPolicyAssignment(ctx, &api.AddPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_IMPORT, Policies: []*api.Policy{policy}, DefaultAction: api.RouteAction_REJECT,
	}})
}

var apiFamilies = [...]*api.Family{
	lb.IPv4: {Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST},
	lb.IPv6: {Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST},
}

// change passes paths in the form that they have on the wire: GoBGP takes that without the protobuf messages that it
// else wants for every attribute, at a fraction of the cost.
func (g *gobgp) change(advertise []path, withdraw []netip.Prefix) error {
	ctx := context.Background()
	var failed []error // one prefix does not hold up the others
	for _, p := range advertise {
		if _, err := g.bgp.AddPath(ctx, &api.AddPathRequest{Path: &api.Path{
			Family: apiFamilies[lb.FamilyOf(p.Prefix.Addr())], NlriBinary: nlri(p.Prefix), PattrsBinary: p.attributes(),
		}}); err != nil {
			failed = append(failed, fmt.Errorf("advertising %s: %w", p.Prefix, err))
		}
	}
	for _, p := range withdraw {
		if err := g.bgp.DeletePath(ctx, &api.DeletePathRequest{Path: &api.Path{
			Family: apiFamilies[lb.FamilyOf(p.Addr())], NlriBinary: nlri(p), IsWithdraw: true,
		}}); err != nil {
			failed = append(failed, fmt.Errorf("withdrawing %s: %w", p, err))
		}
	}
	return errors.Join(failed...)
}

// attachPatience is for how long GoBGP may not be ready: it is within milliseconds.
const attachPatience = 5 * time.Second

func (g *gobgp) attach(ctx context.Context, p Peer) (net.Conn, *bufio.Reader, error) {
	g.detach()
	// At random, so that nobody else on this machine can guess from where to connect in the router's place. The
	// last octet is not that of loopback.
	r := rand.Uint32()
	g.neighbor = netip.AddrFrom4([4]byte{127, byte(r), byte(r >> 8), 2 + byte(r>>16)%250})
	if err := g.bgp.AddPeer(ctx, &api.AddPeerRequest{Peer: neighbor(g.neighbor, p)}); err != nil {
		g.neighbor = netip.Addr{}
		return nil, nil, fmt.Errorf("adding the router to GoBGP: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, attachPatience)
	defer cancel()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.neighbor, 0))}
	for {
		conn, err := dialer.DialContext(ctx, "tcp4", netip.AddrPortFrom(loopback, g.port).String())
		if err == nil {
			// In Idle, where it begins, GoBGP closes connections.
			deadline, _ := ctx.Deadline()
			_ = conn.SetReadDeadline(deadline)
			buffered := bufio.NewReaderSize(conn, bufferOctets)
			if _, err = buffered.Peek(headerLength); err == nil {
				_ = conn.SetReadDeadline(time.Time{})
				return conn, buffered, nil
			}
			conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("connecting to GoBGP: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// neighbor is how GoBGP sees the router.
func neighbor(address netip.Addr, p Peer) *api.Peer {
	n := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: address.String(), PeerAsn: p.PeerASN, LocalAsn: p.ASN},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: uint64(p.gobgpHoldTime() / time.Second), KeepaliveInterval: uint64(p.KeepaliveTime / time.Second),
		}},
		Transport: &api.Transport{PassiveMode: true},
	}
	if p.GracefulRestart {
		n.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(restartTime / time.Second),
			// The Restart State and Forwarding State bits (RFC 4724 section 3): whether the speaker has restarted or
			// the session was lost, kube-proxy has gone on forwarding.
			LocalRestarting: true,
			// The relay ends the deferral at once, see endsOfRIB. Zero would be 360 s.
			DeferralTime: 5,
			// Not NotificationEnabled (RFC 8538): a router whose hold timer ends would keep a dead node for the
			// restart time besides.
		}
	}
	for _, f := range p.Families {
		n.AfiSafis = append(n.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: apiFamilies[f], Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.GracefulRestart}},
		})
	}
	return n
}

func (g *gobgp) detach() {
	if !g.neighbor.IsValid() {
		return
	}
	g.ending = slices.DeleteFunc(g.ending, func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	})
	ended := g.log.expect(g.neighbor)
	if g.bgp.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: g.neighbor.String()}) == nil {
		g.ending = append(g.ending, ended)
	}
	g.neighbor = netip.Addr{}
}

func (g *gobgp) release() {
	g.detach()
	// StopBgp takes from state machines what those that have not ended yet read, without a lock.
	patience := time.NewTimer(attachPatience)
	defer patience.Stop()
	for _, ended := range g.ending {
		select {
		case <-ended:
		case <-patience.C:
			g.log.Error("a state machine does not end", nil)
			return // without the server, which the fleet does without from now on
		}
	}
	g.ending = nil
	ctx := context.Background()
	_ = g.bgp.DeletePath(ctx, &api.DeletePathRequest{}) // all
	_ = g.bgp.StopBgp(ctx, &api.StopBgpRequest{})
	fleet.Lock()
	defer fleet.Unlock()
	fleet.idle = append(fleet.idle, g)
}

// bridge passes GoBGP's log on. What is of interest to users, the session logs in words of its own: what GoBGP says
// of it is for who looks for a fault in GoBGP.
type bridge struct {
	to atomic.Pointer[slog.Logger]

	mu sync.Mutex
	// ending are those who wait for the end of a neighbor's state machine, of which nothing but the log tells.
	ending map[string]chan struct{}
}

// machineEnded is what the server's one goroutine logs after a state machine has ended, with its neighbor as the Key.
const machineEnded = "freed fsm.h"

// expect returns what is closed when the state machine of a neighbor, which is to be told to end, has ended.
func (b *bridge) expect(neighbor netip.Addr) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending == nil {
		b.ending = map[string]chan struct{}{}
	}
	ended := make(chan struct{})
	b.ending[neighbor.String()] = ended
	return ended
}

func (b *bridge) ended(neighbor string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ended := b.ending[neighbor]; ended != nil {
		close(ended)
		delete(b.ending, neighbor)
	}
}

func (b *bridge) write(level slog.Level, text string, fields gobgplog.Fields) {
	ctx, to := context.Background(), b.to.Load()
	if to == nil || !to.Enabled(ctx, level) {
		return
	}
	var args []any
	for k, v := range fields {
		args = append(args, slog.Any(k, v))
	}
	to.Log(ctx, level, "GoBGP: "+text, slog.Group("gobgp", args...))
}

func (b *bridge) Panic(s string, f gobgplog.Fields) { b.write(slog.LevelError, s, f) }
func (b *bridge) Fatal(s string, f gobgplog.Fields) { b.write(slog.LevelError, s, f) }
func (b *bridge) Error(s string, f gobgplog.Fields) { b.write(slog.LevelError, s, f) }
func (b *bridge) Warn(s string, f gobgplog.Fields)  { b.write(slog.LevelDebug, s, f) }
func (b *bridge) Info(s string, f gobgplog.Fields)  { b.write(slog.LevelDebug, s, f) }
func (b *bridge) Debug(s string, f gobgplog.Fields) {
	if neighbor, ok := f["Key"].(string); ok && s == machineEnded {
		b.ended(neighbor)
	}
	b.write(slog.LevelDebug, s, f)
}

func (b *bridge) SetLevel(gobgplog.LogLevel) {}

// GetLevel tells GoBGP what to make texts for, some of which cost more than what they are about.
func (b *bridge) GetLevel() gobgplog.LogLevel {
	if to := b.to.Load(); to != nil && to.Enabled(context.Background(), slog.LevelDebug) {
		return gobgplog.DebugLevel
	}
	return gobgplog.WarnLevel
}
