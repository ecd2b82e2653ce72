//go:build kind

package kind

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

// kind is what can be done to a cluster whose nodes are containers.
type kind struct {
	network string // Docker's, which is the segment
	prefix  string // of the names of containers
	podnet  string // a program that joins the nodes' pod ranges; empty if the cluster does it itself
}

// find takes the cluster that the environment names: kind's, or any other that kubectl reaches.
func find(t testing.TB) *world {
	w := &world{t: t, image: env(t, "E2E_IMAGE"), services: map[string]specification{}}
	if network := os.Getenv("E2E_KIND_NETWORK"); network != "" {
		w.kind = &kind{network: network, prefix: env(t, "E2E_KIND_PREFIX"), podnet: os.Getenv("E2E_KIND_PODNET")}
		w.segment = findSegment(t, network)
		w.client = startClient(t, w.kind.prefix+"-client", network, w.image)
	} else {
		w.segment = parseSegment(t, env(t, "E2E_POOL"))
		w.client = client{program: []string{env(t, "E2E_CLIENT")}}
	}
	for _, n := range get[corev1.NodeList](t, "nodes").Items {
		if _, ok := n.Labels[corev1.LabelNodeExcludeBalancers]; ok {
			w.excluded = append(w.excluded, n.Name)
		} else {
			w.workers = append(w.workers, n.Name)
		}
	}
	if len(w.workers) < 2 {
		t.Fatalf("nodes %q may own addresses, want two at least", w.workers)
	}
	if w.kind != nil {
		w.learnNodes(t)
	}
	return w
}

func (w *world) all() []string { return slices.Concat(w.excluded, w.workers) }

// without are nodes for backends, when one is to have none.
func (w *world) without(node string) []string {
	return slices.DeleteFunc(w.all(), func(n string) bool { return n == node })
}

// learnNodes learns the nodes' hardware addresses: of Docker; elsewhere of the Speakers, which have to be there.
// A node that came back may have another than before.
func (w *world) learnNodes(t testing.TB) {
	t.Helper()
	w.nodes = map[string]string{}
	if w.kind != nil {
		for _, n := range w.all() {
			if mac := macOf(t, n); mac != "" {
				w.nodes[mac] = n
			}
		}
		return
	}
	for _, s := range get[v1alpha1.SpeakerList](t, "speakers").Items {
		for _, i := range s.Status.Interfaces {
			w.nodes[i.HardwareAddress] = s.Name
		}
	}
}

// macOf returns the hardware address of a container, by what Docker knows of it; empty if it has none.
func macOf(t testing.TB, container string) string {
	t.Helper()
	return strings.ToLower(docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}", container))
}

// rejoin gives a node, whose network is new, what others have to know of it and it of them.
func (w *world) rejoin(t testing.TB) {
	t.Helper()
	w.learnNodes(t)
	if w.kind.podnet != "" {
		must(t, "", w.kind.podnet, w.all()...)
	}
	if w.routing != nil {
		w.routing.teachNodes(t, w.all())
	}
}

// awaitSpeakers waits until each of so many speakers sees all others.
func (w *world) awaitSpeakers(t testing.TB, within time.Duration) time.Duration {
	t.Helper()
	return eventually(t, within, "all speakers see each other", func() error {
		speakers := get[v1alpha1.SpeakerList](t, "speakers").Items
		if len(speakers) != len(w.all()) {
			return fmt.Errorf("there are %d Speakers", len(speakers))
		}
		var failures []error
		for _, s := range speakers {
			if g := s.Status.Gossip; g == nil || int(g.Members) != len(w.all()) {
				failures = append(failures, fmt.Errorf("speaker %s has gossip %+v", s.Name, g))
			}
		}
		return errors.Join(failures...)
	})
}
