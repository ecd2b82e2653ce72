package page_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/page"
	"github.com/fairlead-lb/fairlead/internal/page/pagetest"
)

// browser reads a stream over a connection in memory, so that time is synctest's.
type browser struct {
	t      *testing.T
	conn   net.Conn
	events *bufio.Reader
	status int
}

// pipes is a listener whose connections are in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serve serves a page, and returns what opens browsers.
func serve(t *testing.T, source page.Source) (open func(...string) *browser) {
	p := page.New(source)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Run(ctx) }()
	listener := make(pipes)
	server := &http.Server{Handler: p}
	go server.Serve(listener) //nolint:errcheck // it says that it was closed
	t.Cleanup(func() {
		stop()
		<-done
		server.Close()
	})
	return func(headers ...string) *browser {
		client, of := net.Pipe()
		listener <- of
		go fmt.Fprintf(client, "GET /ui/stream HTTP/1.1\r\nHost: localhost\r\n%s\r\n", strings.Join(append(headers, ""), "\r\n"))
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		body := io.Reader(response.Body)
		if response.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		b := &browser{t, client, bufio.NewReader(body), response.StatusCode}
		t.Cleanup(func() { client.Close() })
		return b
	}
}

// next returns the next event.
func (b *browser) next() (name, data string) {
	b.t.Helper()
	for {
		line, err := b.events.ReadString('\n')
		if err != nil {
			b.t.Fatalf("reading the stream: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && name != "":
			return name, data
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		}
	}
}

func (b *browser) want(name, text string) {
	b.t.Helper()
	if got, data := b.next(); got != name || !strings.Contains(data, text) {
		b.t.Fatalf("the event %s %.300s, want %s with %s", got, data, name, text)
	}
}

func service(name, status string) *page.Service {
	return &page.Service{Namespace: "default", Name: name, Status: status}
}

func edit(name, status string) *page.Change {
	return &page.Change{Services: map[string]*page.Service{"default/" + name: service(name, status)}}
}

func TestStream(t *testing.T) {
	for _, coding := range []string{"identity", "gzip, deflate, br"} {
		t.Run(coding, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := pagetest.New(page.NewState())
				source.Edit(edit("one", page.Pending))
				open := serve(t, source)
				synctest.Wait()
				if source.Begun() > 0 {
					t.Fatal("something is read although nobody looks")
				}
				b := open("Accept-Encoding: " + coding)
				b.want("snapshot", `"services":{"default/one":{"namespace":"default","name":"one","status":"pending"`)

				began := time.Now()
				source.Edit(edit("one", page.Assigned))
				source.Edit(edit("two", page.Pending))
				b.want("change", `"services":{"default/one":{"namespace":"default","name":"one","status":"assigned","created":0},"default/two"`)
				if took := time.Since(began); took != 250*time.Millisecond {
					t.Errorf("changes were told after %v", took)
				}
				source.Edit(edit("one", page.Assigned)) // nothing new
				b.want("beat", `{"now":`)
				if took := time.Since(began); took != page.BeatInterval {
					t.Errorf("the first beat came after %v", took)
				}
				source.Edit(&page.Change{Services: map[string]*page.Service{"default/two": nil}})
				b.want("change", `"services":{"default/two":null}`)

				other := open()
				other.want("snapshot", `"default/one"`)
				if source.Begun() != 1 {
					t.Error("a second viewer has everything read anew")
				}
				b.conn.Close()
				other.conn.Close()
				time.Sleep(2 * page.BeatInterval) // a closed connection shows when it is written to
				synctest.Wait()
				if source.Looked() {
					t.Error("nobody looks any more, and changes are still noted")
				}
				open().want("snapshot", `"default/one"`)
			})
		})
	}
}

func TestSlowBrowserGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pagetest.New(page.NewState())
		open := serve(t, source)
		slow, quick := open(), open()
		slow.want("snapshot", `"services":{}`)
		quick.want("snapshot", `"services":{}`)
		const changes = 30
		for i := range changes {
			source.Edit(edit(fmt.Sprintf("s%02d", i), page.Pending))
			for {
				if name, data := quick.next(); name == "change" {
					if want := fmt.Sprintf(`"default/s%02d"`, i); !strings.Contains(data, want) || strings.Count(data, `"default/`) != 1 {
						t.Fatalf("the quick one is told %s, want %s", data, want)
					}
					break
				}
			}
		}
		told := 0
		for {
			name, data := slow.next()
			if told++; name != "snapshot" {
				continue
			}
			if n := strings.Count(data, `"default/s`); n != changes {
				t.Errorf("the snapshot has %d Services, want %d", n, changes)
			}
			break
		}
		if told > 15 {
			t.Errorf("the slow browser was sent %d events before the snapshot", told)
		}
		source.Edit(edit("last", page.Pending))
		slow.want("change", `"default/last"`)
	})
}

func TestBrowserThatReadsNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pagetest.New(page.NewState())
		open := serve(t, source)
		open().want("snapshot", "{") // and then nothing more
		time.Sleep(time.Minute)
		synctest.Wait()
		if source.Looked() {
			t.Error("a browser that reads nothing for a minute still counts as one that looks")
		}
	})
}

func TestTooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pagetest.New(page.NewState())
		open := serve(t, source)
		var all []*browser
		for range 16 {
			b := open()
			b.want("snapshot", "{")
			all = append(all, b)
		}
		if b := open(); b.status != http.StatusServiceUnavailable {
			t.Errorf("one more: status %d", b.status)
		}
		for _, b := range all {
			b.want("beat", "{")
		}
	})
}

func TestStreamEndsWithThePage(t *testing.T) {
	p := page.New(pagetest.New(page.NewState()))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	server := httptest.NewServer(p)
	defer server.Close()
	response, err := http.Get(server.URL + "/ui/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop()
	<-done
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasPrefix(string(body), "event: snapshot\n") {
		t.Errorf("%q, %v", body, err)
	}
	if response, err = http.Get(server.URL + "/ui/stream"); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after the end: %v, %v", response.Status, err)
	}
}

func TestAnswers(t *testing.T) {
	p := page.New(pagetest.New(page.NewState()))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go p.Run(ctx) //nolint:errcheck // it returns none
	for _, tt := range []struct {
		name, method, path, host string
		header                   string
		status                   int
	}{
		{"the page", "GET", "/ui/", "localhost:8080", "", 200},
		{"without a port", "GET", "/ui/", "localhost", "", 200},
		{"by its address", "GET", "/ui/index.html", "127.0.0.1:8080", "", 200},
		{"by its IPv6 address", "GET", "/ui/", "[::1]:8080", "", 200},
		{"by its IPv6 address without a port", "GET", "/ui/", "[::1]", "", 200},
		{"only what it is of", "HEAD", "/ui/", "localhost", "", 200},
		{"only what the stream is of", "HEAD", "/ui/stream", "localhost", "", 200},
		{"a name that was made to lead here", "GET", "/ui/", "localhost.example.com", "", 403},
		{"the same for the stream", "GET", "/ui/stream", "evil.example:8080", "", 403},
		{"the Pod's own address", "GET", "/ui/", "10.1.2.3:7572", "", 403},
		{"another loopback address", "GET", "/ui/", "127.0.0.2", "", 403},
		{"no name", "GET", "/ui/", "", "", 403},
		{"another site's page asks for the stream", "GET", "/ui/stream", "localhost", "Sec-Fetch-Site: cross-site", 403},
		{"a page of another port does", "GET", "/ui/stream", "localhost", "Sec-Fetch-Site: same-site", 403},
		{"a link leads to the page", "GET", "/ui/", "localhost", "Sec-Fetch-Site: cross-site", 200},
		{"a write", "POST", "/ui/", "localhost", "", 405},
		{"a write to the stream", "PUT", "/ui/stream", "localhost", "", 405},
		{"what browsers ask before a write", "OPTIONS", "/ui/stream", "localhost", "", 405},
		{"a file that there is not", "GET", "/ui/etc/passwd", "localhost", "", 404},
		{"a way out of the files", "GET", "/ui/../../go.mod", "localhost", "", 404},
		{"a directory", "GET", "/ui/static/", "localhost", "", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Host = tt.host
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%d %q, want %d", w.Code, w.Body, tt.status)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'; ", "Referrer-Policy": "no-referrer",
				"Cache-Control": "no-", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("a frame may show it: %s", csp)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("other origins may read it")
			}
		})
	}
}

func TestFilesAreKeptAsLongAsTheyAreTheSame(t *testing.T) {
	p := page.New(pagetest.New(page.NewState()))
	ask := func(tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/ui/", nil)
		r.Host = "localhost"
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w
	}
	first := ask("")
	tag := first.Header().Get("ETag")
	if first.Code != 200 || tag == "" || first.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d, ETag %s, %s", first.Code, tag, first.Header().Get("Content-Type"))
	}
	if again := ask(tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("the same file again: %d", again.Code)
	}
	if other := ask(`"other"`); other.Code != 200 {
		t.Errorf("another file: %d", other.Code)
	}
}

// TestTextIsData has names that are markup come as JSON that no HTML parser takes for any, whatever is done with it.
func TestTextIsData(t *testing.T) {
	text, err := json.Marshal(page.Service{Message: "</script><img src=x onerror=alert(1)>\u2028\n\ndata: {}"})
	if err != nil || strings.ContainsAny(string(text), "<>\n\u2028") {
		t.Errorf("%s, %v", text, err)
	}
}
