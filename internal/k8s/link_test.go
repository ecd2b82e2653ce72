package k8s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// plainLog writes level and message only.
func plainLog(w *bytes.Buffer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey || a.Key == slog.MessageKey {
			return a
		}
		return slog.Attr{}
	}}))
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLinkLogsTransitionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLink("https://192.0.2.10:6443", plainLog(&log, slog.LevelInfo))
		var failure error
		l.next = transport(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, failure })
		ask := func(method string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, method, l.server, nil)
			l.RoundTrip(r)
			time.Sleep(600 * time.Millisecond)
		}
		if err := l.err(); !errors.Is(err, errNotTried) {
			t.Errorf("before the first try: %v", err)
		}
		refused := errors.New("connection refused")
		for _, step := range []error{refused, refused, nil, nil, refused, nil, refused, refused, refused, refused, context.Canceled, nil} {
			failure = step
			ask(http.MethodPatch)
		}
		want := `level=WARN msg="API server not reached yet, waiting"
level=INFO msg="API server reached"
level=WARN msg="API server not reached any more, waiting"
level=INFO msg="API server reached"
`
		if log.String() != want {
			t.Errorf("log:\n%s\nwant:\n%s", &log, want)
		}
		if l.err() != nil {
			t.Errorf("in the end: %v", l.err())
		}
	})
}

func TestLinkKeepsAskingForInformers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Hour)
		l := newLink("https://192.0.2.10:6443", slog.New(slog.DiscardHandler))
		l.next = transport(func(*http.Request) (*http.Response, error) {
			if time.Now().Before(back) {
				return nil, errors.New("connection refused")
			}
			return &http.Response{StatusCode: 200}, nil
		})
		ask := func(ctx context.Context, method string) (time.Duration, error) {
			began := time.Now()
			r, _ := http.NewRequestWithContext(ctx, method, l.server, nil)
			_, err := l.RoundTrip(r)
			return time.Since(began), err
		}
		bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if took, err := ask(bounded, http.MethodGet); err == nil || took != 0 {
			t.Errorf("a request with a deadline: %v after %v, want an error at once", err, took)
		}
		if took, err := ask(t.Context(), http.MethodPost); err == nil || took != 0 {
			t.Errorf("a write: %v after %v, want an error at once", err, took)
		}
		given, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		if took, err := ask(given, http.MethodGet); err == nil || took != 5*time.Second {
			t.Errorf("a request that is given up: %v after %v, want an error after 5s", err, took)
		}
		if took, err := ask(t.Context(), http.MethodGet); err != nil || took > time.Hour+time.Second {
			t.Errorf("a list: %v after %v, want an answer within a second of the API server's return", err, took)
		}
	})
}

// The connection dies again and again, as when the API server's machine is cut off for some seconds each time. The
// watch goes on where it was, at once: client-go alone would wait longer each time, and then ask for all again.
func TestWatchGoesOnWhereItsConnectionDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deaths = 8
		version := func(i int) string { return strconv.Itoa(1000 + i) }
		var asked []string
		begin := time.Now()
		l := newLink("https://192.0.2.10:6443", slog.New(slog.DiscardHandler))
		l.next = transport(func(r *http.Request) (*http.Response, error) {
			q := r.URL.Query()
			i := len(asked)
			asked = append(asked, fmt.Sprintf("%v watch=%s from %q, all: %s", time.Since(begin), q.Get("watch"), q.Get("resourceVersion"), q.Get("sendInitialEvents")))
			event := `{"type":"MODIFIED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"default","resourceVersion":"` + version(i) + `"}}}` + "\n"
			if q.Get("sendInitialEvents") != "" {
				event = `{"type":"BOOKMARK","object":{"kind":"Service","apiVersion":"v1","metadata":{"resourceVersion":"` + version(i) + `","annotations":{"k8s.io/initial-events-end":"true"}}}}` + "\n"
			}
			body, server := io.Pipe()
			go func() {
				server.Write([]byte(event))
				select {
				case <-r.Context().Done():
				case <-time.After(5 * time.Second):
				}
				server.CloseWithError(errors.New("http2: client connection lost"))
			}()
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
		})
		core, err := kubernetes.NewForConfigAndClient(&rest.Config{Host: l.server}, &http.Client{Transport: l})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := WatchServices(&Cluster{Core: core}, slog.New(slog.DiscardHandler))
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(deaths*5*time.Second + time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var want []string
		for i := range deaths + 1 {
			at := time.Duration(i) * 5 * time.Second
			if i == 0 {
				want = append(want, fmt.Sprintf(`%v watch=true from "", all: true`, at))
			} else {
				want = append(want, fmt.Sprintf(`%v watch=true from %q, all: `, at, version(i-1)))
			}
		}
		if !slices.Equal(asked, want) {
			t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestComplaint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := Complaint{What: "Services cannot be watched", Log: plainLog(&log, slog.LevelInfo)}
		lines := func() int { return strings.Count(log.String(), "cannot be watched") }
		forbidden := apierrors.NewForbidden(corev1Services, "", errors.New("no rule"))
		c.Report(errors.New("connection refused"))
		if lines() != 0 || c.Err() == nil {
			t.Errorf("that nobody answers is said elsewhere; log: %s", &log)
		}
		for range 100 {
			c.Report(forbidden)
			time.Sleep(time.Second)
		}
		if lines() != 1 {
			t.Errorf("%d lines for one failure", lines())
		}
		for range 10 {
			c.Report(forbidden)
			time.Sleep(time.Minute)
		}
		if lines() != 2 {
			t.Errorf("%d lines for one failure that lasts, want 2", lines())
		}
		c.Over()
		c.Report(forbidden)
		if time.Sleep(patience / 2); c.Err() == nil || lines() != 2 {
			t.Errorf("%d lines for a failure that has just begun, want 2", lines())
		}
		time.Sleep(patience)
		if c.Report(forbidden); lines() != 3 {
			t.Errorf("%d lines for a failure that has come back, want 3", lines())
		}
		time.Sleep(episode + time.Second)
		if c.Report(forbidden); lines() != 3 {
			t.Errorf("%d lines for another one that has just begun, want 3", lines())
		}
		time.Sleep(episode + time.Second)
		if c.Report(forbidden); lines() != 4 {
			t.Errorf("%d lines for what is tried seldom and fails again, want 4", lines())
		}
	})
}

func TestShorten(t *testing.T) {
	if s := Shorten("short"); s != "short" {
		t.Errorf("Shorten = %q", s)
	}
	if s := Shorten(strings.Repeat("ä", 300_000)); len(s) > 1010 || !strings.HasSuffix(s, "ä...") {
		t.Errorf("Shorten = %d bytes ending in %q", len(s), s[len(s)-6:])
	}
}

func TestClientGoLogsAtDebug(t *testing.T) {
	for _, tt := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelInfo, ""},
		{slog.LevelDebug, "level=DEBUG msg=\"acquiring the lease\"\nlevel=DEBUG msg=failed\n"},
	} {
		var log bytes.Buffer
		CaptureLogs(plainLog(&log, tt.level))
		klog.Background().Info("acquiring the lease")
		klog.Background().Error(errors.New("refused"), "failed")
		klog.Background().V(4).Info("chatter")
		if log.String() != tt.want {
			t.Errorf("at level %s the log is %q, want %q", tt.level, &log, tt.want)
		}
	}
	klog.ClearLogger()
}
