package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RouteWatch notes each change of a host's kernel routes to some prefixes, when it happens.
type RouteWatch struct {
	prefixes []netip.Prefix
	done     chan struct{}
	stop     sync.Once
	stopped  sync.WaitGroup

	mu      sync.Mutex
	now     map[netip.Prefix][]netip.Addr
	events  []RouteEvent
	failure error
}

// RouteEvent is the state of a route after a change.
type RouteEvent struct {
	At       time.Time
	Prefix   netip.Prefix
	NextHops []netip.Addr // sorted; empty if there is no route
}

// NextHops are those of the kernel's route to exactly this prefix, sorted; none if there is no such route.
func (h *Host) NextHops(prefix netip.Prefix) ([]netip.Addr, error) {
	family := unix.AF_INET
	if prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	routes, err := h.ns.nl.RouteListFiltered(family, &netlink.Route{Dst: networkOf(prefix)}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil, fmt.Errorf("reading the routes of %s to %s: %w", h.Name, prefix, err)
	}
	var hops []netip.Addr
	for _, r := range routes {
		hops = append(hops, nextHops(r)...)
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	return hops, nil
}

func nextHops(r netlink.Route) (list []netip.Addr) {
	add := func(gateway []byte, via netlink.Destination) {
		// An IPv4 route with an IPv6 next hop (RFC 8950) has it in RTA_VIA.
		if v, ok := via.(*netlink.Via); ok && gateway == nil {
			gateway = v.Addr
		}
		if a, ok := netip.AddrFromSlice(gateway); ok {
			list = append(list, a.Unmap())
		}
	}
	if len(r.MultiPath) == 0 {
		add(r.Gw, r.Via)
	}
	for _, n := range r.MultiPath {
		add(n.Gw, n.Via)
	}
	return list
}

// WatchRoutes starts to note changes. It goes on until Stop.
func (h *Host) WatchRoutes(prefixes ...netip.Prefix) (*RouteWatch, error) {
	w := &RouteWatch{prefixes: prefixes, done: make(chan struct{}), now: map[netip.Prefix][]netip.Addr{}}
	updates := make(chan netlink.RouteUpdate, 1024)
	err := netlink.RouteSubscribeWithOptions(updates, w.done, netlink.RouteSubscribeOptions{
		Namespace: &h.ns.fd,
		ErrorCallback: func(err error) {
			select {
			case <-w.done: // its end
			default:
				w.mu.Lock()
				defer w.mu.Unlock()
				w.failure = err
			}
		},
		ReceiveBufferSize: 8 << 20, ReceiveBufferForceSize: true,
	})
	if err != nil {
		return nil, fmt.Errorf("watching the routes of %s: %w", h.Name, err)
	}
	for _, p := range prefixes {
		hops, err := h.NextHops(p)
		if err != nil {
			close(w.done)
			return nil, err
		}
		w.note(p, hops)
	}
	w.stopped.Go(func() {
		for u := range updates {
			p, ok := prefixOf(u.Route)
			if !ok || !slices.Contains(prefixes, p) {
				continue
			}
			w.update(p, u, h)
		}
	})
	return w, nil
}

func prefixOf(r netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// update applies a message of the kernel. IPv6 next hops come and go one by one (NLM_F_APPEND), so that for IPv6 the
// whole route is read again.
func (w *RouteWatch) update(p netip.Prefix, u netlink.RouteUpdate, h *Host) {
	var hops []netip.Addr
	if p.Addr().Is6() {
		var err error
		if hops, err = h.NextHops(p); err != nil {
			return
		}
	} else if u.Type == unix.RTM_NEWROUTE {
		hops = nextHops(u.Route)
		slices.SortFunc(hops, netip.Addr.Compare)
	}
	w.note(p, hops)
}

func (w *RouteWatch) note(p netip.Prefix, hops []netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.now[p]
	if known && slices.Equal(before, hops) {
		return
	}
	w.now[p] = hops
	w.events = append(w.events, RouteEvent{At: time.Now(), Prefix: p, NextHops: hops})
}

// Events are the changes so far, beginning with how each route was at the start.
func (w *RouteWatch) Events() []RouteEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// Await waits for a moment from which on a route has these next hops, after another moment, and returns it.
func (w *RouteWatch) Await(ctx context.Context, prefix netip.Prefix, after time.Time, hops ...netip.Addr) (at time.Time, err error) {
	slices.SortFunc(hops, netip.Addr.Compare)
	err = wait(ctx, fmt.Sprintf("the route to %s to be via %v", prefix, hops), func(context.Context) (bool, error) {
		var last []netip.Addr
		for _, e := range w.Events() {
			if e.Prefix != prefix {
				continue
			}
			if last = e.NextHops; slices.Equal(last, hops) {
				if at = e.At; at.After(after) {
					return true, nil
				}
			}
		}
		return slices.Equal(last, hops) && !at.IsZero(), fmt.Errorf("it is via %v", last)
	})
	return at, err
}

// Stop ends the watch. Further calls return the same.
func (w *RouteWatch) Stop() error {
	w.stop.Do(func() {
		close(w.done)
		w.stopped.Wait()
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}
