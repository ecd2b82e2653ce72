package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// SpeakerHTTPPort is where a speaker serves its metrics and health, as long as no flag says otherwise.
const SpeakerHTTPPort = 7573

// Page gets a page of a process's own HTTP server, from the host that it runs on, and its HTTP status.
func (h *Host) Page(ctx context.Context, port int, path string) (status int, page string, err error) {
	transport := h.HTTPTransport()
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

var sample = regexp.MustCompile(`(?m)^(\w+)(\{[^}]*\})? (\S+)$`)

// Sample is a line of a page of metrics.
type Sample struct {
	Name   string
	Labels string // {name="value",...}, or empty
	Value  float64
}

// Samples are those of a page of metrics.
func Samples(page string) (list []Sample) {
	for _, m := range sample.FindAllStringSubmatch(page, -1) {
		if v, err := strconv.ParseFloat(m[3], 64); err == nil {
			list = append(list, Sample{Name: m[1], Labels: m[2], Value: v})
		}
	}
	return list
}

// Sum adds up the samples of a metric on a page of metrics, of those whose labels contain a text.
func Sum(page, name, label string) float64 {
	total := 0.0
	for _, s := range Samples(page) {
		if s.Name == name && strings.Contains(s.Labels, label) {
			total += s.Value
		}
	}
	return total
}

// SpeakersSum adds up the samples of a metric of all nodes' speakers, of those whose labels contain a text.
func (l *Lab) SpeakersSum(ctx context.Context, name, label string) (total float64, err error) {
	for _, n := range l.Nodes {
		status, page, err := n.Page(ctx, SpeakerHTTPPort, "/metrics")
		if err == nil && status != http.StatusOK {
			err = errors.New(http.StatusText(status))
		}
		if err != nil {
			return 0, fmt.Errorf("the metrics of %s: %w", n.Name, err)
		}
		total += Sum(page, name, label)
	}
	return total, nil
}

// Established counts the BGP sessions that the nodes' speakers establish in the next d.
func (l *Lab) Established(ctx context.Context, d time.Duration) (float64, error) {
	const established = "fairlead_bgp_sessions_established_total"
	before, err := l.SpeakersSum(ctx, established, "")
	if err != nil {
		return 0, err
	}
	if err := Pause(ctx, d); err != nil {
		return 0, err
	}
	after, err := l.SpeakersSum(ctx, established, "")
	return after - before, err
}
