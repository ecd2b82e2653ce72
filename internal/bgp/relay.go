package bgp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// bufferOctets is how much is read at once, and sent at once if there is as much.
	bufferOctets = 64 << 10
	// farewell is for how long a router may take in the last words, and close its side.
	farewell = time.Second
	// openingPatience and endlessPatience are for how long a router may take nothing in before a hold time is
	// agreed on, and if there is none (RFC 9687 section 3.1).
	openingPatience = time.Minute
	endlessPatience = 8 * time.Minute
	// stallTime is for how long a write may take before the router counts as slow.
	stallTime = 50 * time.Millisecond
)

// relay carries a conversation between the connection to a router and the one to a GoBGP server.
type relay struct {
	router, server net.Conn
	fromServer     *bufio.Reader
	// opened has the session agree to the router's OPEN. It may block until the relay is done.
	opened func(open) error
	// established tells of it; it must not block.
	established func()
	tally       *tally

	// mu guards talk, ended, and the deadlines of router's that hang on it.
	mu    sync.Mutex
	talk  *conversation
	ended string
	// writing is held by who writes to the router; broken is true once a message was sent in part.
	writing sync.Mutex
	broken  bool
	// since is when the write to the router began that has not ended yet, by the monotonic clock, in nanoseconds after
	// began; 0 for none.
	since atomic.Int64
	began time.Time
	done  chan struct{}
}

func newRelay(p Peer, router, server net.Conn, fromServer *bufio.Reader, t *tally) *relay {
	return &relay{
		router: router, server: server, fromServer: fromServer, tally: t,
		talk: newConversation(p), done: make(chan struct{}), began: time.Now(),
	}
}

// run relays until one side is gone, and returns why. It closes both.
func (r *relay) run() string {
	var both sync.WaitGroup
	both.Go(r.outbound)
	both.Go(r.inbound)
	both.Wait()
	r.router.Close()
	return r.ended
}

// finish ends the conversation, for a reason in words, with last words to the router; without any, it sees the
// connection closed. The first reason counts.
func (r *relay) finish(words string, last []byte) {
	r.mu.Lock()
	first := r.ended == ""
	if first {
		r.ended = words
		close(r.done)
		_ = r.router.SetDeadline(time.Now().Add(farewell))
	}
	r.mu.Unlock()
	if !first {
		return
	}
	if last == nil {
		r.router.Close()
	} else {
		r.sayLast(last)
	}
	r.server.Close()
}

// sayLast sends a last message, and says that there are no more: a connection that is closed with something unread
// is reset, and the message lost on the way. The inbound side closes it when the router has closed its own.
func (r *relay) sayLast(b []byte) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.broken {
		r.router.Close()
		return
	}
	if _, err := r.router.Write(b); err != nil {
		r.router.Close()
		return
	}
	r.tally.sent(kindNotification)
	if half, ok := r.router.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	r.router.Close()
}

// set sets a deadline of the router's connection, unless the conversation has ended, which has set the last one.
func (r *relay) set(deadline func(time.Time) error, t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != "" {
		return false
	}
	_ = deadline(t)
	return true
}

