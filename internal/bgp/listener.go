//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listenerKey is what passive peers with one listening socket have in common. It is on no address of its own, since
// one socket on all addresses and another on one of them cannot listen on the same port; who connects to another
// address than the peer's source is turned away.
type listenerKey struct {
	vrf  string
	ipv6 bool
	port uint16
}

// listener waits for connections of passive peers.
type listener struct {
	socket *net.TCPListener
	raw    syscall.RawConn
	// expected are the peers, by name, under the kernel's lock.
	expected map[string]expected
}

type expected struct {
	peer     Peer
	remote   netip.Addr
	accepted func(net.Conn)
}

// matches tells whether a connection is the peer's.
func (e expected) matches(local, remote netip.Addr) bool {
	if e.peer.Source.IsValid() && e.peer.Source.WithZone("") != local.WithZone("") {
		return false
	}
	if e.peer.Interface != "" && !e.remote.IsValid() {
		return remote.IsLinkLocalUnicast() && remote.Zone() == e.peer.Interface
	}
	return e.remote == remote
}

func (k *kernel) listen(p Peer, remote netip.Addr, accepted func(net.Conn)) (stop func(), err error) {
	key := listenerKey{p.VRF, p.Interface != "" || remote.Is6(), p.Port}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.listeners[key]
	if l == nil {
		if l, err = open179(key); err != nil {
			return nil, fmt.Errorf("waiting for the router on port %d: %w", p.Port, listenWords(err))
		}
		k.listeners[key] = l
		go k.serve(l)
	}
	if p.Password != "" {
		if err := control(l.raw, func(fd int) error { return setMD5(fd, remote, p.Password) }); err != nil {
			k.closeUnused(key, l)
			return nil, err
		}
	}
	l.expected[p.Name] = expected{p, remote, accepted}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(l.expected, p.Name)
		if p.Password != "" {
			// Another peer may have come for the same router meanwhile, with its key in place of this one's.
			_ = control(l.raw, func(fd int) error { return setMD5(fd, remote, l.password(remote)) })
		}
		k.closeUnused(key, l)
	}, nil
}

// listenWords says what to do about an error of listening.
func listenWords(err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: a port below 1024 takes the capability NET_BIND_SERVICE (speaker.passivePeers=true in the chart, or manifests/overlays/bgp)", err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: does another BGP speaker run on this node?", err)
	}
	return err
}

// password returns that of a peer that is expected from an address, empty if there is none.
func (l *listener) password(remote netip.Addr) Password {
	for _, e := range l.expected {
		if e.remote == remote {
			return e.peer.Password
		}
	}
	return ""
}

func (k *kernel) closeUnused(key listenerKey, l *listener) {
	if len(l.expected) == 0 {
		l.socket.Close()
		delete(k.listeners, key)
	}
}

// open179 opens a listening socket; 179 is BGP's port as a rule.
func open179(key listenerKey) (*listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error {
			// What answers a connection request is of this socket, before it is known whose it is; a peer with TTL
			// security drops it unless it has the highest TTL.
			level, name := unix.IPPROTO_IP, unix.IP_TTL
			if key.ipv6 {
				level, name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
			}
			if err := unix.SetsockoptInt(fd, level, name, 255); err != nil {
				return fmt.Errorf("setting the TTL: %w", err)
			}
			return setDevice(fd, key.vrf)
		})
	}}
	config.SetMultipathTCP(false) // Go's default; it takes no MD5 keys
	network := "tcp4"
	if key.ipv6 {
		network = "tcp6"
	}
	socket, err := config.Listen(context.Background(), network, fmt.Sprintf(":%d", key.port))
	if err != nil {
		return nil, err
	}
	l := &listener{socket: socket.(*net.TCPListener), expected: map[string]expected{}}
	if l.raw, err = l.socket.SyscallConn(); err != nil {
		socket.Close()
		return nil, err
	}
	return l, nil
}

// acceptPause is how long to wait when a connection could not be accepted.
const acceptPause = 50 * time.Millisecond

// serve hands connections over until the listener is closed.
func (k *kernel) serve(l *listener) {
	for {
		conn, err := l.socket.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files, which passes
			time.Sleep(acceptPause)
			continue
		}
		if !k.handOver(l, conn) {
			conn.Close()
		}
	}
}

// handOver gives a connection to the peer that it is of, if there is one. It has the lock meanwhile: a peer that has
// stopped to listen gets none.
func (k *kernel) handOver(l *listener, conn *net.TCPConn) bool {
	local, remote := addressOf(conn.LocalAddr()), addressOf(conn.RemoteAddr())
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range l.expected {
		if !e.matches(local, remote) {
			continue
		}
		raw, err := conn.SyscallConn()
		if err == nil {
			err = control(raw, func(fd int) error { return setHops(fd, remote, e.peer) })
		}
		if err == nil {
			err = conn.SetKeepAliveConfig(keepAlive)
		}
		if err == nil {
			e.accepted(conn)
		}
		return err == nil
	}
	return false
}
