package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// heldPause is between an answer in an established connection and the next request in it.
	heldPause = 200 * time.Millisecond
	// heldTimeout is how late an answer in it may be. TCP would repair what takes longer, but people have gone.
	heldTimeout = 2 * time.Second
)

// outcome is what a load has come to at one address. The tests read it as JSON.
type outcome struct {
	Sent, Failed int
	Cut          int           // new connections that were made, and reset before the answer
	Why          []string      // the first few failures, of new connections and of established ones
	Longest      time.Duration // without an answer to a new connection
	LongestAt    time.Time     // its start
	Held, Broken int
	Slowest      time.Duration // the longest wait for an answer in an established connection

	last time.Time
	mu   sync.Mutex
}

// load keeps some connections established, shared out over addresses, with requests in each; and opens new
// ones at a rate, whether or not those before were answered. It goes on until the end of standard input: the
// end of `docker exec` would not end it. Then it prints what came of it.
func load(ctx context.Context, held, perSecond int, addresses []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make([]*outcome, len(addresses))
	for i := range outcomes {
		outcomes[i] = &outcome{}
	}
	connections := make([]net.Conn, held)
	var making errgroup.Group
	making.SetLimit(10)
	for i := range held {
		making.Go(func() (err error) {
			connections[i], err = net.DialTimeout("tcp", addresses[i%len(addresses)], heldTimeout)
			if err == nil {
				err = again(connections[i], bufio.NewReader(connections[i]))
			}
			return err
		})
	}
	if err := making.Wait(); err != nil {
		return fmt.Errorf("establishing %d connections: %w", held, err)
	}
	fmt.Println("established")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	var running sync.WaitGroup
	for i, c := range connections {
		outcomes[i%len(addresses)].Held++
		running.Go(func() { outcomes[i%len(addresses)].use(ctx, c) })
	}
	begin := time.Now()
	for _, o := range outcomes {
		o.last = begin
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for sent := 0; ctx.Err() == nil; {
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due; sent++ {
			to := sent % len(addresses)
			// What is under way at the end still counts.
			running.Go(func() { outcomes[to].ask(context.WithoutCancel(ctx), addresses[to]) })
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	end := time.Now()
	running.Wait()
	results := map[string]*outcome{}
	for i, o := range outcomes {
		o.gap(end)
		results[addresses[i]] = o
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// ask makes one new connection.
func (o *outcome) ask(ctx context.Context, address string) {
	begin := time.Now()
	_, err := ask(ctx, "tcp", address, askTimeout)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Sent++
	if err != nil {
		// A reset in answer to a SYN is another error (ECONNREFUSED).
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) {
			o.Cut++
		} else {
			o.Failed++
		}
		o.failure(fmt.Errorf("new at %s: %w", begin.Format(clock), err))
		return
	}
	o.gap(time.Now())
}

const clock = "15:04:05.000"

// gap ends one between answers.
func (o *outcome) gap(now time.Time) {
	if d := now.Sub(o.last); d > o.Longest {
		o.Longest, o.LongestAt = d, o.last
	}
	if now.After(o.last) {
		o.last = now
	}
}

func (o *outcome) failure(err error) {
	if len(o.Why) < 5 {
		o.Why = append(o.Why, err.Error())
	}
}

// use asks again and again in an established connection.
func (o *outcome) use(ctx context.Context, c net.Conn) {
	defer c.Close()
	for reader := bufio.NewReader(c); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(heldPause):
		}
		begin := time.Now()
		err := again(c, reader)
		o.mu.Lock()
		o.Slowest = max(o.Slowest, time.Since(begin))
		if err != nil {
			o.Broken++
			o.failure(fmt.Errorf("established, asked at %s: %w", begin.Format(clock), err))
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
	}
}

// again sends a request and reads its answer; the connection stays.
func again(c net.Conn, reader *bufio.Reader) error {
	if err := c.SetDeadline(time.Now().Add(heldTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: echo\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("answered " + response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
