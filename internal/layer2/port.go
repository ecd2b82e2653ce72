//go:build linux

package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// filterPause is between two changes of a port's filters: a thousand addresses that come at once cost a few.
	filterPause = 2 * time.Millisecond
	// filterRetry is how long to wait after one that failed.
	filterRetry = time.Second
)

// port answers on one interface.
type port struct {
	r      *Responder
	link   Link
	log    *slog.Logger
	arp    *socket
	ndp    *socket
	claims *socket
	groups *groups
	ctx    context.Context // ends when the port is closed
	cancel context.CancelFunc

	mu   sync.RWMutex
	ours map[netip.Addr]net.HardwareAddr // with what to answer: nil is the interface's own
	// behind are the families whose filter does not know all of ours; changed tells the filters' goroutine.
	behind4, behind6 bool
	changed          chan struct{}
}

func openPort(l Link, r *Responder) (*port, error) {
	p := &port{
		r: r, link: l, log: r.log.With("interface", l.Name), groups: newGroups(l.Index),
		ours: map[netip.Addr]net.HardwareAddr{}, changed: make(chan struct{}, 1),
	}
	for _, s := range []struct {
		socket    **socket
		etherType int
		filter    []bpf.Instruction
		what      string
	}{
		{&p.arp, int(ethernet.EtherTypeARP), arpFilter(nil), "ARP"},
		{&p.ndp, int(ethernet.EtherTypeIPv6), ndpFilter(nil), "Neighbor Discovery"},
		{&p.claims, claimEtherType, []bpf.Instruction{accept}, "claims"},
	} {
		var err error
		if *s.socket, err = openSocket(l, s.etherType, s.filter); err != nil {
			p.closeSockets()
			return nil, fmt.Errorf("opening a packet socket for %s on %s: %w", s.what, l.Name, err)
		}
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// run answers until the port is closed.
func (p *port) run() {
	var wg sync.WaitGroup
	wg.Go(func() { p.serve("arp", p.arp, answerARP) })
	wg.Go(func() { p.serve("ndp", p.ndp, answerNDP) })
	wg.Go(p.hear)
	wg.Go(p.filter)
	wg.Wait()
}

func (p *port) serve(protocol string, s *socket, answer func([]byte, link, holder) outcome) {
	s.receive(p.ctx, p.log, func(frame []byte) {
		if !p.r.lease.holds() {
			p.r.metrics.received(protocol, Stale)
			return
		}
		o := answer(frame, link{p.link.HardwareAddr, *p.r.node.Load()}, p.holder)
		p.r.metrics.received(protocol, o.verdict)
		if o.reply != nil {
			p.send(s, protocol, o.reply)
		}
		switch o.verdict {
		case Contested:
			p.r.rival(p.link.Name, o, Conflict)
		case Defended:
			p.r.rival(p.link.Name, o, Wanted)
		}
	})
}

func (p *port) send(s *socket, protocol string, frame []byte) {
	if err := s.send(frame); err != nil {
		p.r.metrics.failed(protocol)
		p.log.Debug("sending failed", "protocol", protocol, "error", err)
	}
}

// announce puts the announcements of an address on the wire.
func (p *port) announce(address netip.Addr) {
	as, ok := p.holder(address)
	if !ok || !p.r.lease.holds() {
		return
	}
	if as == nil {
		as = p.link.HardwareAddr
	}
	build, s, protocol := announceARP, p.arp, "arp"
	if address.Is6() {
		build, s, protocol = announceNDP, p.ndp, "ndp"
	}
	for _, f := range build(address, link{hardwareAddr: p.link.HardwareAddr}, as) {
		p.send(s, protocol, f)
	}
	p.r.metrics.announced(protocol)
}

// hear hands on what other speakers broadcast.
func (p *port) hear() {
	b := bucket{rate: claimRate, size: claimBurst}
	p.claims.receive(p.ctx, p.log, func(frame []byte) {
		payload, verdict := readClaim(frame, link{p.link.HardwareAddr, *p.r.node.Load()})
		p.r.metrics.received("claim", verdict)
		if verdict == Heard {
			p.r.Heard(p.link.Name, slices.Clone(payload))
		}
		if wait := b.take(time.Now()); wait > 0 {
			sleep(p.ctx, wait) // meanwhile the kernel keeps a few and drops the rest
		}
	})
}

func (p *port) holder(address netip.Addr) (as net.HardwareAddr, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	as, ok = p.ours[address]
	return as, ok
}

// add makes the port answer for an address, with a hardware address that is not its own unless as is nil.
func (p *port) add(address netip.Addr, as net.HardwareAddr) error {
	p.mu.Lock()
	_, known := p.ours[address]
	p.ours[address] = as
	if !known {
		p.fallBehind(address)
	}
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
	_, known := p.ours[address]
	delete(p.ours, address)
	if known {
		p.fallBehind(address)
	}
	p.mu.Unlock()
	if !known || address.Is4() {
		return nil
	}
	return p.groups.remove(address)
}

// fallBehind has the filter of an address's family changed soon.
func (p *port) fallBehind(address netip.Addr) {
	if address.Is4() {
		p.behind4 = true
	} else {
		p.behind6 = true
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// filter keeps the sockets' filters to what the port answers for. A storm of requests for other addresses
// then ends in the kernel.
func (p *port) filter() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.changed:
		}
		p.mu.Lock()
		var ours4, ours6 []uint32
		for a := range p.ours {
			if a.Is4() {
				ours4 = append(ours4, suffix(a))
			} else {
				ours6 = append(ours6, suffix(a))
			}
		}
		behind4, behind6 := p.behind4, p.behind6
		p.behind4, p.behind6 = false, false
		p.mu.Unlock()
		var err error
		if behind4 {
			err = attach(p.arp, ours4, arpFilter)
		}
		if behind6 {
			err = errors.Join(err, attach(p.ndp, ours6, ndpFilter))
		}
		if err == nil || p.ctx.Err() != nil {
			sleep(p.ctx, filterPause)
			continue
		}
		p.r.metrics.failed("filter")
		p.log.Error("addresses may go unanswered: cannot set a filter", "error", err)
		sleep(p.ctx, filterRetry)
		p.mu.Lock()
		p.behind4, p.behind6 = p.behind4 || behind4, p.behind6 || behind6
		p.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// attach sets the filter for values. It is the coarser the less room the kernel has for it: the old and the new
// one together are to fit into what a socket's options may take (net.core.optmem_max, 20 KiB on older kernels).
func attach(s *socket, values []uint32, build func([]blocks) []bpf.Instruction) (err error) {
	for most := maxBlocks; most > 0; most /= 2 {
		if err = s.attach(build(cover(values, most))); !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			break
		}
	}
	return err
}

// countDrops adds up what was not read in time.
func (p *port) countDrops() {
	p.r.metrics.dropped("arp", p.arp.drops())
	p.r.metrics.dropped("ndp", p.ndp.drops())
	p.r.metrics.dropped("claim", p.claims.drops())
}

func (p *port) close() {
	p.cancel() // first: what a closed socket returns is told from a failure by it
	p.closeSockets()
}

func (p *port) closeSockets() {
	for _, s := range []*socket{p.arp, p.ndp, p.claims} {
		if s != nil {
			s.close()
		}
	}
	p.groups.close()
}