// outbound carries what GoBGP says to the router.
func (r *relay) outbound() {
	out := make([]byte, 0, bufferOctets+maxLength)
	for {
		m, err := readMessage(r.fromServer)
		if err != nil {
			r.finish("GoBGP closed the connection", nil)
			return
		}
		r.mu.Lock()
		p := r.talk.fromServer(m)
		patience := r.talk.patience()
		r.mu.Unlock()
		if p.ended != "" {
			// Everything before it goes first.
			_ = r.send(out, patience)
			r.finish(p.ended, append([]byte(nil), p.toRouter...))
			return
		}
		if len(p.toRouter) > 0 {
			r.tally.sent(m.kind())
			out = append(out, p.toRouter...)
		}
		if p.established {
			r.established()
		}
		if len(out) > 0 && (len(out) >= bufferOctets || !hasMessage(r.fromServer)) {
			if err := r.send(out, patience); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

func (c *conversation) patience() time.Duration {
	switch {
	case c.state != Established && c.state != OpenConfirm:
		return openingPatience
	case c.holdTime == 0:
		return endlessPatience
	}
	return c.holdTime
}

func (r *relay) send(b []byte, patience time.Duration) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.set(r.router.SetWriteDeadline, time.Now().Add(patience)) {
		return net.ErrClosed
	}
	r.writes(time.Now())
	_, err := r.router.Write(b)
	r.since.Store(0)
	if err != nil {
		r.broken = true
		words := "sending to the router: " + errorWords(err)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			words = fmt.Sprintf("the router took nothing in for %s", patience)
		}
		// Not from here: it needs the lock.
		go r.finish(words, nil)
	}
	return err
}

// inbound carries what the router says to GoBGP.
func (r *relay) inbound() {
	in := bufio.NewReaderSize(r.router, bufferOctets)
	for {
		r.set(r.router.SetReadDeadline, r.wake(time.Now()))
		m, err := readMessage(in)
		switch n := (notification{}); {
		case r.over():
			r.drain()
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.feed(r.due(time.Now())) != nil {
				return
			}
			continue
		case errors.As(err, &n):
			r.finish(sentWords+n.Error(), n.message())
			r.drain()
			return
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			r.finish("the router closed the connection", nil)
			return
		case errors.Is(err, syscall.ECONNRESET):
			r.finish("the router reset the connection", nil)
			return
		case err != nil:
			r.finish("reading from the router: "+errorWords(err), nil)
			return
		}
		r.tally.received(m.kind())
		r.mu.Lock()
		p := r.talk.fromRouter(m, time.Now())
		router := r.talk.router
		r.mu.Unlock()
		if p.opened {
			if err := r.opened(router); err != nil {
				return
			}
		}
		if p.ended != "" {
			r.finish(p.ended, p.toRouter)
			r.drain()
			return
		}
		if p.established { // before GoBGP is: it begins to send at once
			r.established()
		}
		if r.feed(p.toServer) != nil {
			return
		}
		if b := r.asked(time.Now()); len(b) > 0 && r.feed(b) != nil {
			return
		}
	}
}

func (r *relay) over() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.ended != "" }

// drain reads until the router has closed its side, or for as long as it is given to.
func (r *relay) drain() { _, _ = io.Copy(io.Discard, r.router) }

// wake is when inbound has something to do although nothing has come, zero for never.
func (r *relay) wake(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.talk.waiting():
		return now.Add(refreshInterval)
	case r.talk.state == Established && r.talk.holdTime == 0:
		return now.Add(r.talk.peer.gobgpHoldTime() / 3)
	}
	return time.Time{}
}

// due is what GoBGP gets although nothing has come.
func (r *relay) due(now time.Time) (b []byte) {
	r.mu.Lock()
	if r.talk.state == Established && r.talk.holdTime == 0 {
		b = r.talk.feed(now)
	}
	r.mu.Unlock()
	return append(b[:len(b):len(b)], r.asked(now)...)
}

// writes notes that a write to the router begins.
func (r *relay) writes(now time.Time) { r.since.Store(max(1, int64(now.Sub(r.began)))) }

// stalled tells whether the router does not take in what it is sent. Then GoBGP is not to get more to send, since it
// would keep all of it in memory.
func (r *relay) stalled(now time.Time) bool {
	since := r.since.Load()
	return since != 0 && now.Sub(r.began)-time.Duration(since) > stallTime
}

func (r *relay) asked(now time.Time) []byte {
	if r.stalled(now) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.talk.refreshes(now)
}

func (r *relay) feed(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := r.server.Write(b)
	if err != nil {
		// What GoBGP has said before it closed is better to know: outbound is reading it. If it is the relay that
		// closed, this goes nowhere.
		select {
		case <-r.done:
		case <-time.After(farewell):
			r.finish("GoBGP closed the connection", nil)
		}
		r.drain()
	}
	return err
}

// errorWords shortens an error of a connection to what a user does not know yet.
func errorWords(err error) string {
	if isTimeout(err) {
		return "timed out"
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err // without the addresses
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
