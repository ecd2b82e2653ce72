package install

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/manifests/render"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const serving = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: segment}
spec: {addresses: [192.0.2.200-192.0.2.220]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: segment}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

// With the rights of overlays/layer2, and not one more, speakers work and have nothing to complain of.
func TestLayer2Alone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	root, err := render.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := render.Kustomize("manifests/overlays/layer2")
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(t.TempDir(), "layer2.yaml")
	if err := os.WriteFile(manifest, text, 0o644); err != nil {
		t.Fatal(err)
	}
	config := lab.Config{
		ControllerBinary: filepath.Join(root, "build", "controller"), SpeakerBinary: filepath.Join(root, "build", "speaker"),
		Manifests: []string{manifest},
	}
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make build` first", err)
		}
	}
	l, err := lab.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	if _, err := l.Deploy(ctx, lab.Backend{Name: "web", Node: "node1"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(ctx, []byte(serving)); err != nil {
		t.Fatal(err)
	}
	var address netip.Addr
	eventually(ctx, t, "an address", func() error {
		service, err := l.Kubernetes.CoreV1().Services("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			address, err = netip.ParseAddr(ingress.IP)
			return err
		}
		return errNone
	})
	if _, err := l.Client(1).Await(ctx, "tcp", netip.AddrPortFrom(address, 80)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*lab.Process{l.Controllers[0], l.Nodes[0].Speaker} {
		log, err := p.Log()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log, "forbidden") || strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
			t.Errorf("%s complains:\n%s", p.Name, log)
		}
		rss, err := p.RSS()
		t.Logf("%s: %d MB resident (%v)", p.Name, rss>>20, err)
	}
}
