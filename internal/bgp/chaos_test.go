package bgp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// Everything happens at once, to the same session and to its neighbour: routers that hang up in every state, edits,
// removals, BFD, routes and phases. In the end the routers have what the table says, and nothing is left behind.
func TestEverythingAtOnce(t *testing.T) {
	d := &detector{watching: map[string]Target{}}
	s := newSpeaker(t, func(c *Config) { c.Detector, c.Log = d, discard })
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("the seed is %d", seed)
	var routers []*testRouter
	var peers []Peer
	for i := range 3 {
		address := fmt.Sprintf("192.0.2.%d", 2+i%2)
		r := restarting(newRouter(t, address, 64513, lb.IPv4))
		p := peerAt(fmt.Sprintf("tor%d", i), address, 64513)
		p.GracefulRestart, p.ConnectTime = i == 0, 20*time.Millisecond
		p.BFD = &BFD{Receive: time.Second, Transmit: time.Second, Multiplier: 3}
		if i < 2 {
			r.listen()
		} else {
			p.Passive, p.Port = true, 1179 // the routers have 179 on this machine
		}
		s.SetPeer(p)
		routers, peers = append(routers, r), append(peers, p)
	}
	dial := func(r *testRouter) *connection {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.address, 0)), Timeout: time.Second}
		conn, err := dialer.Dial("tcp4", "192.0.2.1:1179")
		if err != nil {
			return nil
		}
		c := r.serve(conn)
		<-r.connections
		return c
	}
	last := make([]*connection, 3)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		i := random.IntN(3)
		for {
			select {
			case c := <-routers[i].connections:
				last[i] = c
				continue
			default:
			}
			break
		}
		p := peers[i]
		switch random.IntN(12) {
		case 0:
			s.RemovePeer(p.Name)
		case 1:
			p.HoldTime = time.Duration(3+random.IntN(90)) * time.Second
			peers[i] = p
			s.SetPeer(p)
		case 2:
			s.RemovePeer(p.Name)
			s.SetPeer(p)
		case 3:
			p.ASN = 64000 + uint32(random.IntN(100))
			peers[i] = p
			s.SetPeer(p)
		case 4:
			s.DetectionChanged(p.Name, false, "silence")
		case 5:
			if last[i] != nil {
				last[i].Close()
			}
		case 6:
			if last[i] != nil {
				_ = last[i].Conn.(*net.TCPConn).SetLinger(0)
				last[i].Close()
			}
		case 7:
			if i == 2 {
				last[i] = dial(routers[i])
			}
		case 8:
			s.SetPhase(Phase(random.IntN(3)))
		case 9:
			if last[i] != nil {
				_, _ = last[i].Write(newMessage(kindRefresh, []byte{0, 1, 0, 1}))
			}
		case 10:
			s.SetPeer(p)
		default:
			a := serviceAddress(random.IntN(50))
			s.SetOrigins(a, []Origin{{Prefix: netip.PrefixFrom(a, 32), Attributes: Attributes{Communities: []Community{Community(random.Uint32())}}}})
		}
		time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
	}
	s.SetPhase(Serving)
	for i := range 50 {
		a := serviceAddress(i)
		s.SetOrigins(a, []Origin{{Prefix: netip.PrefixFrom(a, 32)}})
	}
	for i, p := range peers {
		s.SetPeer(p)
		deadline := time.Now().Add(20 * time.Second)
		for ok := false; !ok; {
			if time.Now().After(deadline) {
				b := make([]byte, 1<<20)
				t.Fatalf("%s has not its routes: %+v\n%s", p.Name, s.session(p.Name), b[:runtime.Stack(b, true)])
			}
			if i == 2 && s.session(p.Name).State == Active {
				time.Sleep(minPause)
				last[i] = dial(routers[i])
			}
			select {
			case last[i] = <-routers[i].connections:
			case <-time.After(20 * time.Millisecond):
			}
			if c := last[i]; c != nil {
				c.mu.Lock()
				ok = !c.closed && len(c.rib) == 50
				for _, r := range c.rib {
					ok = ok && strings.HasSuffix(r, fmt.Sprintf("{AsPath: %d}", p.ASN))
				}
				c.mu.Unlock()
			}
		}
		if st := s.established(p.Name); st.Advertised != 50 {
			t.Errorf("the status is %+v", st)
		}
	}
	s.stop()
	fleet.Lock()
	servers, idle := len(fleet.all), len(fleet.idle)
	fleet.Unlock()
	if servers != idle {
		t.Errorf("%d GoBGP servers of %d are idle", idle, servers)
	}
	// A server keeps a few goroutines; timers of connections that ended may go on for a while.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n := runtime.NumGoroutine()
		if n < 10*servers+30 {
			break
		}
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left of %d servers:\n%s", n, servers, b[:runtime.Stack(b, true)])
		}
	}
}
