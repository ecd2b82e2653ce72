package layer2

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Announcer announces addresses: in a burst at takeover, then at a slow pace.
type Announcer struct {
	// Send puts the announcement of an address on the wire.
	Send func(netip.Addr)

	kick  chan struct{}
	born  time.Time
	mu    sync.Mutex
	by    map[netip.Addr]*announcement
	queue announcements
}

type announcement struct {
	address netip.Addr
	at      time.Time
	sent    int
	index   int // in the heap
}

// NewAnnouncer returns an announcer that uses send.
func NewAnnouncer(send func(netip.Addr)) *Announcer {
	return &Announcer{Send: send, kick: make(chan struct{}, 1), born: time.Now(), by: map[netip.Addr]*announcement{}}
}

// Start announces an address now, and again until Stop. Of an address that is announced already it begins
// the burst anew.
func (a *Announcer) Start(address netip.Addr) {
	a.mu.Lock()
	x := a.by[address]
	if x == nil {
		x = &announcement{address: address}
		a.by[address] = x
		heap.Push(&a.queue, x)
	}
	x.sent, x.at = 0, time.Now()
	heap.Fix(&a.queue, x.index)
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// Stop ends the announcements of an address.
func (a *Announcer) Stop(address netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := a.by[address]; x != nil {
		heap.Remove(&a.queue, x.index)
		delete(a.by, address)
	}
}

// Run announces until ctx ends.
func (a *Announcer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.kick:
		case <-timer.C:
		}
		due, wait := a.due(time.Now())
		for _, address := range due {
			a.Send(address)
		}
		timer.Reset(wait)
	}
}

// due returns the addresses to announce now and the time until the next.
func (a *Announcer) due(now time.Time) (due []netip.Addr, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 {
		x := a.queue[0]
		if x.at.After(now) {
			return due, x.at.Sub(now)
		}
		due = append(due, x.address)
		x.sent++
		x.at = a.born.Add(next(x.sent, now.Sub(a.born), rand.Float64()))
		heap.Fix(&a.queue, 0)
	}
	return due, refresh
}

// announcements is a heap by time.
type announcements []*announcement

func (h announcements) Len() int           { return len(h) }
func (h announcements) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h announcements) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *announcements) Push(x any) {
	item := x.(*announcement)
	item.index = len(*h)
	*h = append(*h, item)
}

func (h *announcements) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
