package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry that has the Go runtime, the process and the build.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "fairlead_build_info",
		Help:        "Always 1; the labels say which build is running.",
		ConstLabels: prometheus.Labels{"version": Current(), "goversion": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// HTTP is the task that serves /metrics, /healthz and /readyz.
type HTTP struct {
	// Address to listen on, from --http-address.
	Address string
	// Metrics are served at /metrics.
	Metrics prometheus.Gatherer
	// Ready returns nil, or what the process waits for. It is called for every request to /readyz.
	Ready func() error
	Log   *slog.Logger

	listener net.Listener
}

// Listen takes the address, so that a process that cannot have it ends before it has begun anything. It
// returns the address as it is then, with the port that was chosen for port 0.
func (h *HTTP) Listen() (net.Addr, error) {
	listener, err := net.Listen("tcp", h.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--http-address %s: another process has this port; choose another", h.Address)
	case err != nil:
		return nil, fmt.Errorf("--http-address %s: listening: %w", h.Address, err)
	}
	h.listener = listener
	return listener.Addr(), nil
}

// Run serves until ctx ends.
func (h *HTTP) Run(ctx context.Context) error {
	if h.listener == nil {
		if _, err := h.Listen(); err != nil {
			return err
		}
	}
	h.Log.Debug("serving metrics and health", "address", h.listener.Addr().String())
	server := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--http-address %s: serving: %w", h.Address, err)
	}
	<-stopped
	return nil
}

func (h *HTTP) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{}))
	// Alive is who answers: a process that waits for something outside is not helped by a restart.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	return mux
}
