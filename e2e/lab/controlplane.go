package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// controlPlane is what runs on the cp host besides the product.
type controlPlane struct {
	etcd, apiServer, controllers, scheduler *Process
}

// pollInterval is how often the lab looks for what it waits for.
const pollInterval = 20 * time.Millisecond

// startControlPlane starts etcd, the API server and the controllers together and waits until the API server
// is ready, which includes that its bootstrap RBAC rules are written.
func (l *Lab) startControlPlane(ctx context.Context) error {
	if err := errors.Join(l.linkPrograms(), l.writeCredentials()); err != nil {
		return err
	}
	l.etcd = l.newProcess("etcd", l.CP, l.path("bin/etcd"), "etcd",
		"--name=lab", "--data-dir="+l.path("etcd"), "--log-level=warn",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=lab=http://127.0.0.1:2380",
		// The data is on a tmpfs and has one member: no disk to wait for, nobody to lose an election to.
		"--unsafe-no-fsync", "--heartbeat-interval=20", "--election-timeout=100",
	)
	l.apiServer = l.newProcess("kube-apiserver", l.CP, l.path("bin/kube-apiserver"), "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=::", fmt.Sprintf("--secure-port=%d", apiServerPort), "--advertise-address="+l.CP.V4.String(),
		"--service-cluster-ip-range="+Services4.String()+","+Services6.String(),
		"--authorization-mode=Node,RBAC", "--allow-privileged",
		"--tls-cert-file="+l.path("pki/apiserver.crt"), "--tls-private-key-file="+l.path("pki/apiserver.key"),
		"--client-ca-file="+l.path("pki/ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+l.path("pki/service-accounts.key"),
		"--service-account-signing-key-file="+l.path("pki/service-accounts.key"),
		"--profiling", "--shutdown-send-retry-after",
	)
	l.controllers = l.newProcess("kube-controller-manager", l.CP, l.path("bin/kube-controller-manager"), "kube-controller-manager",
		"--kubeconfig="+l.path("controller-manager.kubeconfig"), "--leader-elect=false",
		"--root-ca-file="+l.path("pki/ca.crt"), "--service-account-private-key-file="+l.path("pki/service-accounts.key"),
		"--allocate-node-cidrs=false",
		// A node that is gone is NotReady after 8 s instead of 50 s; its agent beats every 2 s.
		"--node-monitor-period=1s", fmt.Sprintf("--node-monitor-grace-period=%s", 4*heartbeat),
		// Tests create a thousand Services at once; the default of 20 requests per second is not what they measure.
		"--kube-api-qps=2000", "--kube-api-burst=4000",
	)
	if err := l.etcd.Start(); err != nil {
		return err
	}
	if err := l.StartAPIServer(ctx); err != nil {
		return err
	}
	if err := l.controllers.Start(); err != nil {
		return err
	}
	if l.config.Scheduler {
		l.scheduler = l.newProcess("kube-scheduler", l.CP, l.path("bin/kube-scheduler"), "kube-scheduler",
			"--kubeconfig="+l.path("scheduler.kubeconfig"), "--leader-elect=false")
		return l.scheduler.Start()
	}
	return nil
}

// linkPrograms gives the one binary the names that it acts by. It could be told by its first argument alone;
// links make ps, ss and top tell the processes apart.
func (l *Lab) linkPrograms() error {
	if err := os.MkdirAll(l.path("bin"), 0o755); err != nil {
		return fmt.Errorf("preparing the lab's programs: %w", err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if err := os.Symlink(l.hyperkube, l.path("bin/"+name)); err != nil {
			return fmt.Errorf("preparing the lab's programs: %w", err)
		}
	}
	return nil
}

// writeCredentials makes the certificates, keys and kubeconfigs of the control plane.
func (l *Lab) writeCredentials() (err error) {
	if l.authority, err = newAuthority(); err != nil {
		return err
	}
	server, err := l.authority.server("kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]net.IP{
			l.CP.V4.AsSlice(), l.CP.V6.AsSlice(), net.IPv4(127, 0, 0, 1), net.IPv6loopback,
			Services4.Addr().Next().AsSlice(), Services6.Addr().Next().AsSlice(),
		})
	if err != nil {
		return err
	}
	tokens, err := newSigningKey()
	if err != nil {
		return err
	}
	if l.admin, err = l.authority.client("admin", "system:masters"); err != nil {
		return err
	}
	for file, text := range map[string][]byte{
		"pki/ca.crt":        l.authority.pem,
		"pki/apiserver.crt": server.certificate, "pki/apiserver.key": server.key,
		"pki/service-accounts.key": tokens,
	} {
		if err := l.write(file, text); err != nil {
			return err
		}
	}
	// One identity for all controllers needs more than the role of the controller manager itself; giving each
	// its own service account costs a second at start and shows nothing about Fairlead.
	for file, user := range map[string]string{
		"controller-manager.kubeconfig": "system:kube-controller-manager",
		"scheduler.kubeconfig":          "system:kube-scheduler",
	} {
		who, err := l.authority.client(user, "system:masters")
		if err != nil {
			return err
		}
		if _, err := l.kubeconfig(file, user, certificateAuth(who)); err != nil {
			return err
		}
	}
	return nil
}

// StartAPIServer starts the API server on the data that there is, and waits until it is ready.
func (l *Lab) StartAPIServer(ctx context.Context) error {
	if err := l.apiServer.Start(); err != nil {
		return err
	}
	return l.waitAPIServer(ctx)
}

// StopAPIServer kills the API server. The data stays.
func (l *Lab) StopAPIServer() error { return l.apiServer.Kill() }

// waitAPIServer waits until the API server says that it is ready.
func (l *Lab) waitAPIServer(ctx context.Context) error {
	client, err := rest.HTTPClientFor(l.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client for the API server: %w", err)
	}
	defer client.CloseIdleConnections()
	last := "it does not listen"
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.server()+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("asking the API server whether it is ready: %w", err)
		}
		if response, err := client.Do(request); err == nil {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = string(body)
		}
		select {
		case <-time.After(pollInterval):
		case <-l.apiServer.Ended():
			return fmt.Errorf("the API server ended while starting:\n%s", l.apiServer.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server: %w: %s\n%s", context.Cause(ctx), last, l.apiServer.Tail(20))
		}
	}
}

// path is a file of the lab.
func (l *Lab) path(file string) string { return filepath.Join(l.Directory, file) }

func (l *Lab) logPath(process string) string { return l.path("logs/" + process + ".log") }

// write writes a file of the lab for its owner alone.
func (l *Lab) write(file string, text []byte) error {
	path := l.path(file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// wait polls until check says true or fails, and names what it waited for when ctx is done.
// Pause waits, unless ctx ends first.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func wait(ctx context.Context, what string, check func(context.Context) (bool, error)) error {
	var last error
	for {
		ok, err := check(ctx)
		if ok {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("waiting for %s: %w; last: %w", what, context.Cause(ctx), last)
			}
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}
