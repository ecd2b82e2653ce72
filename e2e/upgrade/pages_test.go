package upgrade

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// speakerHTTPPort is where a speaker serves its metrics.
const speakerHTTPPort = 7573

// metrics is what a process counts.
func (w *world) metrics(ctx context.Context, p *lab.Process) (string, error) {
	port := speakerHTTPPort
	if i := slices.Index(w.Controllers, p); i >= 0 {
		port = lab.ControllerHTTPPort + i
	}
	transport := p.Host.HTTPTransport()
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 2 * time.Second}
	url := fmt.Sprintf("http://%s/metrics", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

var sample = regexp.MustCompile(`(?m)^(\w+)(\{[^}]*\})? (\S+)$`)

// sum adds up the samples of a metric whose labels contain a text.
func sum(page, name, label string) float64 {
	total := 0.0
	for _, m := range sample.FindAllStringSubmatch(page, -1) {
		if v, err := strconv.ParseFloat(m[3], 64); err == nil && m[1] == name && strings.Contains(m[2], label) {
			total += v
		}
	}
	return total
}

// serving waits until every speaker sees all the others, and has sessions with them.
func (w *world) serving(ctx context.Context, t *testing.T) {
	t.Helper()
	measure.Eventually(ctx, t, "all speakers among the others", 30*time.Second, func() error {
		for _, n := range w.Nodes {
			page, err := w.metrics(ctx, n.Speaker)
			if err != nil {
				return err
			}
			if members := sum(page, "fairlead_gossip_members", ""); members != float64(len(w.Nodes)) {
				return fmt.Errorf("%s sees %v speakers", n.Name, members)
			}
			up, down := sum(page, "fairlead_bfd_sessions", `state="up"`), sum(page, "fairlead_bfd_sessions", `state="down"`)
			if down > 0 || up != float64(len(w.Nodes)-1) {
				return fmt.Errorf("%s has %v sessions that are up, and %v that are down", n.Name, up, down)
			}
		}
		return nil
	})
}

// understood fails if a speaker has dropped what another one said. What was lost while cables were pulled does not
// count: only what came and made no sense does.
func (w *world) understood(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, n := range w.Nodes {
		page, err := w.metrics(ctx, n.Speaker)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []struct{ name, label string }{
			{"fairlead_gossip_messages_dropped_total", ""},
			{"fairlead_bfd_packets_dropped_total", `"malformed"`},
			{"fairlead_bfd_packets_dropped_total", `"unauthenticated"`},
			{"fairlead_layer2_frames_dropped_total", `"claim"`},
		} {
			if dropped := sum(page, m.name, m.label); dropped > 0 {
				t.Errorf("%s, the %s release: %s %s is %v", n.Speaker.Name, w.runs[n.Speaker].name, m.name, m.label, dropped)
			}
		}
	}
}
