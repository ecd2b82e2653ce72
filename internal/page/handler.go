package page

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Page is the task and the handler of the status page. The handler is to be reached from the machine itself alone:
// see internal/daemon.
type Page struct {
	hub    *hub
	static http.Handler
}

// New makes a page. It starts nothing.
func New(source Source) *Page { return &Page{newHub(source), newStatic(files)} }

// Run serves viewers until ctx ends.
func (p *Page) Run(ctx context.Context) error {
	p.hub.run(ctx)
	return nil
}

// Path is where the page is. Its stream is beneath it.
const (
	Path       = "/ui/"
	streamPath = Path + "stream"
)

// headers are of all answers. The page asks its own origin alone, and nobody shows it in a frame or reads it from
// another.
var headers = map[string]string{
	"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Cache-Control":                "no-store",
}

// ServeHTTP serves Path and what is beneath it.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	switch {
	case !local(r.Host):
		// A name that a foreign page has resolve to 127.0.0.1 (DNS rebinding) makes the page its own origin.
		http.Error(w, "only as localhost, 127.0.0.1 or [::1]: use kubectl fairlead ui", http.StatusForbidden)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page is read-only", http.StatusMethodNotAllowed)
	case r.URL.Path != streamPath:
		p.static.ServeHTTP(w, r)
	case foreign(r):
		http.Error(w, "only for the page itself", http.StatusForbidden)
	default:
		p.stream(w, r)
	}
}

// local tells whether a Host header names this machine. The port is whichever kubectl port-forward was given.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, strings.ToLower(host))
}

// foreign tells whether a browser says that another site's page asks. It could not read the answer, but cost us one.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// patience is how long a viewer may leave what it is sent unread until its connection ends.
const patience = 30 * time.Second

// stream sends a snapshot and then what changes, until the viewer goes. One that was behind gets a new snapshot.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Add("Vary", "Accept-Encoding")
	if r.Method == http.MethodHead {
		return
	}
	var to *sender
	for {
		events, stop := p.hub.view(r.Context())
		sent := false
		for events != nil {
			var e []byte
			select {
			case e = <-events:
			case <-r.Context().Done():
			}
			if e == nil {
				break
			}
			if to == nil {
				to = newSender(w, r)
				defer to.close()
			}
			if to.send(e) != nil {
				stop()
				return
			}
			sent = true
		}
		stop()
		switch {
		case r.Context().Err() != nil:
			return
		case to == nil:
			w.Header().Set("Retry-After", "10")
			http.Error(w, "too many look at the page already, or it is ending", http.StatusServiceUnavailable)
			return
		case !sent:
			return
		}
	}
}

// sender writes events to a viewer, each at once.
type sender struct {
	control *http.ResponseController
	out     io.Writer
	zip     *gzip.Writer // nil if the viewer takes none
}

func newSender(w http.ResponseWriter, r *http.Request) *sender {
	s := &sender{control: http.NewResponseController(w), out: w}
	if acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		s.zip, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is one
		s.out = s.zip
	}
	return s
}

func (s *sender) send(e []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(patience)) // not all can, in tests
	if _, err := s.out.Write(e); err != nil {
		return err
	}
	if s.zip != nil {
		if err := s.zip.Flush(); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

func (s *sender) close() {
	if s.zip != nil {
		_ = s.zip.Close() // nobody may be there any more
	}
}

// acceptsGzip reads Accept-Encoding as far as browsers use it: no one sends gzip;q=0.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if name, _, _ := strings.Cut(coding, ";"); strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}
