package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// ask sends one request over a connection of its own and returns the answer.
func ask(ctx context.Context, network, address string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var answer []byte
	var err error
	switch network {
	case "tcp":
		answer, err = askHTTP(ctx, address)
	case "udp":
		answer, err = askUDP(ctx, address)
	default:
		err = fmt.Errorf("%q is neither tcp nor udp", network)
	}
	return strings.TrimSpace(string(answer)), err
}

func askHTTP(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	return io.ReadAll(response.Body)
}

func askUDP(ctx context.Context, address string) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "who are you?\n"); err != nil {
		return nil, err
	}
	buffer := make([]byte, 1500)
	n, err := conn.Read(buffer)
	return buffer[:n], err
}

// watch asks every address once per interval, whether or not the request before was answered, and prints a
// line for each answer when it comes: the time in nanoseconds since 1970, the address, the answer. It stops
// at the end of standard input: the end of `docker exec` would not end it.
func watch(ctx context.Context, interval, timeout time.Duration, addresses []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var out sync.Mutex
	var requests sync.WaitGroup
	defer requests.Wait()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		for _, address := range addresses {
			requests.Go(func() {
				answer, err := ask(ctx, "tcp", address, timeout)
				at := time.Now()
				if err != nil {
					return // what is missing tells
				}
				out.Lock()
				defer out.Unlock()
				fmt.Println(at.UnixNano(), address, answer)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
