package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"

	"github.com/spf13/pflag"
)

// Options are the flags of both processes.
type Options struct {
	// Kubeconfig is a file; empty means the service account of the Pod that the process runs in.
	Kubeconfig string
	// Namespace is where Fairlead's own objects live: the Lease, the Secrets, the speakers' Pods.
	Namespace string
	// LoadBalancerClass selects the Services; empty: those without a class and those of class
	// fairlead.dev/fairlead.
	LoadBalancerClass string
	// HTTPAddress serves health, the log's level and, without MetricsTLSAddress, metrics.
	HTTPAddress string
	// MetricsTLSAddress serves metrics to those who may read them; the files are empty for a certificate of our own.
	MetricsTLSAddress, MetricsTLSCertFile, MetricsTLSKeyFile string
	// Profiles has pprof served.
	Profiles  bool
	LogLevel  string
	LogFormat string
}

// DefaultNamespace is where Fairlead lives if nobody says otherwise.
const DefaultNamespace = "fairlead-system"

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(f *pflag.FlagSet, defaultHTTPAddress string) {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = DefaultNamespace
	}
	f.StringVar(&o.Kubeconfig, "kubeconfig", "",
		"kubeconfig `FILE`; without it, the service\naccount of the Pod")
	f.StringVar(&o.Namespace, "namespace", namespace,
		"`NAMESPACE` of Fairlead's own objects; the\ndefault is $POD_NAMESPACE, if set,\nelse")
	f.StringVar(&o.LoadBalancerClass, "load-balancer-class", "",
		"serve only Services of this `CLASS`; without\nit, Services that have no class and those\nof class fairlead.dev/fairlead")
	f.StringVar(&o.HTTPAddress, "http-address", defaultHTTPAddress,
		"`ADDRESS` that serves /metrics, /healthz,\n/readyz and /loglevel")
	f.StringVar(&o.MetricsTLSAddress, "metrics-tls-address", "",
		"`ADDRESS` that serves /metrics instead, over\nTLS, to clients whose token may get it")
	f.StringVar(&o.MetricsTLSCertFile, "metrics-tls-cert-file", "",
		"`FILE` with the certificate for that, read\nanew when it changes; without it a\nself-signed one")
	f.StringVar(&o.MetricsTLSKeyFile, "metrics-tls-key-file", "",
		"`FILE` with the certificate's key")
	f.BoolVar(&o.Profiles, "pprof", false,
		"serve /debug/pprof, to clients on the\nloopback address (kubectl port-forward)")
	f.StringVar(&o.LogLevel, "log-level", "info",
		"least `LEVEL` to log: debug, info, warn\nor error")
	f.StringVar(&o.LogFormat, "log-format", "text",
		"`FORMAT` of the log: text or\njson")
}

var (
	// RFC 1123 label.
	namespaceForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// What the API server accepts in spec.loadBalancerClass: a name with an optional DNS prefix.
	classForm = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
)

// Validate says what is wrong with a value, in a sentence that names its flag.
func (o *Options) Validate() error {
	if o.Kubeconfig != "" {
		if file, err := os.Open(o.Kubeconfig); err != nil {
			return UsageError{fmt.Errorf("--kubeconfig: %w", err)}
		} else {
			file.Close()
		}
	}
	if !namespaceForm.MatchString(o.Namespace) {
		return UsageError{fmt.Errorf("--namespace %q is not the name of a namespace", o.Namespace)}
	}
	if o.LoadBalancerClass != "" && !classForm.MatchString(o.LoadBalancerClass) {
		return UsageError{fmt.Errorf("--load-balancer-class %q is not a class: write a name such as example.com/internal", o.LoadBalancerClass)}
	}
	if err := checkAddress("--http-address", o.HTTPAddress); err != nil {
		return err
	}
	if err := o.validateTLS(); err != nil {
		return err
	}
	if _, ok := levels[o.LogLevel]; !ok {
		return UsageError{fmt.Errorf("--log-level %q %s", o.LogLevel, noLevel)}
	}
	if o.LogFormat != "text" && o.LogFormat != "json" {
		return UsageError{fmt.Errorf("--log-format %q is neither text nor json", o.LogFormat)}
	}
	return nil
}

func (o *Options) validateTLS() error {
	cert, key := o.MetricsTLSCertFile != "", o.MetricsTLSKeyFile != ""
	switch {
	case o.MetricsTLSAddress != "" && o.MetricsTLSAddress == o.HTTPAddress:
		return UsageError{fmt.Errorf("--metrics-tls-address and --http-address are both %q: choose another port for one of them", o.HTTPAddress)}
	case o.MetricsTLSAddress != "" && cert == key:
		return checkAddress("--metrics-tls-address", o.MetricsTLSAddress)
	case o.MetricsTLSAddress != "":
		return UsageError{errors.New("--metrics-tls-cert-file and --metrics-tls-key-file need each other")}
	case cert || key:
		return UsageError{errors.New("--metrics-tls-cert-file and --metrics-tls-key-file are for --metrics-tls-address, which is empty")}
	}
	return nil
}

func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return UsageError{fmt.Errorf("%s %q is not an address: write host:port or :port", flag, address)}
	}
	return nil
}
