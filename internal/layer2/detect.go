//go:build linux

package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ndp"
)

// RFC 5227 section 1.1 has three probes one to two seconds apart, and two more to wait, which no Service's first
// announcement is to wait for: a host answers in milliseconds if it does at all, and three probes are for those
// that get lost. RFC 4862 has one solicitation and a second.
const (
	detectProbes = 3
	detectPause  = 200 * time.Millisecond
)

// detection asks whether another host has an address.
type detection struct {
	address    netip.Addr
	interfaces []string
	inherited  bool          // who wants the address does not count
	rival      chan Sighting // has room for the one that counts
}

// Detect asks on the interfaces whether another host has an address, or asks for it at the same time, and calls
// done once: with the first such host, or with nil if there was none in the time that it takes, or nowhere to
// ask. The address is not to be answered for meanwhile. done is not to wait for Close. Where the address is inherited, who
// asks for it as well is passed over, and who has it is asked as a client would: MetalLB does not answer the question
// whether an IPv6 address is free.
func (r *Responder) Detect(address netip.Addr, interfaces []string, inherited bool, done func(conflict *Sighting)) {
	p := r.probers
	d := &detection{address: address, interfaces: slices.Clone(interfaces), inherited: inherited, rival: make(chan Sighting, 1)}
	p.mu.Lock()
	if p.ctx.Err() != nil {
		p.mu.Unlock()
		go done(nil)
		return
	}
	p.detections[d] = true
	p.tasks.Add(1) // under the lock: close waits for none that begins later
	p.mu.Unlock()
	go func() {
		defer p.tasks.Done()
		conflict := p.detect(d)
		p.mu.Lock()
		delete(p.detections, d)
		p.mu.Unlock()
		done(conflict)
	}()
}

func (p *probers) detect(d *detection) *Sighting {
	leave := p.join(d)
	defer leave()
	for range detectProbes {
		asked := false
		for _, name := range d.interfaces {
			err := p.send(name, d.address, d.question)
			if err != nil {
				p.r.log.Debug("asking for an address", "vip", d.address, "interface", name, "error", err)
			} else {
				asked = true
			}
		}
		if !asked {
			return nil
		}
		select {
		case s := <-d.rival:
			return &s
		case <-p.ctx.Done():
			return nil
		case <-time.After(detectPause):
		}
	}
	return nil
}

// question builds the frame that asks for the address on an interface.
func (d *detection) question(l Link) ([]byte, error) {
	if source := l.source(d.address); d.inherited && d.address.Is6() && !source.IsUnspecified() {
		group, err := ndp.SolicitedNodeMulticast(d.address)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", d.address, err)
		}
		return neighborSolicitation(l, source, group, d.address, multicastMAC(group)), nil
	}
	return addressProbe(l, d.address, nil)
}

// observed takes what a host on a segment says, which is Alive, and what it wants.
func (d *detection) observed(s Sighting, wanted netip.Addr) {
	if (s.Address != d.address && (wanted != d.address || d.inherited)) || !slices.Contains(d.interfaces, s.Interface) {
		return
	}
	s.Address, s.Kind = d.address, Conflict
	select {
	case d.rival <- s:
	default:
	}
}

// join lets the solicited-node group of an address in, which is where another host would ask for it at the same
// time. It returns what undoes that. The kernel may take its time over either.
func (p *probers) join(d *detection) (leave func()) {
	var joined []*groups
	for _, l := range p.linksOf(d.interfaces) {
		g := newGroups(l.Index)
		joined = append(joined, g)
		if d.address.Is6() {
			if err := g.add(d.address); err != nil {
				p.r.log.Debug("joining the group of an address", "vip", d.address, "interface", l.Name, "error", err)
			}
		}
	}
	return func() {
		for _, g := range joined {
			g.close()
		}
	}
}

func (p *probers) linksOf(interfaces []string) (links []Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range interfaces {
		if l, ok := p.links[name]; ok {
			links = append(links, l)
		}
	}
	return links
}
