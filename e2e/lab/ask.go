package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Ask sends one request to a backend over a connection of its own, through the host's own kernel and its ARP
// and NDP caches. The network is "tcp" (an HTTP request) or "udp" (a datagram, not repeated).
func (h *Host) Ask(ctx context.Context, network string, to netip.AddrPort) (Reply, error) {
	var reply Reply
	conn, err := h.DialContext(ctx, network, to.String())
	if err != nil {
		return reply, fmt.Errorf("asking %s over %s: %w", to, network, err)
	}
	defer conn.Close()
	// The deadline in the past wakes a read that is waiting when ctx ends.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	text, err := exchange(conn, to)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		return reply, fmt.Errorf("asking %s over %s from %s: %w", to, network, h.Name, err)
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return reply, fmt.Errorf("asking %s over %s from %s: answer %q: %w", to, network, h.Name, text, err)
	}
	return reply, nil
}

func exchange(conn net.Conn, to netip.AddrPort) ([]byte, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		if _, err := conn.Write([]byte("who are you?\n")); err != nil {
			return nil, err
		}
		buffer := make([]byte, 64<<10)
		n, err := conn.Read(buffer)
		return buffer[:n], err
	}
	// Closing by reset leaves no TIME_WAIT: a probe at 100 connections per second would use up the ports.
	if err := tcp.SetLinger(0); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", to); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("answered " + response.Status)
	}
	return io.ReadAll(response.Body)
}

// askTimeout bounds one request of Await: a lost datagram is not repeated, and a lost SYN only after a second.
const askTimeout = 200 * time.Millisecond

// Await asks again and again until a backend answers or ctx is done.
func (h *Host) Await(ctx context.Context, network string, to netip.AddrPort) (Reply, error) {
	var reply Reply
	err := wait(ctx, fmt.Sprintf("an answer of %s over %s to %s", to, network, h.Name), func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		var err error
		reply, err = h.Ask(ctx, network, to)
		return err == nil, err
	})
	return reply, err
}

// HTTPTransport is a transport whose connections start on the host, for callers who need more than Ask:
// connections that are kept, headers, other servers.
func (h *Host) HTTPTransport() *http.Transport {
	return &http.Transport{DialContext: h.DialContext, MaxIdleConnsPerHost: 4}
}
