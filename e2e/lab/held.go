package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Held are connections that a host keeps established, with a request in each at an interval. A backend that
// answers one has to be the one that the connection was made to, through every hop of the path.
type Held struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	result HeldResult
}

// HeldResult is what became of connections.
type HeldResult struct {
	Connections int
	Echoes      int           // requests answered
	Broken      []error       // why, one for each connection that broke
	Slowest     time.Duration // the longest wait for an answer
}

// heldTimeout is how late an answer may be. A connection whose answer is later counts as broken: TCP would
// repair it, but people have gone by then.
const heldTimeout = 2 * time.Second

// Hold makes n connections to a backend and returns when each has had its first answer. They are used until
// Stop, or until ctx is done.
func (h *Host) Hold(ctx context.Context, to netip.AddrPort, n int, interval time.Duration) (*Held, error) {
	running, cancel := context.WithCancel(ctx)
	x := &Held{cancel: cancel, result: HeldResult{Connections: n}}
	connections := make([]net.Conn, n)
	var making errgroup.Group
	making.SetLimit(10)
	for i := range n {
		making.Go(func() (err error) {
			if connections[i], err = h.DialContext(ctx, "tcp", to.String()); err != nil {
				return err
			}
			_, err = AskAgain(connections[i], bufio.NewReader(connections[i]), to, heldTimeout)
			return err
		})
	}
	if err := making.Wait(); err != nil {
		cancel()
		for _, c := range connections {
			if c != nil {
				c.Close()
			}
		}
		return nil, fmt.Errorf("holding %d connections from %s to %s: %w", n, h.Name, to, err)
	}
	for i, c := range connections {
		x.running.Go(func() {
			defer c.Close()
			select { // so that they do not all ask at once
			case <-time.After(interval * time.Duration(i) / time.Duration(n)):
				x.use(running, c, to, interval)
			case <-running.Done():
			}
		})
	}
	return x, nil
}

func (x *Held) use(ctx context.Context, c net.Conn, to netip.AddrPort, interval time.Duration) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for reader := bufio.NewReader(c); ; {
		begin := time.Now()
		_, err := AskAgain(c, reader, to, heldTimeout)
		if ctx.Err() != nil {
			return
		}
		x.mu.Lock()
		x.result.Slowest = max(x.result.Slowest, time.Since(begin))
		if err != nil {
			x.result.Broken = append(x.result.Broken, fmt.Errorf("connection of %s: %w", c.LocalAddr(), err))
			x.mu.Unlock()
			return
		}
		x.result.Echoes++
		x.mu.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// AskAgain asks a backend over a connection that stays. The answer may take so long.
func AskAgain(c net.Conn, reader *bufio.Reader, to netip.AddrPort, patience time.Duration) (reply Reply, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return reply, err
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", to); err != nil {
		return reply, err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return reply, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reply, errors.New("answered " + response.Status)
	}
	return reply, json.NewDecoder(response.Body).Decode(&reply)
}

// Result is what has become of the connections so far.
func (x *Held) Result() HeldResult {
	x.mu.Lock()
	defer x.mu.Unlock()
	result := x.result
	result.Broken = append([]error(nil), x.result.Broken...)
	return result
}

// Stop closes the connections and returns what became of them. Further calls return the same.
func (x *Held) Stop() HeldResult {
	x.cancel()
	x.running.Wait()
	return x.Result()
}
