//go:build linux

package layer2

import (
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Responder answers for addresses on the interfaces of this node: with each interface's own hardware address
// for what the node owns, with the owner's for what it stands in for. It answers from the first Renew on.
type Responder struct {
	// Sighted is called with what the segment shows of other hosts, and Heard with what another speaker has
	// broadcast: one call at a time for an interface and protocol, and not to be held up. To be set before the
	// responder is used.
	Sighted func(Sighting)
	Heard   func(iface string, payload []byte)

	log     *slog.Logger
	metrics *Metrics
	lease   lease
	rivals  rivals
	node    atomic.Pointer[stations]
	probers *probers

	mu sync.Mutex
	// ports by interface name; opened when the first address needs one, closed with the interface.
	ports map[string]*port
	links map[string]Link
	owned map[netip.Addr]ownership
	tasks sync.WaitGroup // the ports' goroutines
}

// ownership is how an address is answered for.
type ownership struct {
	interfaces []string
	as         net.HardwareAddr // another node's, which this one stands in for; nil is each interface's own
}

// NewResponder returns a responder without addresses, interfaces and lease.
func NewResponder(log *slog.Logger, metrics *Metrics) *Responder {
	r := &Responder{
		Sighted: func(Sighting) {}, Heard: func(string, []byte) {},
		log: log, metrics: metrics, lease: lease{began: time.Now()},
		ports: map[string]*port{}, links: map[string]Link{}, owned: map[netip.Addr]ownership{},
	}
	r.node.Store(&stations{})
	r.probers = newProbers(r)
	return r
}

// Renew lets the responder answer and announce until a point in time. After it, it is silent: what this node
// knows is too old to speak of.
func (r *Responder) Renew(until time.Time) { r.lease.renew(until) }

// Holds tells whether the time has not come to which Renew has set.
func (r *Responder) Holds() bool { return r.lease.holds() }

// SetLinks tells the responder which interfaces there are. An interface that is gone, or has another index
// or hardware address than before, loses its sockets; what is owned on a new one is answered on it from now
// on. It returns the addresses to announce again.
func (r *Responder) SetLinks(links []Link) (again []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, node := map[string]Link{}, stations{}
	for _, l := range links {
		now[l.Name] = l
		if len(l.HardwareAddr) == 6 {
			node[[6]byte(l.HardwareAddr)] = true
		}
	}
	r.node.Store(&node)
	r.probers.setLinks(maps.Clone(now))
	fresh := map[string]bool{}
	for name, l := range now {
		if old, known := r.links[name]; !known || !old.sameDevice(l) {
			r.closePort(name)
			fresh[name] = true
		}
	}
	for name := range r.links {
		if _, still := now[name]; !still {
			r.closePort(name)
		}
	}
	for _, p := range r.ports {
		p.countDrops()
	}
	r.links = now
	if len(fresh) == 0 {
		return nil
	}
	for address, o := range r.owned {
		for _, name := range o.interfaces {
			if fresh[name] {
				r.answer(address, name, o.as)
				again = append(again, address)
			}
		}
	}
	return again
}

// Own makes the node answer for an address on exactly these interfaces: with the hardware address as, of the
// node that this one stands in for, or with each interface's own if it is nil.
func (r *Responder) Own(address netip.Addr, interfaces []string, as net.HardwareAddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address].interfaces {
		if !slices.Contains(interfaces, name) {
			r.leave(address, name)
		}
	}
	r.owned[address] = ownership{interfaces, as}
	for _, name := range interfaces {
		r.answer(address, name, as)
	}
}

// Disown makes the node silent about an address.
func (r *Responder) Disown(address netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address].interfaces {
		r.leave(address, name)
	}
	delete(r.owned, address)
}

// Announce announces an address on every interface that the node answers for it on.
//
// A stand-in announces at the same pace as an owner. It tells caches nothing new, but mends those that took up
// something else meanwhile. It cannot keep an entry fresh: Linux confirms one by what it asked for only, asks
// the owner's hardware address three times a second apart, and then everybody, which is when it is answered.
func (r *Responder) Announce(address netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address].interfaces {
		if p := r.ports[name]; p != nil {
			p.announce(address)
		}
	}
}

// Broadcast sends a payload to the speakers on the segments of interfaces, in one frame each. From then on what
// others send there is heard, as it is wherever this node answers for an address.
func (r *Responder) Broadcast(interfaces []string, payload []byte) {
	if len(payload) == 0 || len(payload) > MaxBroadcast {
		r.metrics.failed("claim")
		r.log.Error("cannot broadcast claims: not between 1 octet and a frame", "octets", len(payload))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range interfaces {
		if p := r.port(name); p != nil {
			p.send(p.claims, "claim", claimFrame(p.link.HardwareAddr, payload))
		}
	}
}

// Close makes the node silent about everything and waits for the responder's goroutines.
func (r *Responder) Close() {
	r.mu.Lock()
	for name := range r.ports {
		r.closePort(name)
	}
	clear(r.owned)
	clear(r.links) // nothing is opened any more
	r.mu.Unlock()
	r.probers.close()
	r.tasks.Wait()
}

// answer makes an interface answer for an address.
func (r *Responder) answer(address netip.Addr, name string, as net.HardwareAddr) {
	p := r.port(name)
	if p == nil {
		return // SetLinks comes back to it when the interface does
	}
	if same(as, p.link.HardwareAddr) {
		as = nil
	}
	if err := p.add(address, as); err != nil {
		r.log.Error("answering may not work everywhere", "interface", name, "vip", address, "error", err)
	}
}

// port returns the port on an interface, which it opens if there is none: nil if that cannot be.
func (r *Responder) port(name string) *port {
	if p := r.ports[name]; p != nil {
		return p
	}
	l, ok := r.links[name]
	if !ok {
		return nil
	}
	p, err := openPort(l, r)
	if err != nil {
		r.metrics.failed("socket")
		r.log.Error("cannot answer on an interface", "interface", name, "error", err)
		delete(r.links, name) // as if new at the next change of interfaces
		return nil
	}
	r.ports[name] = p
	r.tasks.Go(p.run)
	return p
}

func (r *Responder) leave(address netip.Addr, name string) {
	if p := r.ports[name]; p != nil {
		if err := p.remove(address); err != nil {
			r.log.Warn("cannot leave a multicast group", "interface", name, "vip", address, "error", err)
		}
	}
}

func (r *Responder) closePort(name string) {
	if p := r.ports[name]; p != nil {
		p.close()
		delete(r.ports, name)
	}
}

// rival tells of another host that has or wants an address that this node answers for.
func (r *Responder) rival(iface string, o outcome, kind SightingKind) {
	s := Sighting{At: time.Now(), Interface: iface, HardwareAddr: slices.Clone(o.rival), Address: o.address, Kind: kind}
	if r.rivals.news(s) {
		r.Sighted(s)
	}
}
