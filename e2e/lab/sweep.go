package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Sweep asks many backends again and again by datagrams from one socket per family, cheap enough for hundreds
// of addresses. What it knows of each is its longest silence, to within the interval.
type Sweep struct {
	cancel  context.CancelFunc
	sending sync.WaitGroup
	reading sync.WaitGroup
	sockets []*net.UDPConn

	mu      sync.Mutex
	last    map[netip.AddrPort]time.Time
	longest map[netip.AddrPort]Gap
}

// Sweep starts a sweep. It goes on until Stop or until ctx is done.
func (h *Host) Sweep(ctx context.Context, to []netip.AddrPort, interval time.Duration) (*Sweep, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Sweep{cancel: cancel, last: map[netip.AddrPort]time.Time{}, longest: map[netip.AddrPort]Gap{}}
	byFamily := map[bool][]netip.AddrPort{}
	begin := time.Now()
	for _, a := range to {
		byFamily[a.Addr().Is4()] = append(byFamily[a.Addr().Is4()], a)
		s.last[a] = begin
	}
	for is4, group := range byFamily {
		from := h.V6
		if is4 {
			from = h.V4
		}
		socket, err := h.ListenPacket(ctx, "udp", netip.AddrPortFrom(from, 0).String())
		if err != nil {
			s.Stop()
			return nil, fmt.Errorf("sweeping %d addresses from %s: %w", len(to), h.Name, err)
		}
		udp := socket.(*net.UDPConn)
		s.sockets = append(s.sockets, udp)
		s.sending.Go(func() { send(ctx, udp, group, interval) })
		s.reading.Go(func() { s.read(udp) })
	}
	return s, nil
}

// send sends the questions of an interval evenly in ten parts of it: a burst of hundreds would overflow what
// stands between the sockets.
func send(ctx context.Context, socket *net.UDPConn, to []netip.AddrPort, interval time.Duration) {
	const parts = 10
	ticker := time.NewTicker(interval / parts)
	defer ticker.Stop()
	for part := 0; ; part = (part + 1) % parts {
		for i := part; i < len(to); i += parts {
			// A neighbour that cannot be resolved is silence like any other.
			_, _ = socket.WriteToUDPAddrPort([]byte("who are you?\n"), to[i])
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Sweep) read(socket *net.UDPConn) {
	buffer := make([]byte, 2048)
	for {
		_, from, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		now := time.Now()
		s.mu.Lock()
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if last, asked := s.last[from]; asked {
			if g := (Gap{Start: last, End: now}); g.Duration() > s.longest[from].Duration() {
				s.longest[from] = g
			}
			s.last[from] = now
		}
		s.mu.Unlock()
	}
}

// Forget drops the silences so far: those of a beginning, when neighbours are not known yet.
func (s *Sweep) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.longest)
	for a := range s.last {
		s.last[a] = time.Now()
	}
}

// Stop ends the sweep and returns the longest silence of each address. Further calls return the same.
func (s *Sweep) Stop() map[netip.AddrPort]Gap {
	s.cancel()
	s.sending.Wait()
	for _, socket := range s.sockets {
		socket.Close()
	}
	s.reading.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for a, last := range s.last {
		if g := (Gap{Start: last, End: now, Open: true}); g.Duration() > s.longest[a].Duration() {
			s.longest[a] = g
		}
		s.last[a] = now
	}
	return s.longest
}
