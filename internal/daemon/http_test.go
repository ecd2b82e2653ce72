package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// served returns the task for options, its level, and what it logs.
func served(o Options) (*HTTP, *bytes.Buffer) {
	var out bytes.Buffer
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	log, level := o.Logger(&out)
	h := o.HTTP(NewRegistry(), log, level)
	h.Ready = func() error { return nil }
	return h, &out
}

// ask sends a request to a handler from an address.
func ask(h http.Handler, from, method, path, body string) (status int, answer string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const (
	here  = "127.0.0.1:4711"
	there = "192.0.2.1:4711"
)

func TestHTTP(t *testing.T) {
	h, _ := served(Options{})
	var waiting, stuck error
	h.Ready, h.Alive = func() error { return waiting }, func() error { return stuck }
	get := func(path string) (int, string) { return ask(h.plain(), there, http.MethodGet, path, "") }
	if code, body := get("/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("/readyz = %d %q", code, body)
	}
	waiting = errors.Join(errors.New("waiting for Services"), errors.New("waiting for Nodes"))
	if code, body := get("/readyz"); code != 503 || body != "not ready: waiting for Services; waiting for Nodes\n" {
		t.Errorf("/readyz while waiting = %d %q", code, body)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz while waiting = %d %q", code, body)
	}
	stuck = errors.New("stuck: decider")
	if code, body := get("/healthz"); code != 503 || body != "not alive: stuck: decider\n" {
		t.Errorf("/healthz while stuck = %d %q", code, body)
	}
	_, body := get("/metrics")
	for _, name := range []string{"fairlead_build_info{", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(body, name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	if code, _ := ask(h.plain(), here, http.MethodGet, "/debug/pprof/", ""); code != 404 {
		t.Errorf("/debug/pprof/ without --pprof = %d", code)
	}
	h, _ = served(Options{MetricsTLSAddress: "127.0.0.1:0"})
	if code, _ := get("/metrics"); code != 404 {
		t.Errorf("/metrics without TLS = %d though it is served over TLS", code)
	}
}

func TestWhatOnlyTheMachineItselfMayAsk(t *testing.T) {
	tests := []struct {
		name, from, method, path, body string
		status                         int
		answer                         string
	}{
		{"the level is shown to all", there, http.MethodGet, "/loglevel", "", 200, "info\n"},
		{"it is not changed from elsewhere", there, http.MethodPut, "/loglevel", "debug", 403, "only from the loopback address: use kubectl port-forward\n"},
		{"from here it is", here, http.MethodPut, "/loglevel", "debug", 200, "debug\n"},
		{"also over IPv6", "[::1]:4711", http.MethodPut, "/loglevel", "debug\n", 200, "debug\n"},
		{"also over IPv4 in an IPv6 socket", "[::ffff:127.0.0.1]:4711", http.MethodPut, "/loglevel", "WARN", 200, "warn\n"},
		{"not from a link-local neighbour", "[fe80::1%eth0]:4711", http.MethodPut, "/loglevel", "debug", 403, "only from the loopback address: use kubectl port-forward\n"},
		{"a level that there is not", here, http.MethodPut, "/loglevel", "loud", 400, `"loud" is none of debug, info, warn and error` + "\n"},
		{"no level", here, http.MethodPut, "/loglevel", "", 400, `"" is none of debug, info, warn and error` + "\n"},
		{"a novel", here, http.MethodPut, "/loglevel", strings.Repeat("debug", 100), 400, "the body is to be one word, a level: http: request body too large\n"},
		{"a form that a web page may send unasked", here, http.MethodPost, "/loglevel", "debug", 405, "Method Not Allowed\n"},
		{"a profile from elsewhere", there, http.MethodGet, "/debug/pprof/heap", "", 403, "only from the loopback address: use kubectl port-forward\n"},
		{"a profile", here, http.MethodGet, "/debug/pprof/goroutine?debug=1", "", 200, ""},
		{"where a program's functions are, as go tool pprof asks", here, http.MethodPost, "/debug/pprof/symbol", "0x1", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := served(Options{Profiles: true})
			status, answer := ask(h.plain(), tt.from, tt.method, tt.path, tt.body)
			if status != tt.status || tt.answer != "" && answer != tt.answer {
				t.Errorf("%d %q, want %d %q", status, answer, tt.status, tt.answer)
			}
		})
	}
}

func TestLevelIsChangedLive(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		h, out := served(Options{LogFormat: format})
		other := slog.New(h.log.Handler()).With("from", "client-go") // as other libraries' lines come
		put := func(level string) { ask(h.plain(), here, http.MethodPut, "/loglevel", level) }
		other.Debug("one")
		put("debug")
		other.Debug("two")
		put("error")
		other.Warn("three")
		for text, want := range map[string]int{"one": 0, "two": 1, "three": 0, "log level changed": 2} {
			if got := strings.Count(out.String(), text); got != want {
				t.Errorf("%s: %q is in the log %d times, want %d:\n%s", format, text, got, want, out)
			}
		}
	}
}

func TestHTTPNamesTheFlagWhenThePortIsInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.Addr().String()
	for flag, o := range map[string]Options{
		"--http-address": {HTTPAddress: taken}, "--metrics-tls-address": {HTTPAddress: "127.0.0.1:0", MetricsTLSAddress: taken},
	} {
		h, _ := served(o)
		if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), flag+" "+taken+": another process has this port") {
			t.Errorf("Run = %v", err)
		}
	}
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h, _ := served(Options{HTTPAddress: "127.0.0.1:0", MetricsTLSAddress: "127.0.0.1:0"})
	if err := h.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// started runs the task for the length of the test, and returns its address for TLS.
func started(t *testing.T, h *HTTP) string {
	t.Helper()
	if _, err := h.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return h.tlsListener.Addr().String()
}

func fetch(t *testing.T, client *http.Client, url, authorization string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestPage(t *testing.T) {
	h, _ := served(Options{})
	if code, _ := ask(h.plain(), here, http.MethodGet, "/ui/", ""); code != 404 {
		t.Errorf("/ui/ of a process that has no page = %d", code)
	}
	h.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the page") })
	for _, tt := range []struct {
		name, from, path string
		status           int
	}{
		{"from here", here, "/ui/", 200},
		{"what is beneath it", here, "/ui/stream", 200},
		{"without the slash", here, "/ui", 307},
		{"from elsewhere", there, "/ui/", 403},
		{"what is beneath it, from elsewhere", there, "/ui/stream", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, answer := ask(h.plain(), tt.from, http.MethodGet, tt.path, ""); status != tt.status {
				t.Errorf("%d %q, want %d", status, answer, tt.status)
			}
		})
	}
	if _, answer := ask(h.plain(), there, http.MethodGet, "/", ""); !strings.Contains(answer, "/metrics ") || !strings.Contains(answer, "/ui/ ") {
		t.Errorf("/ says\n%s", answer)
	}
	if code, _ := ask(h.plain(), there, http.MethodGet, "/other", ""); code != 404 {
		t.Errorf("/other = %d", code)
	}
}
