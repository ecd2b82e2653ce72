package lab

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestControlPlane(t *testing.T) {
	ctx, l := sharedLab(t)
	nodes, err := l.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != 2 {
		t.Errorf("%d nodes, want 2", len(nodes.Items))
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy-node1", "kube-proxy-node2"} {
		p := l.Process(name)
		cpu, err := p.CPUTime()
		if err != nil {
			t.Error(err)
		}
		rss, err := p.RSS()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%-24s pid %-6d cpu %-6v rss %d MiB", p.Name, p.PID(), cpu, rss>>20)
	}
}
