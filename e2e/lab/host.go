package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// Host is a machine on a segment, that of the nodes unless it is said otherwise: a network namespace with eth0 on
// a port of the switch.
type Host struct {
	Name   string
	V4, V6 netip.Addr       // on the segment
	MAC    net.HardwareAddr // of eth0

	number int
	ns     *namespace
	eth0   netlink.Link
	bridge *netlink.Bridge // of its segment
}

// newHost makes a host and connects it to the nodes' segment.
func newHost(n *network, name string, number int) (*Host, error) {
	h := &Host{Name: name, MAC: segmentMAC(number), number: number, bridge: n.bridge}
	h.V4, h.V6 = segmentAddresses(number)
	return h.plug(n, Segment4.Bits(), Segment6.Bits())
}

// newOutsideHost makes a host and connects it to the segment beyond the routers.
func newOutsideHost(n *network, name string, number int) (*Host, error) {
	h := &Host{Name: name, MAC: outsideMAC(number), number: number, bridge: n.outside}
	h.V4, h.V6 = outsideAddresses(number)
	return h.plug(n, Outside4.Bits(), Outside6.Bits())
}

// plug makes the host's namespace and its eth0.
func (h *Host) plug(n *network, bits4, bits6 int) (_ *Host, err error) {
	if h.ns, err = newNamespace(h.Name); err != nil {
		return nil, err
	}
	if err := h.ns.sysctls(quiet...); err != nil {
		return nil, joinClose(err, h.ns)
	}
	if err := n.connect(h.bridge, h.Name, h.ns, "eth0", h.MAC); err != nil {
		return nil, joinClose(err, h.ns)
	}
	h.eth0, err = h.ns.configure("eth0", netip.PrefixFrom(h.V4, bits4), netip.PrefixFrom(h.V6, bits6))
	if err != nil {
		return nil, joinClose(err, h.ns)
	}
	return h, nil
}

// Interface is eth0 as package net describes it, for raw sockets made in Do.
func (h *Host) Interface() *net.Interface {
	a := h.eth0.Attrs()
	return &net.Interface{Index: a.Index, MTU: a.MTU, Name: a.Name, HardwareAddr: a.HardwareAddr, Flags: net.FlagUp | net.FlagBroadcast | net.FlagMulticast}
}

// Do runs f on a thread that is in the host's network namespace. Sockets and processes that f makes belong
// to the host; goroutines that f starts do not.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// Sysctls writes kernel settings of the host's network, given as "net/ipv4/ip_forward=1".
func (h *Host) Sysctls(settings ...string) error { return h.ns.sysctls(settings...) }

// Netlink is a handle on the host's links, addresses, routes and neighbours. It is closed with the lab.
func (h *Host) Netlink() *netlink.Handle { return h.ns.nl }

// DialContext connects from the host. The address is an IP address and a port: the host has no resolver.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.ns.dial(ctx, &net.Dialer{}, network, address)
}

// Dial connects from the host with a dialer of the caller's, say with a local address or Control.
func (h *Host) Dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	return h.ns.dial(ctx, d, network, address)
}

// Listen accepts connections on the host.
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return h.ns.listen(ctx, network, address)
}

// ListenPacket receives datagrams on the host.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return h.ns.listenPacket(ctx, network, address)
}

// Run runs a command on the host and returns what it wrote to standard output.
func (h *Host) Run(ctx context.Context, name string, arguments ...string) (string, error) {
	return h.ns.run(ctx, name, arguments...)
}

func (n *namespace) run(ctx context.Context, name string, arguments ...string) (string, error) {
	var output, failure bytes.Buffer
	command := exec.CommandContext(ctx, name, arguments...)
	command.Stdout, command.Stderr = &output, &failure
	err := n.do(command.Start)
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		return output.String(), fmt.Errorf("running %s on %s: %w: %s", command, n.name, err, lastLines(failure.Bytes(), 5))
	}
	return output.String(), nil
}

func (n *namespace) dial(ctx context.Context, d *net.Dialer, network, address string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dialling %s from %s: %w", address, n.name, err)
	}
	// With a literal address the dialer makes its socket on the calling thread: no resolver, no racing
	// goroutine for a second family.
	err = n.do(func() (err error) { conn, err = d.DialContext(ctx, network, address); return err })
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", n.name, err)
	}
	return conn, nil
}

func (n *namespace) listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	// The host's own settings say when a client that is silent is given up.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}}
	err = n.do(func() (err error) { l, err = config.Listen(ctx, network, address); return err })
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", n.name, err)
	}
	return l, nil
}

func (n *namespace) listenPacket(ctx context.Context, network, address string) (c net.PacketConn, err error) {
	err = n.do(func() (err error) { c, err = (&net.ListenConfig{}).ListenPacket(ctx, network, address); return err })
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", n.name, err)
	}
	return c, nil
}

// joinClose closes what a failed constructor has made.
func joinClose(err error, c interface{ close() error }) error { return errors.Join(err, c.close()) }
