package k8s

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"

	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is the connection to an API server.
type Cluster struct {
	Core     kubernetes.Interface
	Fairlead versioned.Interface
	link     *link
	writes   *writes
}

// Connect prepares clients from a kubeconfig, or without one from the Pod's service account. It reaches
// for nothing yet: the API server may come later. Component and version make the user agent.
func Connect(kubeconfig, component, version string, log *slog.Logger, metrics prometheus.Registerer) (*Cluster, error) {
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	tune(config, component, version)
	config.WarningHandler = &pruned{log: log}
	link := newLink(config.Host, log)
	if err := errors.Join(metrics.Register(link.requests), metrics.Register(link.up)); err != nil {
		return nil, fmt.Errorf("registering the metrics of the API server: %w", err)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		link.next = next
		return link
	})
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", config.Host, err)
	}

	core := rest.CopyConfig(config)
	// Half the bytes and a fifth of the CPU of JSON, which custom resources are left with.
	core.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	core.ContentType = "application/vnd.kubernetes.protobuf"
	c := &Cluster{link: link}
	if c.Core, err = kubernetes.NewForConfigAndClient(core, client); err != nil {
		return nil, fmt.Errorf("preparing the client of %s: %w", config.Host, err)
	}
	if c.Fairlead, err = versioned.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("preparing the client of %s for Fairlead's resources: %w", config.Host, err)
	}
	if c.writes, err = newWrites(config, client); err != nil {
		return nil, fmt.Errorf("preparing to write to %s: %w", config.Host, err)
	}
	return c, nil
}

// Reached returns nil once the API server has answered, and as long as it does; else why not.
func (c *Cluster) Reached() error {
	if c.link == nil { // a test's own clients
		return nil
	}
	return c.link.err()
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("without --kubeconfig the Pod's service account is used, and there is none: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
	}
	return config, nil
}

func tune(config *rest.Config, component, version string) {
	config.UserAgent = fmt.Sprintf("%s/%s (%s/%s)", component, version, runtime.GOOS, runtime.GOARCH)
	// client-go's own limit, 5 requests a second unless changed, would make 1,000 Services wait for more
	// than three minutes. How much one client may ask is the API server's to say (API Priority and
	// Fairness, which client-go obeys by its 429 and Retry-After); what we have under way at once is
	// bounded by the number of writers.
	config.QPS = -1
	config.Dial = dialPaced // a burst costs little more than half of what it did
	// A connection that died without a word (the API server's machine lost power, or its cable) is found by HTTP/2
	// pings: in less time than a leader has to renew its Lease (10 s), or a short loss would cost the lead and 15 s.
	// client-go reads their times from the environment alone; its default is 30 s and 15 s.
	for name, seconds := range map[string]string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "3", "HTTP2_PING_TIMEOUT_SECONDS": "3"} {
		if _, set := os.LookupEnv(name); !set {
			os.Setenv(name, seconds)
		}
	}
}
