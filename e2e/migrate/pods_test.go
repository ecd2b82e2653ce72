package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// programs runs what the Pods of MetalLB's and Fairlead's workloads run, as kubelets do: a process begins when the
// Pod was bound to a node, makes it Ready when it says so itself, and is asked to end when the Pod is deleted. So
// `kubectl scale`, `delete` and `rollout status` mean what they do in a cluster. Speakers are on their Pod's node;
// controllers, which have a network of their own in a cluster, are on the control plane's host.
type programs struct {
	w       *world
	metallb string // its binaries
	product string // Fairlead's
	files   string // credentials

	mu      sync.Mutex
	running map[types.UID]*program
	count   int
	failure error
}

type program struct {
	process *lab.Process
	ready   string // URL
	isReady bool
}

// pollPods is how often Pods are looked at. A kubelet hears of them at once, and takes longer to start a container.
const pollPods = 50 * time.Millisecond

// follow starts and ends processes until ctx is done.
func (p *programs) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.mu.Lock()
			p.failure = err
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollPods):
		}
	}
}

func (p *programs) look(ctx context.Context) error {
	present := map[types.UID]bool{}
	for _, namespace := range []string{metallbNamespace, lab.ProductNamespace} {
		list, err := p.w.Kubernetes.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return fmt.Errorf("listing the Pods of %s: %w", namespace, err)
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil {
				continue
			}
			present[pod.UID] = true
			if err := p.run(ctx, pod); err != nil {
				return fmt.Errorf("running the Pod %s/%s: %w", pod.Namespace, pod.Name, err)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for uid, x := range p.running {
		if !present[uid] {
			delete(p.running, uid)
			go func() {
				limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				_ = x.process.Stop(limited)
			}()
		}
	}
	return nil
}

func (p *programs) run(ctx context.Context, pod *corev1.Pod) error {
	p.mu.Lock()
	x := p.running[pod.UID]
	p.mu.Unlock()
	if x == nil {
		var err error
		if x, err = p.start(ctx, pod); x == nil {
			return err
		}
		p.mu.Lock()
		p.running[pod.UID] = x
		p.mu.Unlock()
	}
	if x.isReady || !healthy(ctx, x) {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata": {"annotations": {%q: "true"}}}`, lab.ReadyAnnotation)
	_, err := p.w.Kubernetes.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	x.isReady = err == nil
	return err
}

// healthy asks a process whether it is ready.
func healthy(ctx context.Context, x *program) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, x.ready, nil)
	if err != nil {
		return false
	}
	response, err := (&http.Client{Transport: &http.Transport{DialContext: x.process.Host.DialContext, DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// start starts a Pod's process; nil if what it mounts is not there yet.
func (p *programs) start(ctx context.Context, pod *corev1.Pod) (*program, error) {
	node := p.w.NodeNamed(pod.Spec.NodeName)
	host, component := p.w.CP, "controller"
	if pod.Spec.HostNetwork {
		host, component = node.Host, "speaker"
	}
	secret := map[string]string{metallbNamespace: "memberlist", lab.ProductNamespace: "fairlead-gossip"}[pod.Namespace]
	// Each Pod has files of its own: one that is written anew is empty for a moment.
	key := filepath.Join(p.files, pod.Name, "secretkey")
	if err := os.MkdirAll(filepath.Dir(key), 0o755); err != nil {
		return nil, err
	}
	if component == "speaker" {
		s, err := p.w.Kubernetes.CoreV1().Secrets(pod.Namespace).Get(ctx, secret, metav1.GetOptions{})
		if err != nil {
			return nil, nil // a kubelet waits for it too
		}
		if err := os.WriteFile(key, s.Data["secretkey"], 0o600); err != nil {
			return nil, err
		}
	}
	kubeconfig, err := p.kubeconfig(ctx, pod)
	if err != nil {
		return nil, err
	}
	p.count++
	port := 20000 + p.count // of the host's; none is used twice
	x := &program{ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", port)}
	var arguments []string
	switch {
	case pod.Namespace == metallbNamespace && component == "controller":
		arguments = []string{p.metallb + "/controller", "--namespace=" + metallbNamespace, "--pod-name=" + pod.Name, "--deployment=controller",
			"--ml-secret-name=memberlist", "--webhook-mode=disabled", fmt.Sprintf("--health-probe-port=%d", port), fmt.Sprintf("--port=%d", port+1000)}
	case pod.Namespace == metallbNamespace:
		arguments = []string{p.metallb + "/speaker", "--namespace=" + metallbNamespace, "--pod-name=" + pod.Name, "--node-name=" + node.Name,
			"--ml-bindaddr=" + node.V4.String(), "--ml-labels=app=metallb,component=speaker", "--ml-secret-key-path=" + filepath.Dir(key),
			fmt.Sprintf("--health-probe-port=%d", port), fmt.Sprintf("--port=%d", port+1000)}
	case component == "controller":
		arguments = []string{p.product + "/controller", "--kubeconfig=" + kubeconfig, "--namespace=" + pod.Namespace, "--leader-elect",
			"--http-address=" + net.JoinHostPort("127.0.0.1", fmt.Sprint(port))}
	default:
		arguments = []string{p.product + "/speaker", "--kubeconfig=" + kubeconfig, "--namespace=" + pod.Namespace,
			"--node-name=" + node.Name, "--gossip-key-file=" + key, "--http-address=" + net.JoinHostPort("127.0.0.1", fmt.Sprint(port))}
	}
	name := fmt.Sprintf("%s-%s-%s-%d", strings.TrimSuffix(pod.Namespace, "-system"), component, host.Name, p.count)
	x.process = p.w.Program(name, host, "/usr/bin/env", append([]string{"env", "KUBECONFIG=" + kubeconfig, "METALLB_BGP_TYPE=native"}, arguments...)...)
	return x, x.process.Start()
}

// kubeconfig writes the credentials of a Pod's service account.
func (p *programs) kubeconfig(ctx context.Context, pod *corev1.Pod) (string, error) {
	seconds := int64(24 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := p.w.Kubernetes.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("requesting a token of %s: %w", pod.Spec.ServiceAccountName, err)
	}
	path := filepath.Join(p.files, pod.Name, "kubeconfig")
	return path, writeKubeconfig(p.w.Lab, path, &clientcmdapi.AuthInfo{Token: token.Status.Token})
}

func writeKubeconfig(l *lab.Lab, path string, who *clientcmdapi.AuthInfo) error {
	rest := l.RESTConfig()
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: rest.Host, CertificateAuthorityData: rest.CAData}
	config.AuthInfos["me"] = who
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "me"}
	config.CurrentContext = "lab"
	return clientcmd.WriteToFile(*config, path)
}

// of are the processes of a namespace's Pods.
func (p *programs) of(namespace string) (list []*lab.Process) {
	prefix := strings.TrimSuffix(namespace, "-system") + "-"
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.running {
		if strings.HasPrefix(x.process.Name, prefix) {
			list = append(list, x.process)
		}
	}
	return list
}

// show shows what the processes have logged last.
func (p *programs) show(t *testing.T, lines int) {
	for _, x := range p.w.Processes() {
		if strings.HasPrefix(x.Name, "metallb-") || strings.HasPrefix(x.Name, "fairlead-") {
			t.Logf("%s, running %v:\n%s", x.Name, x.Running(), x.Tail(lines))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure != nil {
		t.Logf("the Pods' programs, last error: %v", p.failure)
	}
}

// forLab adapts manifests to nodes whose kubelets are played: Pods become ready when told so, ports are opened by the
// programs themselves, and what needs a webhook's certificates is left out.
func forLab(t *testing.T, manifest []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, o := range documents(t, manifest) {
		if o["kind"] == "ValidatingWebhookConfiguration" {
			continue
		}
		if template, ok := field(o, "spec", "template").(map[string]any); ok {
			metadata := template["metadata"].(map[string]any)
			annotations, _ := metadata["annotations"].(map[string]any)
			if annotations == nil {
				annotations = map[string]any{}
				metadata["annotations"] = annotations
			}
			annotations[lab.ReadyAnnotation] = "false"
			for _, c := range field(template, "spec", "containers").([]any) {
				delete(c.(map[string]any), "ports")
			}
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "---\n%s\n", text)
	}
	return out.Bytes()
}

func field(o map[string]any, path ...string) any {
	var at any = o
	for _, name := range path {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	return at
}
