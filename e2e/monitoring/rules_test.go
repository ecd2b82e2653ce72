package monitoring

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// rules are those of the chart.
type rules struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func readRules(t *testing.T) (list []rule) {
	t.Helper()
	var r rules
	if err := yaml.UnmarshalStrict(file(t, "charts", "fairlead", "files", "alerts.yaml"), &r); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// Each alert fires when it should and not when it should not, in the words of testdata/alerts_test.yaml.
func TestRules(t *testing.T) {
	output, err := exec.Command(program("promtool"), "test", "rules", "testdata/alerts_test.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// Whoever is woken learns how bad it is, what it is, where to look, and where to read on.
func TestRulesTell(t *testing.T) {
	const page = "https://github.com/fairlead-lb/fairlead/blob/main/docs/monitoring.md#"
	tests, docs := string(file(t, "e2e", "monitoring", "testdata", "alerts_test.yaml")), string(file(t, "docs", "monitoring.md"))
	list := readRules(t)
	for _, r := range list {
		t.Run(r.Alert, func(t *testing.T) {
			if s := r.Labels["severity"]; s != "critical" && s != "warning" || len(r.Labels) != 1 {
				t.Errorf("its labels are %v", r.Labels)
			}
			if a := r.Annotations; len(a) != 3 || a["summary"] == "" || !strings.Contains(a["description"], "Look at: kubectl ") {
				t.Errorf("its annotations are %v", a)
			}
			if got, want := r.Annotations["runbook_url"], page+strings.ToLower(r.Alert); got != want {
				t.Errorf("runbook_url is %s, not %s", got, want)
			}
			if !strings.Contains(docs, "\n### "+r.Alert+"\n") {
				t.Error("docs/monitoring.md does not say what to do")
			}
			if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
				t.Error("no test has it fire")
			}
		})
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Fairlead\w+)$`).FindAllStringSubmatch(docs, -1) {
		if !slices.ContainsFunc(list, func(r rule) bool { return r.Alert == heading[1] }) {
			t.Errorf("docs/monitoring.md tells of %s, which is no alert", heading[1])
		}
	}
}

var (
	waits   = regexp.MustCompile(`(?m)^(\s+for:) \w+$`)
	windows = regexp.MustCompile(`\[\d+m\]`)
)

// hasty is a copy of the rules for people who cannot wait: what is to last for minutes is to last for three seconds, and
// what counts minutes counts a quarter of one. Of what was seen within the hour all of it was.
func hasty(rules []byte) []byte {
	return windows.ReplaceAll(waits.ReplaceAll(rules, []byte("$1 3s")), []byte("[15s]"))
}

// metricName is a metric of Fairlead's own, or one that all programs in Go have.
var metricName = regexp.MustCompile(`\b(fairlead|process|go)_[a-z0-9_]+\b`)

// metricsOf are the metrics that an expression names.
func metricsOf(expr string) []string {
	names := metricName.FindAllString(quoted.ReplaceAllString(expr, ""), -1)
	slices.Sort(names)
	return slices.Compact(names)
}

// quoted are values of labels.
var quoted = regexp.MustCompile(`"[^"]*"`)
