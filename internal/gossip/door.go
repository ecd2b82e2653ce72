package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// What comes in by streams. Memberlist reads up to 20 MB of each before it can tell whether it was made with the key,
// so that who has reached the port could fill the memory. Speakers are known by their nodes' addresses. A stranger may
// be one too: of a node that this one has not heard of yet, as while the API server is away.
const (
	streamsOfSpeaker = 8 // at a time, of one address
	strangersAtOnce  = 4 // all of them together
	// strangerOctets are enough for the claims to 50,000 addresses.
	strangerOctets = 4 << 20
)

// door is memberlist's transport, with a limit to what comes in by streams.
type door struct {
	*memberlist.NetTransport
	from    netip.Addr // streams to others start there, so that they know whose they are
	known   func(netip.Addr) bool
	refused func()
	streams chan net.Conn
	closed  chan struct{}
	shut    sync.Once

	mu   sync.Mutex
	open map[netip.Addr]int // streams by their source; strangers' are under the zero address
}

// newDoor opens the sockets.
func (g *Group) newDoor(c *memberlist.Config) (*door, error) {
	t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{c.BindAddr}, BindPort: c.BindPort, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	d := &door{
		NetTransport: t, from: g.config.Address, known: g.known, refused: g.dropped.Inc,
		streams: make(chan net.Conn), closed: make(chan struct{}), open: map[netip.Addr]int{},
	}
	go d.keep()
	return d, nil
}

// known tells whether an address is a node's or a member's.
func (g *Group) known(a netip.Addr) bool {
	g.mu.Lock()
	known := slices.Contains(g.peers, a)
	g.mu.Unlock()
	return known || slices.ContainsFunc(g.others(), func(n *memberlist.Node) bool { return addressOf(n) == a })
}

// keep lets streams in until the door is closed.
func (d *door) keep() {
	for {
		select {
		case conn := <-d.NetTransport.StreamCh():
			s := d.admit(conn)
			if s == nil {
				continue
			}
			select {
			case d.streams <- s:
			case <-d.closed:
				s.Close()
			}
		case <-d.closed:
			return
		}
	}
}

// admit returns a stream as memberlist is to have it, nil if there are too many.
func (d *door) admit(conn net.Conn) net.Conn {
	s := &stream{Conn: conn, rest: strangerOctets}
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		s.source = at.AddrPort().Addr().Unmap()
	}
	most := streamsOfSpeaker
	if !d.known(s.source) {
		s.source, most = netip.Addr{}, strangersAtOnce
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[s.source] >= most {
		d.refused()
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // nothing of it is to linger in the kernel
		}
		conn.Close()
		return nil
	}
	d.open[s.source]++
	s.leave = sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.open[s.source]--; d.open[s.source] == 0 {
			delete(d.open, s.source)
		}
	})
	return s
}

// StreamCh hands over what was let in.
func (d *door) StreamCh() <-chan net.Conn { return d.streams }

// DialAddressTimeout opens a stream to another speaker.
func (d *door) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: d.from.AsSlice(), Zone: d.from.Zone()}}
	return dialer.Dial("tcp", a.Addr)
}

// DialTimeout is the same.
func (d *door) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return d.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// Shutdown closes the sockets. Until they are, streams are still handed over, or their listener would wait for it.
func (d *door) Shutdown() error {
	err := d.NetTransport.Shutdown()
	d.shut.Do(func() { close(d.closed) })
	return err
}

// stream is a connection that was let in.
type stream struct {
	net.Conn
	source netip.Addr // zero for a stranger
	rest   int        // octets that a stranger may still send
	leave  func()
}

var errTooMuch = errors.New("more than a stranger may send")

func (s *stream) Read(b []byte) (int, error) {
	if s.source.IsValid() {
		return s.Conn.Read(b)
	}
	if s.rest <= 0 {
		return 0, fmt.Errorf("%w: %d octets", errTooMuch, strangerOctets)
	}
	n, err := s.Conn.Read(b[:min(len(b), s.rest)])
	s.rest -= n
	return n, err
}

func (s *stream) Close() error {
	s.leave()
	return s.Conn.Close()
}
