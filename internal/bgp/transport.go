//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel is the network as it is.
type kernel struct {
	mu        sync.Mutex
	listeners map[listenerKey]*listener
}

func newKernel() *kernel { return &kernel{listeners: map[listenerKey]*listener{}} }

// controlTraffic is the IP precedence of routing protocols, Internetwork Control: RFC 4594 section 3.1.
const controlTraffic = 0xC0

func (k *kernel) dial(ctx context.Context, p Peer, remote netip.Addr) (net.Conn, error) {
	to := netip.AddrPortFrom(remote, p.Port)
	numeric, err := numericZone(remote)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", to, err)
	}
	d := net.Dialer{
		Timeout:         p.dialPatience(),
		KeepAliveConfig: keepAlive,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error {
				if err := setMD5(fd, remote, p.Password); err != nil {
					return err
				}
				if err := setDevice(fd, p.device()); err != nil {
					return err
				}
				return setHops(fd, remote, p)
			})
		},
	}
	if p.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(numeric, p.Port).String())
	if err != nil {
		words := fmt.Sprintf("connecting to %s: %s", to, errorWords(err))
		if isTimeout(err) && p.Password != "" {
			words += " (also if the router has another password)" // RFC 2385 section 2: it says nothing then
		}
		return nil, errors.New(words)
	}
	return conn, nil
}

// numericZone gives an address the index of its interface as zone: the net package remembers for a minute which index
// a name had, and so goes astray when an interface is made anew.
func numericZone(a netip.Addr) (netip.Addr, error) {
	if a.Zone() == "" {
		return a, nil
	}
	link, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return a, fmt.Errorf("there is no interface %s", a.Zone())
	}
	return a.WithZone(strconv.Itoa(link.Index)), nil
}

// keepAlive has TCP find out that a router is gone where no hold time does: the router may offer none, too. Where
// there is one its KEEPALIVEs leave nothing to do.
var keepAlive = net.KeepAliveConfig{Enable: true}

func (k *kernel) connected(remote netip.Addr) bool {
	if remote.IsLinkLocalUnicast() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.Contains(remote.AsSlice()) {
			return true
		}
	}
	return false
}

// control has f set options of a socket.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = f(int(fd)) }); err != nil {
		return err
	}
	return failure
}

func setDevice(fd int, device string) error {
	if device == "" {
		return nil
	}
	if err := unix.BindToDevice(fd, device); err != nil {
		return fmt.Errorf("binding to %s: %w", device, err)
	}
	return nil
}

func setHops(fd int, remote netip.Addr, p Peer) error {
	ttl, least := p.hops()
	options := [...]struct {
		level, name, value int
		words              string
	}{
		{unix.IPPROTO_IP, unix.IP_TTL, ttl, "TTL"},
		{unix.IPPROTO_IP, unix.IP_TOS, controlTraffic, "type of service"},
		{unix.IPPROTO_IP, unix.IP_MINTTL, least, "least TTL"},
	}
	if remote.Is6() {
		options[0].level, options[0].name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		options[1].level, options[1].name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		options[2].level, options[2].name = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("setting the %s to %d: %w", o.words, o.value, err)
		}
	}
	return nil
}

// setMD5 sets the key for connections with an address (RFC 2385), or takes it away if it is empty.
func setMD5(fd int, remote netip.Addr, password Password) error {
	if len(password) > unix.TCP_MD5SIG_MAXKEYLEN {
		return fmt.Errorf("the password has %d octets, TCP MD5 takes %d at most", len(password), unix.TCP_MD5SIG_MAXKEYLEN)
	}
	if password == "" && !remote.IsValid() {
		return nil
	}
	// The kernel reads a sockaddr: in_port and, for IPv6, flowinfo come before the address. The scope of a link-local
	// address does not matter to it.
	s := unix.TCPMD5Sig{Keylen: uint16(len(password))}
	copy(s.Key[:], password)
	if remote.Is4() {
		s.Addr.Family = unix.AF_INET
		copy(s.Addr.Data[2:], remote.AsSlice())
	} else {
		s.Addr.Family = unix.AF_INET6
		copy(s.Addr.Data[6:], remote.AsSlice())
	}
	err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &s)
	if err != nil && password != "" {
		return fmt.Errorf("setting the TCP MD5 key for %s: %w", remote, err)
	}
	return nil // there is none to take away, or the kernel knows nothing of TCP MD5
}
