package soak

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// The pace of users. They are on every address for all of the time, so that each of them is few.
const (
	establishedEach  = 2 // connections to each address
	establishedEvery = time.Second
	freshEvery       = time.Second           // new connections to each address
	directEvery      = 50 * time.Millisecond // to the backend itself

	underWay            = 4           // at most, of new connections to an address: a busy machine is not to be made busier
	patienceFresh       = time.Second // for the answer to a new connection
	patienceEstablished = 2 * time.Second
	// unhurried is a time after which an answer of the backend itself is late: at half of that a speaker may take a
	// machine that stands still for a node that is gone.
	unhurried = 300 * time.Millisecond
)

// users are clients that use addresses for as long as they run, and write into the diary what they notice. A connection
// that breaks is made again.
type users struct {
	fleet   *fleet.Fleet
	diary   *diary
	running sync.WaitGroup

	mu     sync.Mutex
	counts map[string]*count
}

// count is of one way.
type count struct {
	established, requests int // connections made at first, and requests in them
	sent                  int // new connections
	slowest               time.Duration
}

func newUsers(f *fleet.Fleet, d *diary) *users {
	return &users{fleet: f, diary: d, counts: map[string]*count{}}
}

// use has clients use an address until ctx is done: over new connections, and over established ones if the backend stays.
func (u *users) use(ctx context.Context, way string, from *lab.Host, a netip.Addr, stays bool) {
	u.running.Go(func() { u.fresh(ctx, way, from, fleet.At(a), freshEvery) })
	for range establishedEach {
		if stays {
			u.running.Go(func() { u.established(ctx, way, from, fleet.At(a)) })
		}
	}
}

// direct has a client ask the backend itself. What is late there is the machine's doing.
func (u *users) direct(ctx context.Context, from *lab.Host) {
	to := netip.AddrPortFrom(u.fleet.Backend.V4, lab.BackendPort)
	u.running.Go(func() { u.fresh(ctx, fleet.Direct, from, to, directEvery) })
}

func (u *users) tally(way string, add func(*count)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.counts[way]
	if c == nil {
		c = &count{}
		u.counts[way] = c
	}
	add(c)
}

// fresh asks again and again, each time over a connection of its own.
func (u *users) fresh(ctx context.Context, way string, from *lab.Host, to netip.AddrPort, interval time.Duration) {
	var requests sync.WaitGroup
	defer requests.Wait()
	free := make(chan struct{}, underWay)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		select {
		case free <- struct{}{}:
		default:
			continue
		}
		requests.Go(func() {
			defer func() { <-free }()
			begin := time.Now()
			limited, cancel := context.WithTimeout(ctx, patienceFresh)
			defer cancel()
			_, err := from.Ask(limited, "tcp", to)
			end := time.Now()
			if err != nil && ctx.Err() != nil {
				return // what the end interrupts has not failed
			}
			if way == fleet.Direct && (err != nil || end.Sub(begin) > unhurried) {
				u.diary.stood(stall{begin, end})
			} else if err != nil {
				u.diary.note(happening{kind: failed, way: way, address: to.Addr(), from: begin, to: end, why: err.Error()})
			}
			u.tally(way, func(c *count) {
				c.sent++
				if err == nil {
					c.slowest = max(c.slowest, end.Sub(begin))
				}
			})
		})
	}
}

// established keeps a connection, with a request at an interval.
func (u *users) established(ctx context.Context, way string, from *lab.Host, to netip.AddrPort) {
	for first := true; ctx.Err() == nil; first = false {
		c, err := from.DialContext(ctx, "tcp", to.String())
		if err == nil {
			if first {
				u.tally(way, func(c *count) { c.established++ })
			}
			u.keep(ctx, way, c, to)
		}
		// New connections are judged by those who make nothing else.
		select {
		case <-time.After(freshEvery):
		case <-ctx.Done():
		}
	}
}

// keep uses a connection until it breaks. The node hides the client behind its own address, so the first answer tells
// through which node the connection goes.
func (u *users) keep(ctx context.Context, way string, c net.Conn, to netip.AddrPort) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	ticker := time.NewTicker(establishedEvery)
	defer ticker.Stop()
	reader, via, good := bufio.NewReader(c), "", time.Time{}
	for {
		reply, err := lab.AskAgain(c, reader, to, patienceEstablished)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && good.IsZero():
			return // it never was
		case err != nil:
			u.diary.note(happening{kind: broken, way: way, address: to.Addr(), node: via, from: good, to: now, why: err.Error()})
			return
		}
		if good = now; via == "" {
			via = u.nodeAt(reply.Client.Addr().Unmap())
		}
		u.tally(way, func(c *count) { c.requests++ })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (u *users) nodeAt(a netip.Addr) string {
	for _, n := range u.fleet.Nodes {
		if n.V4 == a || n.V6 == a {
			return n.Name
		}
	}
	return ""
}
