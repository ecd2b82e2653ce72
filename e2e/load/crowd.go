package load

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// crowd is users who ask. Every second one keeps a connection and asks again after a while; the others make a connection
// for each request. Each has an address that it always asks, and is due every Think, from a moment of its own on.
type crowd struct {
	Targets  []netip.AddrPort
	Nodes    map[netip.Addr]uint8 // as a backend sees them, which sees a node in a client's place
	Users    int
	Think    time.Duration
	Patience time.Duration // with an answer; shorter than Think, so that a user who waits is not late for the next request
	Path     string        // where the notes go
}

// keeps tells whether this user keeps its connection.
func keeps(user int) bool { return user%2 == 0 }

// dial connects, as net.Dialer.DialContext does.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// gather has the users ask until ctx is done. What is under way then is not noted.
func (c crowd) gather(ctx context.Context, dial dial) notes {
	users := make([]user, c.Users)
	n := notes{Begin: time.Now()}
	// The same moments in each run.
	r := rand.New(rand.NewPCG(1, 1))
	var all sync.WaitGroup
	for i := range users {
		u := &users[i]
		*u = user{crowd: &c, number: i, target: i / 2 % len(c.Targets), keeps: keeps(i), dial: dial}
		first := time.Duration(r.Int64N(int64(c.Think)))
		all.Go(func() { u.live(ctx, n.Begin, first) })
	}
	all.Wait()
	for i := range users {
		n.Requests = append(n.Requests, users[i].requests...)
		n.Spoiled = append(n.Spoiled, users[i].spoiled...)
	}
	slices.SortStableFunc(n.Requests, func(a, b request) int { return cmp.Compare(a.Due, b.Due) })
	return n
}

// user is one of a crowd.
type user struct {
	*crowd
	number, target int
	keeps          bool
	dial           dial

	conn   net.Conn // nil if there is none
	reader *bufio.Reader
	node   uint8 // that of conn

	requests []request
	spoiled  []string
}

// live asks at each due time until ctx is done.
func (u *user) live(ctx context.Context, begin time.Time, first time.Duration) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	defer u.hangUp()
	for due := first; ; due += u.Think {
		timer.Reset(time.Until(begin.Add(due)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		at := begin.Add(due)
		r := request{Due: due, Late: time.Since(at), User: uint16(u.number), Target: uint16(u.target), New: u.conn == nil}
		err := u.ask(ctx, time.Now().Add(u.Patience))
		if ctx.Err() != nil {
			return
		}
		r.Took, r.Node, r.End = time.Since(at), u.node, endOf(err, u.conn != nil)
		if r.End == spoiled {
			u.spoiled = append(u.spoiled, err.Error())
		}
		u.requests = append(u.requests, r)
		if err != nil || !u.keeps {
			u.hangUp()
		}
	}
}

// ask sends a request and reads its answer, over a connection that it makes if there is none.
func (u *user) ask(ctx context.Context, until time.Time) error {
	if u.conn == nil {
		limited, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		conn, err := u.dial(limited, "tcp", u.Targets[u.target].String())
		if err != nil {
			return err
		}
		u.conn, u.reader = conn, bufio.NewReaderSize(conn, 512)
	}
	conn := u.conn
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	// The deadline in the past wakes a read that waits when the crowd ends.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", u.Targets[u.target]); err != nil {
		return err
	}
	response, err := http.ReadResponse(u.reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var reply struct{ Client netip.AddrPort } // of lab.Reply
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return err
	}
	u.node = u.Nodes[reply.Client.Addr().Unmap()]
	return nil
}

// hangUp closes the connection, by reset where it can: a node tracks a connection that was closed in order for two minutes
// more, and has no port left for the next one at such rates.
func (u *user) hangUp() {
	if u.conn == nil {
		return
	}
	if tcp, ok := u.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	u.conn.Close()
	u.conn, u.reader, u.node = nil, nil, 0
}
