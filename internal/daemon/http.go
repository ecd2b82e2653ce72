package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// HTTP is the task that serves health, metrics, the log's level and, where that is wanted, profiles.
type HTTP struct {
	// Metrics are served at /metrics.
	Metrics prometheus.Gatherer
	// Ready returns nil, or what the process waits for. It is called for every request to /readyz.
	Ready func() error
	// Alive returns nil, or why the process is to be restarted. Without it the process is alive as long as it answers.
	Alive func() error
	// Authorize says who may read /metrics over TLS.
	Authorize Authorize
	// Page, if there is one, is served at /ui/ to who asks from the machine itself.
	Page http.Handler

	address, tlsAddress string
	profiles            bool
	level               *slog.LevelVar
	log                 *slog.Logger
	certificate         *certificate // nil without tlsAddress

	listener, tlsListener net.Listener
}

// HTTP returns the task as the options describe it. The options are to be valid.
func (o *Options) HTTP(metrics prometheus.Gatherer, log *slog.Logger, level *slog.LevelVar) *HTTP {
	h := &HTTP{Metrics: metrics, address: o.HTTPAddress, tlsAddress: o.MetricsTLSAddress, profiles: o.Profiles, level: level, log: log}
	if h.tlsAddress != "" {
		h.certificate = &certificate{certFile: o.MetricsTLSCertFile, keyFile: o.MetricsTLSKeyFile, log: log}
	}
	return h
}

// Listen takes the addresses and reads the certificate, so that a process that cannot have them ends before it
// has begun anything. It returns the address of --http-address as it is then, with the port that was chosen for
// port 0.
func (h *HTTP) Listen() (net.Addr, error) {
	if h.certificate != nil {
		if err := h.certificate.load(); err != nil {
			return nil, err
		}
	}
	var err error
	if h.listener, err = listen("--http-address", h.address); err != nil {
		return nil, err
	}
	if h.tlsAddress != "" {
		if h.tlsListener, err = listen("--metrics-tls-address", h.tlsAddress); err != nil {
			h.listener.Close()
			h.listener = nil
			return nil, err
		}
	}
	return h.listener.Addr(), nil
}

func listen(flag, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another process has this port; choose another", flag, address)
	case err != nil:
		return nil, fmt.Errorf("%s %s: listening: %w", flag, address, err)
	}
	return listener, nil
}

// Run serves until ctx ends.
func (h *HTTP) Run(ctx context.Context) error {
	if h.listener == nil {
		if _, err := h.Listen(); err != nil {
			return err
		}
	}
	h.log.Debug("serving metrics and health", "address", h.listener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.serve(ctx, "--http-address", h.listener, h.plain()) })
	if h.tlsListener != nil {
		h.log.Debug("serving metrics over TLS", "address", h.tlsListener.Addr().String())
		listener := tls.NewListener(h.tlsListener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: h.certificate.get})
		group.Go(func() error { return h.serve(ctx, "--metrics-tls-address", listener, h.secured()) })
	}
	return group.Wait()
}

// exchange is how long a request may take to come, and an answer to be taken. Who is slow on purpose would keep a
// connection and what serves it for ever otherwise: anybody who reaches the port, with nothing but patience. A stream and a
// profile set a deadline of their own for what they write.
const exchange = time.Minute

func (h *HTTP) serve(ctx context.Context, flag string, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       exchange,
		WriteTimeout:      exchange,
		IdleTimeout:       2 * time.Minute, // longer than Prometheus' usual intervals
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
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
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s %s: serving: %w", flag, listener.Addr(), err)
	}
	<-stopped
	return nil
}

func (h *HTTP) metrics() http.Handler { return promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{}) }

// plain is what --http-address serves.
func (h *HTTP) plain() http.Handler {
	mux := http.NewServeMux()
	if h.tlsAddress == "" {
		mux.Handle("GET /metrics", h.metrics())
	}
	// A process that waits for something outside is not helped by a restart: it is alive.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if h.Alive != nil {
			if err := h.Alive(); err != nil {
				http.Error(w, "not alive: "+err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Ready(); err != nil {
			http.Error(w, "not ready: "+inOneLine(err), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.HandleFunc("GET /loglevel", h.showLevel)
	mux.Handle("PUT /loglevel", fromHere(h.setLevel))
	if h.Page != nil {
		mux.Handle("/ui/", fromHere(h.Page.ServeHTTP))
	}
	mux.HandleFunc("GET /{$}", h.showContents)
	if h.profiles {
		for pattern, serve := range map[string]http.HandlerFunc{
			"GET /debug/pprof/":        pprof.Index, // the named ones too
			"GET /debug/pprof/cmdline": pprof.Cmdline, "GET /debug/pprof/profile": pprof.Profile, "GET /debug/pprof/trace": pprof.Trace,
			"GET /debug/pprof/symbol": pprof.Symbol, "POST /debug/pprof/symbol": pprof.Symbol,
		} {
			mux.Handle(pattern, fromHere(serve))
		}
	}
	return mux
}

// showContents tells somebody who looks what there is.
func (h *HTTP) showContents(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "/healthz   whether the process is alive\n/readyz    whether it is ready, or what it waits for\n")
	if h.tlsAddress == "" {
		io.WriteString(w, "/metrics   for Prometheus\n")
	}
	io.WriteString(w, "/loglevel  the log's level\n")
	if h.Page != nil {
		io.WriteString(w, "/ui/       the status page, through kubectl fairlead ui\n")
	}
}

// secured is what --metrics-tls-address serves.
func (h *HTTP) secured() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.Authorize.guard(h.metrics()))
	return mux
}

// inOneLine is an error on one line, as what is joined of several is not.
func inOneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
