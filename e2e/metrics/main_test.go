// Package metrics holds what an operator reads of the running processes, beside what the API server has, to what is
// promised: metrics over TLS for those whom the API server knows and lets, the log's level, profiles.
package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	controllerTLSPort = 7574
	speakerTLSPort    = 7575
)

// accounts are who asks: a scraper, and a stranger with a token as good.
const accounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: scraper, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scraper}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: scraper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: scraper}
subjects: [{kind: ServiceAccount, name: scraper, namespace: default}]
`

// shared is a lab whose processes serve metrics over TLS, and profiles.
var shared = sync.OnceValues(func() (*lab.Lab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	config := lab.Config{
		Nodes: 2, ControllerBinary: filepath.Join(root, "build", "controller"), SpeakerBinary: filepath.Join(root, "build", "speaker"),
		ControllerArgs: []string{"--metrics-tls-address", fmt.Sprintf(":%d", controllerTLSPort), "--pprof"},
		SpeakerArgs:    []string{"--metrics-tls-address", fmt.Sprintf(":%d", speakerTLSPort), "--pprof", "--log-format", "json"},
	}
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run `make build` first", err)
		}
	}
	l, err := lab.Start(ctx, config)
	if err != nil {
		return nil, err
	}
	return l, l.Apply(ctx, []byte(accounts))
})

// within returns the lab and a context that bounds the test.
func within(t *testing.T, limit time.Duration) (context.Context, *lab.Lab) {
	t.Helper()
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	for _, s := range servers(l) {
		await(t, s.process.Name+" to be ready", func() bool {
			status, _ := ask(ctx, t, s.host, http.MethodGet, "http", "127.0.0.1", s.httpPort, "/readyz", "", "")
			return status == 200
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range []*lab.Process{l.Controllers[0], l.Node(1).Speaker} {
				t.Logf("%s, running %v:\n%s", p.Name, p.Running(), p.Tail(25))
			}
		}
	})
	return ctx, l
}

// server is one of the processes' servers.
type server struct {
	process           *lab.Process
	host              *lab.Host
	httpPort, tlsPort int
}

func servers(l *lab.Lab) []server {
	return []server{
		{l.Controllers[0], l.CP, lab.ControllerHTTPPort, controllerTLSPort},
		{l.Node(1).Speaker, l.Node(1).Host, lab.SpeakerHTTPPort, speakerTLSPort},
	}
}

// ask sends a request from a host, and returns the status and what is answered.
func ask(ctx context.Context, t *testing.T, from *lab.Host, method, scheme, ip string, port int, path, token, body string) (int, string) {
	t.Helper()
	transport := from.HTTPTransport()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // as Prometheus has to, of a certificate made at start
	defer transport.CloseIdleConnections()
	url := scheme + "://" + net.JoinHostPort(ip, strconv.Itoa(port)) + path
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 15 * time.Second}).Do(r)
	if err != nil {
		return 0, err.Error() // it may have just been started
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// token is what `kubectl create token` prints.
func token(ctx context.Context, t *testing.T, l *lab.Lab, account string) string {
	t.Helper()
	made, err := l.Kubernetes.CoreV1().ServiceAccounts("default").CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}
