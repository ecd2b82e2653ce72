package scale

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/page"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What somebody who looks at the status page may cost a controller of 10,000 Services.
const (
	viewerCPU    = 2 * time.Second // until all is there
	viewerMemory = 96              // MB more
	// What a storm of changes may be told in: one event each 250 ms, not one a change.
	stormChanges, stormEvents = 500, 120
)

// counted counts what is read.
type counted struct {
	io.Reader
	bytes int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += n
	return n, err
}

// look opens the status page, and measures what that costs the controller: the first picture, a while in which nothing
// happens, and a storm.
func look(ctx context.Context, t *testing.T, w *world, services int) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cpu, memory := usage(t, w.Controllers[0])
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/ui/stream", lab.ControllerHTTPPort), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip") // as a browser does; the transport would do away with it
	response, err := (&http.Client{Transport: w.CP.HTTPTransport()}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	wire := &counted{Reader: response.Body}
	unzipped, err := gzip.NewReader(wire)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(unzipped)
	next := func() (name, data string) {
		for {
			line, err := events.ReadString('\n')
			if err != nil {
				t.Fatalf("reading the stream: %v", err)
			}
			switch line = strings.TrimSuffix(line, "\n"); {
			case line == "":
				return name, data
			case strings.HasPrefix(line, "event: "):
				name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data = line[len("data: "):]
			}
		}
	}

	_, data := next()
	took := time.Since(began)
	state := page.NewState()
	if err := json.Unmarshal([]byte(data), state); err != nil || len(state.Services) < services {
		t.Fatalf("the snapshot has %d Services of %d: %v", len(state.Services), services, err)
	}
	first, more := usage(t, w.Controllers[0])
	t.Logf("status page with %d Services: there after %s, %.1f MB as %.2f MB, %s of CPU, %d MB of memory before and %d MB then",
		len(state.Services), took.Round(time.Millisecond), float64(len(data))/1e6, float64(wire.bytes)/1e6, first-cpu, memory, more)
	if first-cpu > viewerCPU {
		t.Errorf("the snapshot took %s of CPU, want at most %s", first-cpu, viewerCPU)
	}

	for range 2 {
		for name := ""; name != "beat"; name, _ = next() {
		}
	}
	idle, _ := usage(t, w.Controllers[0])
	t.Logf("two beats of nothing: %s of CPU", idle-first)

	before := wire.bytes
	go func() {
		for i := range stormChanges {
			patch := []byte(`{"spec": {"externalTrafficPolicy": "Local"}}`)
			_, err := w.core.CoreV1().Services(namespace).Patch(ctx, fmt.Sprint("s", i), types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	changes, seen := 0, map[string]bool{}
	for len(seen) < stormChanges {
		name, data := next()
		if name != "change" {
			continue
		}
		var c page.Change
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Fatal(err)
		}
		for key, svc := range c.Services {
			if svc != nil && svc.Local {
				seen[key] = true
			}
		}
		changes++
	}
	storm, most := usage(t, w.Controllers[0])
	t.Logf("%d Services that change: %d events, %d bytes, %s of CPU with what the controller does about them itself, %d MB", stormChanges, changes,
		wire.bytes-before, storm-idle, most)
	if changes > stormEvents {
		t.Errorf("%d changes came as %d events, want at most %d", stormChanges, changes, stormEvents)
	}
	if most-memory > viewerMemory {
		t.Errorf("a viewer costs %d MB of memory, want at most %d", most-memory, viewerMemory)
	}
}
