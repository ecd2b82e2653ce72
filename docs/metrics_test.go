// Package docs_test holds what is made from the code to what the code says.
package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/gossip"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/controller"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var update = flag.Bool("update", false, "rewrite metrics.md")

// metric is one that a process registers, whether or not it has a sample yet.
type metric struct {
	name, kind, help string
	labels           []string
}

// register is a registry that notes what is registered.
type register struct {
	*prometheus.Registry
	metrics map[string]metric
}

func newRegister() *register { return &register{daemon.NewRegistry(), map[string]metric{}} }

func (r *register) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc)
	go func() { c.Describe(descriptions); close(descriptions) }()
	for d := range descriptions {
		m := describe(d.String())
		m.kind = kindOf(c, m.name)
		if before, ok := r.metrics[m.name]; ok {
			m.labels = append(m.labels, before.labels...)
		}
		slices.Sort(m.labels)
		m.labels = slices.Compact(m.labels)
		r.metrics[m.name] = m
	}
	return r.Registry.Register(c)
}

func (r *register) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// A Desc shows what it has in no other way.
var (
	shownDesc  = regexp.MustCompile(`^Desc\{fqName: "(\S+)", help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	constLabel = regexp.MustCompile(`(\w+)="`)
)

func describe(shown string) metric {
	parts := shownDesc.FindStringSubmatch(shown)
	if parts == nil {
		panic("a Desc that shows itself in a new way: " + shown)
	}
	m := metric{name: parts[1]}
	if _, err := fmt.Sscanf(parts[2], "%q", &m.help); err != nil {
		panic(err)
	}
	for _, l := range constLabel.FindAllStringSubmatch(parts[3], -1) {
		m.labels = append(m.labels, l[1])
	}
	if parts[4] != "" {
		m.labels = append(m.labels, strings.Split(parts[4], ",")...)
	}
	return m
}

// kindOf says what a collector collects. Of one of our own it goes by the name, as promlint does.
func kindOf(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	}
	alone := prometheus.NewRegistry()
	alone.MustRegister(c)
	families, err := alone.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return strings.ToLower(f.GetType().String())
		}
	}
	if strings.HasSuffix(name, "_total") {
		return "counter"
	}
	return "gauge"
}

var silent = slog.New(slog.DiscardHandler)

// connect returns clients of an API server that nobody asks for anything.
func connect(t *testing.T, r prometheus.Registerer) *k8s.Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n" +
		"clusters: [{name: x, cluster: {server: 'https://192.0.2.1'}}]\nusers: [{name: x, user: {}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := k8s.Connect(file, "test", "v0", silent, r)
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// controllerMetrics and speakerMetrics register what cmd/controller and cmd/speaker do; e2e holds the running
// processes to the page that is made of it.
func controllerMetrics(t *testing.T) *register {
	r := newRegister()
	if _, err := controller.New(controller.Config{Cluster: connect(t, r), Log: silent, Metrics: r}); err != nil {
		t.Fatal(err)
	}
	return r
}

