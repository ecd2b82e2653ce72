package layer2

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
)

// Responder answers for addresses on the interfaces of this node, with each interface's own hardware
// address.
type Responder struct {
	log     *slog.Logger
	metrics *Metrics

	mu sync.Mutex
	// ports by interface name; opened when the first address needs one, closed with the interface.
	ports map[string]*port
	links map[string]Link
	owned map[netip.Addr][]string // the interfaces to answer on
	tasks sync.WaitGroup          // the ports' goroutines
}

// NewResponder returns a responder without addresses and interfaces.
func NewResponder(log *slog.Logger, metrics *Metrics) *Responder {
	return &Responder{
		log: log, metrics: metrics,
		ports: map[string]*port{}, links: map[string]Link{}, owned: map[netip.Addr][]string{},
	}
}

// SetLinks tells the responder which interfaces there are. An interface that is gone, or has another index
// or hardware address than before, loses its sockets; what is owned on a new one is answered on it from now
// on. It returns the addresses to announce again.
func (r *Responder) SetLinks(links []Link) (again []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := map[string]Link{}
	for _, l := range links {
		now[l.Name] = l
	}
	var fresh []string
	for name, l := range now {
		old, known := r.links[name]
		if known && old.Index == l.Index && string(old.HardwareAddr) == string(l.HardwareAddr) {
			continue
		}
		r.closePort(name)
		fresh = append(fresh, name)
	}
	for name := range r.links {
		if _, still := now[name]; !still {
			r.closePort(name)
		}
	}
	r.links = now
	for address, interfaces := range r.owned {
		for _, name := range interfaces {
			if slices.Contains(fresh, name) {
				r.open(address, name)
				again = append(again, address)
			}
		}
	}
	return again
}

// Own makes the node answer for an address on exactly these interfaces.
func (r *Responder) Own(address netip.Addr, interfaces []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address] {
		if !slices.Contains(interfaces, name) {
			r.leave(address, name)
		}
	}
	r.owned[address] = interfaces
	for _, name := range interfaces {
		r.open(address, name)
	}
}

// Disown makes the node silent about an address.
func (r *Responder) Disown(address netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address] {
		r.leave(address, name)
	}
	delete(r.owned, address)
}

// Announce announces an address on every interface that the node answers for it on.
func (r *Responder) Announce(address netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.owned[address] {
		if p := r.ports[name]; p != nil {
			if err := p.announce(address); err != nil {
				r.log.Error("announcing", "vip", address, "interface", name, "error", err)
			}
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
	r.mu.Unlock()
	r.tasks.Wait()
}

func (r *Responder) open(address netip.Addr, name string) {
	l, ok := r.links[name]
	if !ok {
		return // SetLinks comes back to it when the interface does
	}
	p := r.ports[name]
	if p == nil {
		var err error
		if p, err = openPort(l, r.log, r.metrics); err != nil {
			r.metrics.failed("socket")
			r.log.Error("cannot answer on an interface", "interface", name, "error", err)
			delete(r.links, name) // as if new at the next change of interfaces
			return
		}
		r.ports[name] = p
		r.tasks.Go(p.run)
	}
	if err := p.add(address); err != nil {
		r.log.Error("answering may not work everywhere", "interface", name, "vip", address, "error", err)
	}
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
