package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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