func speakerMetrics(t *testing.T) *register {
	r := newRegister()
	cluster := connect(t, r)
	events := k8s.NewRecorder(cluster, "speaker", "node1", silent, r)
	engine := layer2.NewEngine(layer2.Config{Node: "node1", Log: silent, Metrics: layer2.NewMetrics(r)})
	bfd.NewRouters(bfd.RoutersConfig{Log: silent, Metrics: r})
	sessions := bgp.NewEngine(bgp.Config{Log: silent, Metrics: r})
	speaker.New(speaker.Config{Node: "node1", Cluster: cluster, Engine: engine, BGP: sessions, Events: events, Log: silent, Metrics: r})
	key := []byte("secret")
	if _, err := gossip.New(gossip.Config{Node: "node1", Address: netip.MustParseAddr("192.0.2.2"), Key: key, Log: silent, Metrics: r}); err != nil {
		t.Fatal(err)
	}
	timing, err := bfd.ParseTiming("fast")
	if err == nil {
		_, err = bfd.NewMesh(bfd.Config{Local: netip.MustParseAddrPort("127.0.0.1:7957"), Key: key, Timing: timing, Log: silent, Metrics: r})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const preamble = `# Metrics

Made from the code by ` + "`go test ./docs -update`" + `; a test fails while it is not up to date.

The controller serves its metrics at ` + "`:7572/metrics`" + `, each speaker at ` + "`:7573/metrics`" + ` of its node. With
` + "`--metrics-tls-address`" + ` they are served there instead, over TLS, to clients whose bearer token the API server knows
(TokenReview) and lets ` + "`get`" + ` the non-resource URL /metrics (SubjectAccessReview). Beside what is listed here, both
have the metrics of the Go runtime (` + "`go_*`" + `) and of the process (` + "`process_*`" + `).

No label has values whose number grows with that of the Services. *Of the leader only*: a controller that stands by
has no samples of it.

`

func page(t *testing.T, c, s *register) []byte {
	var b bytes.Buffer
	b.WriteString(preamble)
	table := func(title string, names []string, of map[string]metric) {
		fmt.Fprintf(&b, "## %s\n\n| name | type | labels | |\n|---|---|---|---|\n", title)
		for _, name := range names {
			m := of[name]
			labels := ""
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.ReplaceAll(m.help, "|", `\|`))
		}
		b.WriteString("\n")
	}
	// What NewRegistry has registered itself shows in what it gathers.
	build, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range build {
		if f.GetName() == "fairlead_build_info" {
			m := metric{name: f.GetName(), kind: "gauge", help: f.GetHelp()}
			for _, l := range f.GetMetric()[0].GetLabel() {
				m.labels = append(m.labels, l.GetName())
			}
			c.metrics[m.name], s.metrics[m.name] = m, m
		}
	}
	var both, controllers, speakers []string
	for _, name := range slices.Sorted(maps.Keys(c.metrics)) {
		if _, ok := s.metrics[name]; ok {
			both = append(both, name)
		} else {
			controllers = append(controllers, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.metrics)) {
		if _, ok := c.metrics[name]; !ok {
			speakers = append(speakers, name)
		}
	}
	for _, name := range both {
		if x, y := c.metrics[name], s.metrics[name]; !reflect.DeepEqual(x, y) {
			t.Errorf("%s is not the same in both processes: %v and %v", name, x, y)
		}
	}
	table("Both", both, c.metrics)
	table("Controller", controllers, c.metrics)
	table("Speaker", speakers, s.metrics)
	return append(bytes.TrimSpace(b.Bytes()), '\n')
}

func TestMetricsPage(t *testing.T) {
	want := page(t, controllerMetrics(t), speakerMetrics(t))
	if *update {
		if err := os.WriteFile("metrics.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("metrics.md"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("metrics.md is not what the code says (%v): run go test ./docs -update", err)
	}
}

// Names, types and helps are by Prometheus' conventions, whether or not there is a sample.
func TestMetricsAreByConvention(t *testing.T) {
	for process, r := range map[string]*register{"controller": controllerMetrics(t), "speaker": speakerMetrics(t)} {
		var text strings.Builder
		for _, m := range r.metrics {
			labels := strings.Join(m.labels, `="",`)
			if labels != "" {
				labels = "{" + labels + `=""}`
			}
			sample := m.name + labels + " 0"
			if m.kind == "histogram" {
				sample = fmt.Sprintf("%[1]s_bucket{le=\"+Inf\"} 0\n%[1]s_sum 0\n%[1]s_count 0", m.name)
			}
			fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n%s\n", m.name, m.help, m.name, m.kind, sample)
			if !strings.HasPrefix(m.name, "fairlead_") {
				t.Errorf("%s: %s is not named as Fairlead's", process, m.name)
			}
			if !strings.HasSuffix(m.help, ".") || strings.Contains(m.help, "\n") {
				t.Errorf("%s: the help of %s is no sentence: %q", process, m.name, m.help)
			}
		}
		problems, err := promlint.New(strings.NewReader(text.String())).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", process, p.Metric, p.Text)
		}
	}
}
