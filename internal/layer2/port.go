package layer2

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// conn is the socket that a port needs: frames in, frames out.
type conn interface {
	ReadFrom(b []byte) (int, net.Addr, error)
	WriteTo(b []byte, to net.Addr) (int, error)
	Close() error
}

// port answers on one interface.
type port struct {
	link    Link
	log     *slog.Logger
	metrics *Metrics
	arp     conn
	ndp     conn
	groups  *groups
	ctx     context.Context // ends when the port is closed
	cancel  context.CancelFunc

	mu   sync.RWMutex
	ours map[netip.Addr]bool
}

// ndpFilter lets Neighbor Solicitations and Advertisements pass, so that the rest of a node's IPv6 traffic
// never reaches the process.
var ndpFilter = mustAssemble(
	bpf.LoadAbsolute{Off: ipv6NextOffset, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 4},
	bpf.LoadAbsolute{Off: icmpOffset, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeAdvertisement, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
)

func mustAssemble(program ...bpf.Instruction) []bpf.RawInstruction {
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // a constant of this file
	}
	return raw
}

// CheckPrivileges returns an error that says what is missing if this process may not open packet sockets.
func CheckPrivileges() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket, without which ARP and Neighbor Discovery cannot be answered (it takes the capability NET_RAW): %w", err)
	}
	return unix.Close(fd)
}

func openPort(l Link, log *slog.Logger, metrics *Metrics) (*port, error) {
	ifi := &net.Interface{Name: l.Name, Index: l.Index, HardwareAddr: l.HardwareAddr}
	a, err := packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeARP), nil)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket for ARP on %s: %w", l.Name, err)
	}
	n, err := packet.Listen(ifi, packet.Raw, int(ethernet.EtherTypeIPv6), &packet.Config{Filter: ndpFilter})
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("opening a packet socket for Neighbor Discovery on %s: %w", l.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &port{
		link: l, log: log, metrics: metrics, arp: a, ndp: n, groups: newGroups(l.Index),
		ctx: ctx, cancel: cancel, ours: map[netip.Addr]bool{},
	}, nil
}

// run answers until the port is closed.
func (p *port) run() {
	var wg sync.WaitGroup
	wg.Go(func() { p.serve("arp", p.arp, answerARP) })
	wg.Go(func() { p.serve("ndp", p.ndp, answerNDP) })
	wg.Wait()
}

func (p *port) serve(protocol string, c conn, answer func([]byte, link, func(netip.Addr) bool) ([]byte, Verdict)) {
	buffer := make([]byte, 2048)
	for p.ctx.Err() == nil {
		n, _, err := c.ReadFrom(buffer)
		if p.ctx.Err() != nil {
			return
		}
		if err != nil {
			// The interface went down, as a rule. If it is gone or changed, the port is closed soon.
			p.log.Debug("receiving failed", "interface", p.link.Name, "protocol", protocol, "error", err)
			select {
			case <-p.ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		reply, verdict := answer(buffer[:n], link{p.link.HardwareAddr}, p.has)
		p.metrics.received(protocol, verdict)
		if verdict == Answered {
			p.send(c, protocol, reply)
		}
	}
}

func (p *port) send(c conn, protocol string, frame []byte) {
	if _, err := c.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
		p.metrics.failed(protocol)
		p.log.Debug("sending failed", "interface", p.link.Name, "protocol", protocol, "error", err)
	}
}

// announce puts the announcements of an address on the wire.
func (p *port) announce(address netip.Addr) error {
	build, c, protocol := announceARP, p.arp, "arp"
	if address.Is6() {
		build, c, protocol = announceNDP, p.ndp, "ndp"
	}
	frames, err := build(address, link{p.link.HardwareAddr})
	if err != nil {
		return err
	}
	for _, f := range frames {
		p.send(c, protocol, f)
	}
	p.metrics.announced(protocol)
	return nil
}

func (p *port) has(address netip.Addr) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.ours[address]
}

// add makes the port answer for an address.
func (p *port) add(address netip.Addr) error {
	p.mu.Lock()
	known := p.ours[address]
	p.ours[address] = true
	p.mu.Unlock()
	if known || address.Is4() {
		return nil
	}
	if err := p.groups.add(address); err != nil {
		return fmt.Errorf("preparing %s to answer for %s: %w", p.link.Name, address, err)
	}
	return nil
}

// remove makes the port silent about an address.
func (p *port) remove(address netip.Addr) error {
	p.mu.Lock()
	known := p.ours[address]
	delete(p.ours, address)
	p.mu.Unlock()
	if !known || address.Is4() {
		return nil
	}
	return p.groups.remove(address)
}

func (p *port) close() {
	p.cancel() // first: what a closed socket returns is told from a failure by it
	p.arp.Close()
	p.ndp.Close()
	p.groups.close()
}
