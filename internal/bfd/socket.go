package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// conn is what a mesh needs of its socket. Nothing of it waits.
type conn interface {
	// receive returns a datagram's length, who sent it and when it came. The error is errNone if none is there.
	receive(b []byte) (n int, from netip.AddrPort, at time.Time, err error)
	send(b []byte, to netip.AddrPort) error
	close() error
}

var errNone = errors.New("no datagram")

// socket is a UDP socket that Go's poller does not know: it would wake for each packet that comes, and again for
// each that has been sent.
type socket struct {
	fd  int
	oob []byte
}

const (
	ttl = 255 // RFC 5881 section 5, though nobody can check it here
	// Class selector 6, network control, as routers send BFD: it passes a full queue.
	trafficClass = 48 << 2
)

// option of a socket: protocol, option, value.
type option [3]int

// openUDP opens a socket that sends as BFD does, with further options.
func openUDP(v6 bool, further ...option) (int, error) {
	domain := unix.AF_INET
	options := []option{{unix.IPPROTO_IP, unix.IP_TTL, ttl}, {unix.IPPROTO_IP, unix.IP_TOS, trafficClass}}
	if v6 {
		domain = unix.AF_INET6
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	for _, o := range append(options, further...) {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("setting socket option %d of protocol %d to %d: %w", o[1], o[0], o[2], err)
		}
	}
	return fd, nil
}

// askForTime has the kernel say when a datagram came.
func askForTime(fd int) {
	// 64 bits on all machines. A kernel older than 5.1 has it not: then packets count as of when they are read.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
}

// listen opens the socket that all sessions share. It is not connected, so the kernel returns no ICMP errors.
func listen(local netip.AddrPort) (conn, error) {
	fd, err := openUDP(local.Addr().Is6())
	if err != nil {
		return nil, err
	}
	askForTime(fd)
	if err := unix.Bind(fd, sockaddr(local)); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &socket{fd, make([]byte, unix.CmsgSpace(timespecOctets))}, nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

func (s *socket) send(b []byte, to netip.AddrPort) error {
	if err := unix.Sendto(s.fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, sockaddr(to)); err != nil {
		return fmt.Errorf("sending to %s: %w", to, err)
	}
	return nil
}

func (s *socket) receive(b []byte) (int, netip.AddrPort, time.Time, error) {
	n, oob, _, from, err := unix.Recvmsg(s.fd, b, s.oob, unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, netip.AddrPort{}, time.Time{}, errNone
	case err != nil:
		return 0, netip.AddrPort{}, time.Time{}, os.NewSyscallError("recvmsg", err)
	}
	now := time.Now()
	return n, addrPort(from), now.Add(-age(s.oob[:oob], now)), nil
}

const timespecOctets = 16

// age is how long ago a datagram came, by the kernel's wall clock; 0 if it does not say.
func age(oob []byte, now time.Time) time.Duration {
	header, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	at, ok := stamp(header, data)
	if !ok {
		return 0
	}
	return now.Round(0).Sub(at)
}

func stamp(h unix.Cmsghdr, data []byte) (at time.Time, ok bool) {
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS_NEW || len(data) < timespecOctets {
		return time.Time{}, false
	}
	seconds, nanoseconds := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
	return time.Unix(int64(seconds), int64(nanoseconds)), true
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	return netip.AddrPort{}
}
