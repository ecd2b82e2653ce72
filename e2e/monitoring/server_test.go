package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// server is a Prometheus that runs beside the control plane.
type server struct {
	process *lab.Process
	client  http.Client
}

const serverAddress = "127.0.0.1:9090"

// startServer starts a Prometheus that scrapes Fairlead each second.
func startServer(l *lab.Lab, rules []byte) (*server, error) {
	directory := filepath.Join(l.Directory, "prometheus")
	at := func(name string) string { return filepath.Join(directory, name) }
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yaml]\nscrape_configs:\n")
	// The jobs are called as nobody would, since the rules are not to care. The label node is the monitors'.
	config.WriteString("- job_name: these\n  static_configs:\n")
	for i := range l.Controllers {
		fmt.Fprintf(&config, "  - targets: ['127.0.0.1:%d']\n", lab.ControllerHTTPPort+i)
	}
	config.WriteString("- job_name: those\n  static_configs:\n")
	for _, n := range l.Nodes {
		fmt.Fprintf(&config, "  - {targets: ['%s:7573'], labels: {node: %s}}\n", n.V4, n.Name)
	}
	err := errors.Join(
		os.MkdirAll(directory, 0o755),
		os.WriteFile(at("prometheus.yaml"), []byte(config.String()), 0o644),
		os.WriteFile(at("alerts.yaml"), rules, 0o644),
	)
	if err != nil {
		return nil, err
	}
	s := &server{client: http.Client{Transport: l.CP.HTTPTransport(), Timeout: 10 * time.Second}}
	s.process = l.Program("prometheus", l.CP, program("prometheus"), "prometheus", "--config.file", at("prometheus.yaml"),
		"--storage.tsdb.path", at("data"), "--web.listen-address", serverAddress, "--log.level", "warn")
	return s, s.process.Start()
}

// get asks the API and decodes the answer's data.
func (s *server) get(ctx context.Context, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+serverAddress+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Error string          `json:"error"`
		Data  json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", path, response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// metrics are the names of all metrics that were ever scraped.
func (s *server) metrics(ctx context.Context) (names []string, err error) {
	return names, s.get(ctx, "label/__name__/values", nil, &names)
}

// series is what an expression was for one set of labels.
type series struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

// history is what an expression has been since begin, second by second.
func (s *server) history(ctx context.Context, expr string, begin time.Time) ([]series, error) {
	var answer struct {
		Result []series `json:"result"`
	}
	query := url.Values{"query": {expr}, "start": {unix(begin)}, "end": {unix(time.Now())}, "step": {"1"}}
	return answer.Result, s.get(ctx, "query_range", query, &answer)
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// alert is one that waits or fires.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
}

func (a alert) String() string { return a.Labels["alertname"] + ": " + a.Annotations["summary"] }

// firing are the alerts that fire.
func (s *server) firing(ctx context.Context) (list []alert, err error) {
	var answer struct {
		Alerts []alert `json:"alerts"`
	}
	if err := s.get(ctx, "alerts", nil, &answer); err != nil {
		return nil, err
	}
	for _, a := range answer.Alerts {
		if a.State == "firing" {
			list = append(list, a)
		}
	}
	return list, nil
}

// verdict is what Prometheus says of a rule.
type verdict struct {
	Name      string `json:"name"`
	Health    string `json:"health"`
	LastError string `json:"lastError"`
}

func (s *server) verdicts(ctx context.Context) (list []verdict, err error) {
	var answer struct {
		Groups []struct {
			Rules []verdict `json:"rules"`
		} `json:"groups"`
	}
	if err := s.get(ctx, "rules", nil, &answer); err != nil {
		return nil, err
	}
	for _, g := range answer.Groups {
		list = append(list, g.Rules...)
	}
	return list, nil
}

// targets returns nil once every target was scraped.
func (s *server) targets(ctx context.Context) error {
	var answer struct {
		Active []struct {
			URL    string `json:"scrapeUrl"`
			Health string `json:"health"`
			Error  string `json:"lastError"`
		} `json:"activeTargets"`
	}
	if err := s.get(ctx, "targets", nil, &answer); err != nil {
		return err
	}
	for _, t := range answer.Active {
		if t.Health != "up" {
			return fmt.Errorf("%s is %s: %s", t.URL, t.Health, t.Error)
		}
	}
	return nil
}
