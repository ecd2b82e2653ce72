//go:build linux

package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/ethernet"
)

// proberIdle is how long a prober listens after the last question.
const proberIdle = 30 * time.Second

// probers ask hosts and listen to what the segments say, with sockets of their own: the ports' hear of nothing
// but their own addresses. They have a lock of their own, too. A question does not wait for a port to open.
type probers struct {
	r      *Responder
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu         sync.Mutex
	links      map[string]Link
	open       map[proberKey]*prober
	detections map[*detection]bool
}

type proberKey struct {
	name string
	ipv6 bool
}

// prober is the socket for one family on one interface.
type prober struct {
	key    proberKey
	link   Link
	socket *socket
	last   time.Time // it was used
	idle   *time.Timer
	ctx    context.Context
	cancel context.CancelFunc
}

func newProbers(r *Responder) *probers {
	p := &probers{r: r, links: map[string]Link{}, open: map[proberKey]*prober{}, detections: map[*detection]bool{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Probe asks a host for one of its addresses, once, by unicast, whether or not this node may answer at the time.
// Its answer, and whatever else other hosts say in the next half a minute, is told by Sighted.
func (r *Responder) Probe(t Target) error {
	return r.probers.send(t.Interface, t.Address, func(l Link) ([]byte, error) { return probe(l, t) })
}

// send puts a question about an address on an interface.
func (p *probers) send(name string, address netip.Addr, build func(Link) ([]byte, error)) error {
	p.mu.Lock()
	x, err := p.use(proberKey{name, address.Is6()})
	var frame []byte
	if err == nil {
		frame, err = build(x.link)
	}
	p.mu.Unlock()
	if err == nil {
		err = x.socket.send(frame)
	}
	if err != nil {
		p.r.metrics.failed("probe")
		return fmt.Errorf("asking for %s on %s: %w", address, name, err)
	}
	return nil
}

// use returns a prober, which it opens if it is not open.
func (p *probers) use(key proberKey) (*prober, error) {
	if x := p.open[key]; x != nil {
		x.last = time.Now()
		return x, nil
	}
	l, ok := p.links[key.name]
	if !ok || p.ctx.Err() != nil {
		return nil, fmt.Errorf("there is no interface %s to use", key.name)
	}
	etherType, filter, observe := ethernet.EtherTypeARP, proberFilter, observeARP
	if key.ipv6 {
		etherType, filter, observe = ethernet.EtherTypeIPv6, neighborFilter(accept), observeNDP
	}
	s, err := openSocket(l, int(etherType), filter)
	if err != nil {
		p.r.metrics.failed("socket")
		return nil, fmt.Errorf("opening a packet socket on %s: %w", key.name, err)
	}
	x := &prober{key: key, link: l, socket: s, last: time.Now()}
	x.ctx, x.cancel = context.WithCancel(p.ctx)
	x.idle = time.AfterFunc(proberIdle, func() { p.closeIdle(x) })
	p.open[key] = x
	p.tasks.Go(func() {
		s.receive(x.ctx, p.r.log, func(frame []byte) {
			if o, ok := observe(frame, link{l.HardwareAddr, *p.r.node.Load()}); ok {
				p.observed(key.name, o)
			}
		})
	})
	return x, nil
}

func (p *probers) observed(iface string, o observation) {
	s := Sighting{At: time.Now(), Interface: iface, HardwareAddr: slices.Clone(o.hardwareAddr), Source: slices.Clone(o.source), Address: o.address, Kind: Alive}
	p.mu.Lock()
	if o.answer || (o.toAll && p.links[iface].source(o.address).IsUnspecified()) { // RFC 4861 section 7.2.4
		s.Kind = Answer
	}
	for d := range p.detections {
		d.observed(s, o.wanted)
	}
	p.mu.Unlock()
	p.r.Sighted(s)
}

func (p *probers) closeIdle(x *prober) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[x.key] != x {
		return
	}
	if left := proberIdle - time.Since(x.last); left > 0 {
		x.idle.Reset(left)
		return
	}
	p.drop(x)
}

func (p *probers) drop(x *prober) {
	delete(p.open, x.key)
	x.idle.Stop()
	x.cancel()
	p.tasks.Go(x.socket.close) // which waits until no CPU of the kernel looks at the socket
}

// setLinks closes the probers of interfaces that have gone or changed.
func (p *probers) setLinks(links map[string]Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = links
	for key, x := range p.open {
		if l, ok := links[key.name]; !ok || !l.sameDevice(x.link) {
			p.drop(x)
		} else {
			x.link = l // its addresses may be others
		}
	}
}

func (p *probers) close() {
	p.cancel()
	p.mu.Lock()
	for _, x := range p.open {
		p.drop(x)
	}
	p.mu.Unlock()
	p.tasks.Wait()
}
