package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// Watch asks the segment again and again who has each of some addresses, and notes who answers. Best from a
// host that does nothing else.
type Watch struct {
	host     *Host
	interval time.Duration
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	sockets  [2]*packet.Conn // ARP, IPv6

	mu      sync.Mutex
	frames  map[netip.Addr][]byte
	rounds  map[netip.Addr][]Round
	failure error
}

// Round is a question about one address, and who answered before the next.
type Round struct {
	At   time.Time
	MACs []net.HardwareAddr // distinct, in the order of their answers
}

// Watch starts a watch. It goes on until Stop or until ctx is done.
func (h *Host) Watch(ctx context.Context, interval time.Duration, addresses ...netip.Addr) (*Watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{host: h, interval: interval, cancel: cancel, frames: map[netip.Addr][]byte{}, rounds: map[netip.Addr][]Round{}}
	err := w.Add(addresses...)
	for i, kind := range []ethernet.EtherType{ethernet.EtherTypeARP, ethernet.EtherTypeIPv6} {
		if err == nil {
			w.sockets[i], err = h.ListenFrames(kind)
		}
	}
	if err != nil {
		cancel()
		for _, s := range w.sockets {
			if s != nil {
				s.Close()
			}
		}
		return nil, err
	}
	w.tasks.Go(func() { w.listen(w.sockets[0], h.arpAnswer) })
	w.tasks.Go(func() { w.listen(w.sockets[1], h.ndpAnswer) })
	w.tasks.Go(func() {
		w.ask(ctx)
		// A moment for the answers to the last round, then the listeners end.
		time.Sleep(min(interval, 100*time.Millisecond))
		for _, s := range w.sockets {
			_ = s.SetReadDeadline(time.Unix(1, 0))
		}
	})
	return w, nil
}

// Add watches further addresses.
func (w *Watch) Add(addresses ...netip.Addr) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addresses {
		frame, err := w.host.Question(a)
		if err != nil {
			return err
		}
		w.frames[a] = frame
	}
	return nil
}

func (w *Watch) ask(ctx context.Context) {
	ticker := time.NewTicker(w.interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.mu.Lock()
		for address, frame := range w.frames {
			w.rounds[address] = append(w.rounds[address], Round{At: time.Now()})
			socket := w.sockets[0]
			if address.Is6() {
				socket = w.sockets[1]
			}
			if _, err := socket.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
				w.failure = fmt.Errorf("asking the segment of %s who has %s: %w", w.host.Name, address, err)
			}
		}
		w.mu.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (w *Watch) listen(socket *packet.Conn, recognize func(ethernet.Frame, netip.Addr) net.HardwareAddr) {
	defer socket.Close()
	for buffer := make([]byte, 64<<10); ; {
		n, _, err := socket.ReadFrom(buffer)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				w.mu.Lock()
				w.failure = fmt.Errorf("listening on the segment of %s: %w", w.host.Name, err)
				w.mu.Unlock()
			}
			return
		}
		var f ethernet.Frame
		if f.UnmarshalBinary(buffer[:n]) != nil {
			continue
		}
		address, ok := subject(f)
		if !ok {
			continue
		}
		if mac := recognize(f, address); mac != nil {
			w.note(address, mac)
		}
	}
}

// subject is the address that an answer is about, if the frame has the shape of one.
func subject(f ethernet.Frame) (netip.Addr, bool) {
	at, size := 14, 4 // the sender's protocol address (RFC 826)
	if f.EtherType == ethernet.EtherTypeIPv6 {
		at, size = ipv6Header+8, 16 // the target address (RFC 4861, section 4.4)
	}
	if len(f.Payload) < at+size {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(f.Payload[at : at+size])
}

func (w *Watch) note(address netip.Addr, mac net.HardwareAddr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rounds := w.rounds[address]
	if len(rounds) == 0 {
		return
	}
	last := &rounds[len(rounds)-1]
	for _, known := range last.MACs {
		if slices.Equal(known, mac) {
			return
		}
	}
	last.MACs = append(last.MACs, mac)
}

// Rounds are those about an address that were asked from a moment on, in order; the last one may still be
// waiting for its answer.
func (w *Watch) Rounds(address netip.Addr, from time.Time) []Round {
	w.mu.Lock()
	defer w.mu.Unlock()
	rounds := w.rounds[address]
	i, _ := slices.BinarySearchFunc(rounds, from, func(r Round, t time.Time) int { return r.At.Compare(t) })
	list := slices.Clone(rounds[i:])
	for i := range list {
		list[i].MACs = slices.Clone(list[i].MACs)
	}
	return list
}

// Stop ends the watch.
func (w *Watch) Stop() error {
	w.cancel()
	w.tasks.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// Owners are the hardware addresses that answered for an address alone, from a moment on, each time that it
// was another than before.
func (w *Watch) Owners(address netip.Addr, from time.Time) []net.HardwareAddr {
	var list []net.HardwareAddr
	for _, r := range w.Rounds(address, from) {
		if len(r.MACs) == 1 && (len(list) == 0 || !slices.Equal(list[len(list)-1], r.MACs[0])) {
			list = append(list, r.MACs[0])
		}
	}
	return list
}

// Since lists the answers with the time since another moment, for a test that has to say what it saw.
func (r Round) Since(since time.Time) string {
	macs := make([]string, len(r.MACs))
	for i, m := range r.MACs {
		macs[i] = m.String()
	}
	return fmt.Sprintf("%+.2f s [%s]", r.At.Sub(since).Seconds(), strings.Join(macs, " "))
}

// AnswerersOf asks the segment once who has each of these addresses, and waits a tenth of a second for the answers.
func (h *Host) AnswerersOf(ctx context.Context, addresses ...netip.Addr) (map[netip.Addr][]net.HardwareAddr, error) {
	begin := time.Now()
	watch, err := h.Watch(ctx, time.Hour, addresses...)
	if err != nil {
		return nil, err
	}
	_ = Pause(ctx, 100*time.Millisecond) // what has come by then counts
	if err := watch.Stop(); err != nil {
		return nil, err
	}
	answers := map[netip.Addr][]net.HardwareAddr{}
	for _, a := range addresses {
		for _, r := range watch.Rounds(a, begin) {
			answers[a] = r.MACs
		}
	}
	return answers, nil
}
