package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What Routers needs of the kernel. Nothing of it waits.
type (
	// receiver is the socket of a channel.
	receiver interface {
		// receive returns a datagram's length, how it came and when. The error is errNone if none is there.
		receive(b []byte) (n int, a arrival, at time.Time, err error)
		close() error
	}
	// sender is the socket of a session: RFC 5881 section 4 wants a source port for each.
	sender interface {
		send(b []byte) error
		close() error
	}
)

const (
	// Source ports, RFC 5881 section 4.
	firstPort, lastPort = 49152, 65535
	// A flood may last until the socket is looked into the next time: lookEvery.
	routerBuffer = 1 << 20
)

// listenRouters opens the socket of a channel. It has its port to itself but for those of other devices: only
// where shared is set may it come beside one that this process has already.
func listenRouters(c channel, shared bool) (receiver, error) {
	any := netip.IPv4Unspecified()
	options := []option{{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_PKTINFO, 1}}
	if c.v6 {
		any = netip.IPv6Unspecified()
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}}
	}
	fd, err := openUDP(c.v6, options...)
	if err != nil {
		return nil, err
	}
	askForTime(fd)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, routerBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, routerBuffer) // as much as may be
	}
	index, err := bindTo(fd, netip.AddrPortFrom(any, c.port()), c.device, func() error {
		if !shared {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("%w: another BFD daemon, such as FRR's bfdd, has the port", err)
	}
	if err == nil {
		// Others may join from now on.
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &routerSocket{fd: fd, channel: c, device: index, oob: make([]byte, 256)}, nil
}

// bindTo binds a socket to a device, if there is one, and an address. It returns the device's index.
func bindTo(fd int, a netip.AddrPort, device string, before func() error) (index int, err error) {
	if device != "" {
		if index, err = interfaceIndex(device); err == nil {
			err = unix.BindToDevice(fd, device)
		}
		if err != nil {
			return 0, fmt.Errorf("binding to %s: %w", device, err)
		}
	}
	if before != nil {
		if err := before(); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
	}
	sa, err := zoned(a)
	if err != nil {
		return 0, err
	}
	return index, os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// routerSocket receives the packets of a channel. Go's poller does not know it, see socket.
type routerSocket struct {
	fd      int
	channel channel
	device  int // its index
	oob     []byte
}

func (s *routerSocket) close() error { return unix.Close(s.fd) }

func (s *routerSocket) receive(b []byte) (int, arrival, time.Time, error) {
	n, oob, _, from, err := unix.Recvmsg(s.fd, b, s.oob, unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, arrival{}, time.Time{}, errNone
	case err != nil:
		return 0, arrival{}, time.Time{}, os.NewSyscallError("recvmsg", err)
	}
	now := time.Now()
	a := arrival{channel: s.channel, from: addrPort(from).Addr()}
	at := a.read(s.oob[:oob], now)
	a.direct = s.device == 0 || s.device == a.index
	return n, a, at, nil
}

// read takes from control messages how a datagram came, and when.
func (a *arrival) read(oob []byte, now time.Time) (at time.Time) {
	at = now
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return at
		}
		oob = rest
		switch [2]int32{h.Level, h.Type} {
		case [2]int32{unix.IPPROTO_IP, unix.IP_TTL}, [2]int32{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}:
			if len(data) >= 4 {
				a.ttl = uint8(native32(data))
			}
		case [2]int32{unix.IPPROTO_IP, unix.IP_PKTINFO}: // struct in_pktinfo: interface, local address, destination
			if len(data) >= unix.SizeofInet4Pktinfo {
				a.index, a.to = int(native32(data)), netip.AddrFrom4([4]byte(data[8:]))
			}
		case [2]int32{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO}: // struct in6_pktinfo: destination, interface
			if len(data) >= unix.SizeofInet6Pktinfo {
				a.index, a.to = int(native32(data[16:])), netip.AddrFrom16([16]byte(data))
			}
		default:
			if t, ok := stamp(h, data); ok {
				at = now.Add(-now.Round(0).Sub(t))
			}
		}
	}
	return at
}

// sendSocket sends a session's packets. It is not connected: the kernel would return a router's ICMP errors in
// place of sending the next packet.
type sendSocket struct {
	fd int
	to unix.Sockaddr
}

// dialRouter opens a session's socket, with a source port that is not taken.
func dialRouter(k routerKey, taken func(port uint16) bool) (sender, uint16, error) {
	to, err := zoned(netip.AddrPortFrom(k.remote, k.channel().port()))
	if err != nil {
		return nil, 0, err
	}
	local := k.local
	switch {
	case !local.IsValid() && k.remote.Is4():
		local = netip.IPv4Unspecified()
	case !local.IsValid():
		local = netip.IPv6Unspecified()
	case local.Is6() && local.IsLinkLocalUnicast():
		zone := k.remote.Zone()
		if zone == "" {
			zone = k.device
		}
		local = local.WithZone(zone)
	}
	for tries := 0; ; tries++ {
		port := uint16(firstPort + rand.N(lastPort-firstPort+1))
		if taken(port) && tries < 100 { // unique is what it should be, not what it must be
			continue
		}
		fd, err := openUDP(k.remote.Is6(), option{unix.SOL_SOCKET, unix.SO_RCVBUF, 0}) // nobody reads
		if err != nil {
			return nil, 0, err
		}
		if _, err = bindTo(fd, netip.AddrPortFrom(local, port), k.device, nil); err == nil {
			return &sendSocket{fd, to}, port, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EADDRINUSE) || tries > 100 {
			return nil, 0, fmt.Errorf("sending from %s: %w", local, err)
		}
	}
}

func (s *sendSocket) send(b []byte) error {
	return os.NewSyscallError("sendto", unix.Sendto(s.fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, s.to))
}

func (s *sendSocket) close() error { return unix.Close(s.fd) }

// zoned is sockaddr of an address that may have a zone.
func zoned(a netip.AddrPort) (unix.Sockaddr, error) {
	s := sockaddr(a)
	if zone := a.Addr().Zone(); zone != "" {
		index, err := interfaceIndex(zone)
		if err != nil {
			return nil, fmt.Errorf("interface of %s: %w", a.Addr(), err)
		}
		s.(*unix.SockaddrInet6).ZoneId = uint32(index)
	}
	return s, nil
}

// interfaceIndex returns the index of an interface, by its name or number. Package net's function has the kernel
// list all that there are.
func interfaceIndex(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("%q is no name of an interface", name)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, fmt.Errorf("there is no interface %s: %w", name, err)
	}
	return int(r.Uint32()), nil
}

func native32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
