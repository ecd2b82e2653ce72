package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are where the cluster is and what of it is meant, as kubectl's flags of these names say it.
type Options struct {
	Kubeconfig, Context, Namespace, RequestTimeout string
	// LoadBalancerClass is the controller's flag of this name.
	LoadBalancerClass string
	// FairleadNamespace is where Fairlead itself runs.
	FairleadNamespace string
}

func (o *Options) config() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context, Timeout: cmp.Or(o.RequestTimeout, "0")}
	overrides.Context.Namespace = o.Namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// CurrentNamespace is the namespace of the flag, of the context, or "default".
func (o *Options) CurrentNamespace() (string, error) {
	namespace, _, err := o.config().Namespace()
	if err != nil {
		return "", configError(err)
	}
	return namespace, nil
}

// Contexts are the names of the kubeconfig's contexts, sorted.
func (o *Options) Contexts() ([]string, error) {
	raw, err := o.config().RawConfig()
	return slices.Sorted(maps.Keys(raw.Contexts)), err
}

// REST is how to talk to the cluster, as kubectl would.
func (o *Options) REST(version string) (*rest.Config, error) {
	if _, err := clientcmd.ParseTimeout(cmp.Or(o.RequestTimeout, "0")); err != nil {
		return nil, fmt.Errorf("--request-timeout %q is not a time: write 5s or 1m", o.RequestTimeout)
	}
	config, err := o.config().ClientConfig()
	if err != nil {
		return nil, configError(err)
	}
	config.UserAgent = fmt.Sprintf("kubectl-fairlead/%s (%s/%s)", version, runtime.GOOS, runtime.GOARCH)
	// A few dozen lists at most, one after another: client-go's own limit would only make pages wait.
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// Connect makes clients as kubectl would. It reaches for nothing yet.
func (o *Options) Connect(version string) (*k8s.Cluster, error) {
	config, err := o.REST(version)
	if err != nil {
		return nil, err
	}
	core := rest.CopyConfig(config)
	core.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	core.ContentType = "application/vnd.kubernetes.protobuf"
	var c k8s.Cluster
	if c.Core, err = kubernetes.NewForConfig(core); err != nil {
		return nil, fmt.Errorf("preparing the client of %s: %w", config.Host, err)
	}
	if c.Fairlead, err = versioned.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("preparing the client of %s for Fairlead's resources: %w", config.Host, err)
	}
	return &c, nil
}

func configError(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errors.New("no cluster is configured: set KUBECONFIG, or give --kubeconfig")
	}
	return err
}
