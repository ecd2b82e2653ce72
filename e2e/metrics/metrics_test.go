package metrics

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// reviewers is what the processes need besides.
const reviewers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics-reader-reviewer}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-reader-reviewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-reader-reviewer}
subjects:
- {kind: ServiceAccount, name: fairlead-controller, namespace: fairlead-system}
- {kind: ServiceAccount, name: fairlead-speaker, namespace: fairlead-system}
`

// Metrics over TLS are for those whom the API server knows and lets get /metrics; who is not let is told why.
func TestMetricsOverTLS(t *testing.T) {
	ctx, l := within(t, 2*time.Minute)
	get := func(s server, token string) (int, string) {
		t.Helper()
		return ask(ctx, t, l.Client(1), http.MethodGet, "https", s.host.V4.String(), s.tlsPort, "/metrics", token, "")
	}
	scraper, stranger := token(ctx, t, l, "scraper"), token(ctx, t, l, "stranger")
	for _, s := range servers(l) {
		if status, text := get(s, scraper); status != 503 || !strings.Contains(text, "the verb create on tokenreviews.authentication.k8s.io") {
			t.Errorf("%s, before it may ask: %d %q", s.process.Name, status, text)
		}
	}
	if err := l.Apply(ctx, []byte(reviewers)); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers(l) {
		await(t, "the right to ask", func() bool { status, _ := get(s, scraper); return status == 200 })
		for _, x := range []struct {
			who, token string
			status     int
			text       string
		}{
			{"a scraper", scraper, 200, "\nfairlead_build_info{"},
			{"nobody", "", 401, "no bearer token"},
			{"garbage", "garbage", 401, "does not know this token"},
			{"a token that is almost one", scraper[:len(scraper)-2], 401, "does not know this token"},
			{"a stranger", stranger, 403, "system:serviceaccount:default:stranger may not get /metrics: bind it to a ClusterRole"},
		} {
			if status, text := get(s, x.token); status != x.status || !strings.Contains(text, x.text) {
				t.Errorf("%s, %s: %d %.300q, want %d %q", s.process.Name, x.who, status, text, x.status, x.text)
			}
		}
		if status, _ := ask(ctx, t, s.host, http.MethodGet, "http", "127.0.0.1", s.httpPort, "/metrics", "", ""); status != 404 {
			t.Errorf("%s: /metrics without TLS: %d", s.process.Name, status)
		}
		if status, _ := ask(ctx, t, s.host, http.MethodGet, "http", "127.0.0.1", s.httpPort, "/healthz", "", ""); status != 200 {
			t.Errorf("%s: /healthz: %d", s.process.Name, status)
		}
	}

	// Without the API server who was let in is, for a while: its loss shows in the metrics.
	if err := l.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.StartAPIServer(ctx); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range servers(l) {
		await(t, "the loss in the metrics", func() bool {
			status, text := get(s, scraper)
			return status == 200 && strings.Contains(text, "\nfairlead_api_up 0\n")
		})
		if status, text := get(s, "another"); status != 503 || !strings.Contains(text, "the API server could not be asked") {
			t.Errorf("%s, without the API server: %d %q", s.process.Name, status, text)
		}
		if status, text := ask(ctx, t, s.host, http.MethodGet, "http", "127.0.0.1", s.httpPort, "/healthz", "", ""); status != 200 {
			t.Errorf("%s, without the API server: /healthz: %d %q", s.process.Name, status, text)
		}
	}
}

// What runs has no metric that docs/metrics.md does not have; that has them all, by a test of its own.
func TestMetricsAreDocumented(t *testing.T) {
	ctx, l := within(t, time.Minute)
	if err := l.Apply(ctx, []byte(reviewers)); err != nil {
		t.Fatal(err)
	}
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	scraper := token(ctx, t, l, "scraper")
	for _, s := range servers(l) {
		var text string
		await(t, "metrics", func() (ok bool) {
			var status int
			status, text = ask(ctx, t, s.host, http.MethodGet, "https", "127.0.0.1", s.tlsPort, "/metrics", scraper, "")
			return status == 200
		})
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
			name := m[1]
			if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
				continue
			}
			if !strings.Contains(string(page), "| `"+name+"` | "+m[2]+" |") {
				t.Errorf("%s has %s %s, and docs/metrics.md does not", s.process.Name, m[2], name)
			}
		}
	}
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 15*time.Second {
			t.Fatalf("%s did not come", what)
		}
	}
}
