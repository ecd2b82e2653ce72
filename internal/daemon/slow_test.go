package daemon

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pipes is a listener in memory, where time is virtual.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{}), sync.Once{}} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.made <- local{server}
	return client
}

// local is a connection from the machine itself.
type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// Who reaches the port and is slow on purpose does not keep a connection: not by a request that does not end, nor by an
// answer that is not read.
func TestSlowClientsAreHungUpOn(t *testing.T) {
	const request = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
	for _, tt := range []struct {
		name, says string
		every      time.Duration // between its octets
		reads      bool
	}{
		{"says nothing", "", 0, true},
		{"does not end the header", request, 0, true},
		{"says the header an octet at a time", request + "X-A: " + strings.Repeat("a", 1000), 3 * time.Second, true},
		{"says a header that does not end", request + strings.Repeat("X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4000), 0, true},
		{"promises a body", request + "Content-Length: 1000\r\n\r\n", 0, true},
		{"says the body an octet at a time", request + "Content-Length: 1000\r\n\r\n" + strings.Repeat("a", 999), 10 * time.Second, true},
		{"does not read the answer", request + "\r\n", 0, false},
		{"is done", request + "\r\n", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := prometheus.NewRegistry()
				long := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "long"}, []string{"text"})
				long.WithLabelValues(strings.Repeat("x", 100_000)).Set(1)
				registry.MustRegister(long)
				listener := newPipes()
				h := &HTTP{Metrics: registry, log: slog.New(slog.DiscardHandler), listener: listener, level: &slog.LevelVar{}}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- h.Run(ctx) }()
				client := listener.dial()
				began := time.Now()
				hungUp := make(chan time.Duration, 1)
				go func() {
					defer close(hungUp)
					if tt.reads {
						io.Copy(io.Discard, client)
						hungUp <- time.Since(began)
						return
					}
					<-ctx.Done()
				}()
				said := make(chan time.Duration, 1)
				go func() {
					defer func() { said <- time.Since(began) }()
					step := len(tt.says)
					if tt.every > 0 {
						step = 1
					}
					for text := tt.says; len(text) > 0; text = text[step:] {
						if _, err := io.WriteString(client, text[:step]); err != nil {
							return
						}
						time.Sleep(tt.every)
					}
					if !tt.reads { // the connection is closed when writing fails
						for {
							if _, err := client.Write([]byte("a")); err != nil {
								return
							}
						}
					}
				}()
				select {
				case <-said:
				case <-time.After(10 * time.Minute):
					t.Error("may talk for 10 minutes")
				}
				if tt.reads {
					select {
					case d := <-hungUp:
						if d > 3*time.Minute {
							t.Errorf("hung up on after %s", d)
						}
					case <-time.After(10 * time.Minute):
						t.Error("not hung up on within 10 minutes")
					}
				}
				client.Close()
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A stream of the status page lasts, though all else is bounded.
func TestAStreamLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 10 {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Minute):
				}
				control := http.NewResponseController(w)
				_ = control.SetWriteDeadline(time.Now().Add(time.Second))
				io.WriteString(w, "tick\n")
				_ = control.Flush()
			}
		})
		h := &HTTP{Metrics: prometheus.NewRegistry(), Page: stream, log: slog.New(slog.DiscardHandler), listener: listener, level: &slog.LevelVar{}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		client := listener.dial()
		go io.WriteString(client, "GET /ui/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if got := strings.Count(string(text), "tick"); got != 10 || err != nil {
			t.Errorf("%d of 10 ticks: %v", got, err)
		}
		client.Close()
		cancel()
		<-ended
	})
}
