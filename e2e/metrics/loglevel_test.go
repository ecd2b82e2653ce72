package metrics

import (
	"errors"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// The level of all that a process logs is changed while it runs, from the machine itself alone; profiles are made
// there too. At the lowest level, no line shows a secret.
func TestLogLevelIsChangedLive(t *testing.T) {
	ctx, l := within(t, time.Minute)
	gossip, err := l.Kubernetes.CoreV1().Secrets(lab.ProductNamespace).Get(ctx, "fairlead-gossip", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scraper := token(ctx, t, l, "scraper")
	secrets := map[string]string{"the gossip key": string(gossip.Data["secretkey"]), "a scraper's token": scraper}
	for account, file := range map[string]string{"fairlead-controller": "fairlead-controller", "fairlead-speaker": "fairlead-speaker-node1"} {
		config, err := clientcmd.LoadFromFile(filepath.Join(l.Directory, file+".kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		secrets["the token of "+account] = config.AuthInfos[account].Token
	}
	// What other libraries say, in the format that the process logs in.
	libraries := map[string]*regexp.Regexp{
		"controller1": regexp.MustCompile(`level=DEBUG .* from=client-go`), "speaker-node1": regexp.MustCompile(`"level":"DEBUG","msg":"memberlist: `),
	}
	for _, s := range servers(l) {
		name := s.process.Name
		here := func(method, path, body string) (int, string) {
			t.Helper()
			return ask(ctx, t, s.host, method, "http", "127.0.0.1", s.httpPort, path, "", body)
		}
		if status, text := here(http.MethodGet, "/loglevel", ""); status != 200 || text != "info\n" {
			t.Errorf("%s: /loglevel = %d %q", name, status, text)
		}
		if status, _ := here(http.MethodGet, "/debug/pprof/heap", ""); status != 200 {
			t.Errorf("%s: a profile of the heap: %d", name, status)
		}
		if s.host != l.CP { // where the lab's controller listens on the loopback address alone
			for path, method := range map[string]string{"/loglevel": http.MethodPut, "/debug/pprof/heap": http.MethodGet} {
				status, text := ask(ctx, t, l.Client(1), method, "http", s.host.V4.String(), s.httpPort, path, "", "debug")
				if status != 403 || !strings.Contains(text, "port-forward") {
					t.Errorf("%s, from elsewhere: %s %s = %d %q", name, method, path, status, text)
				}
			}
		}
		if status, text := here(http.MethodPut, "/loglevel", "loud"); status != 400 || !strings.Contains(text, "none of debug") {
			t.Errorf("%s: a level that there is not: %d %q", name, status, text)
		}
		if status, text := here(http.MethodPut, "/loglevel", "debug"); status != 200 || text != "debug\n" {
			t.Fatalf("%s: to debug: %d %q", name, status, text)
		}
	}

	// Something to talk about: a speaker that comes and goes, a token that is looked at, an API server that is away.
	if err := l.Node(2).Speaker.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers(l) {
		ask(ctx, t, s.host, http.MethodGet, "https", "127.0.0.1", s.tlsPort, "/metrics", scraper, "")
	}
	if err := l.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(l.StartAPIServer(ctx), l.Node(2).Speaker.Start()); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range servers(l) {
		name, log := s.process.Name, ""
		await(t, name+"'s lines of its libraries", func() bool {
			if log, err = s.process.Log(); err != nil {
				t.Fatal(err)
			}
			return libraries[name].MatchString(log)
		})
		for what, secret := range secrets {
			if len(secret) < 16 || strings.Contains(log, secret) {
				t.Errorf("%s's log shows %s", name, what)
			}
		}
	}
	for _, s := range servers(l) {
		if status, text := ask(ctx, t, s.host, http.MethodPut, "http", "127.0.0.1", s.httpPort, "/loglevel", "", "info"); status != 200 || text != "info\n" {
			t.Errorf("%s: back to info: %d %q", s.process.Name, status, text)
		}
	}
}
