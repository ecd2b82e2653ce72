//go:build kind

package kind

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

const (
	manifest  = "../../manifests/fairlead.yaml"
	namespace = "fairlead-system"
)

// world is a cluster and the segment that it is on, with what the steps have made of it.
type world struct {
	t       testing.TB // of all steps together
	image   string     // of backends and clients
	segment segment
	client  client
	kind    *kind             // nil on any other cluster
	nodes   map[string]string // by hardware address
	workers []string          // those that may own addresses
	// excluded are labelled so that they own none, as control-plane nodes are.
	excluded []string

	empty     map[string]bool          // what the cluster had before the installation
	services  map[string]specification // of Services, as they were made
	addresses []netip.Addr             // of all standing Services, those of the first Service first
	owners    map[netip.Addr]string
	kept      map[netip.Addr]bool // those that the node which went last did not own
	killed    string              // the worker that was killed
	restarts  map[string]int32    // of pods, before the step
	routing   *routing            // nil before there is a router
}

func TestFairlead(t *testing.T) {
	w := find(t)
	for _, step := range []struct {
		name, what string
		run        func(*attempt)
		kind       bool // needs to do things to nodes
	}{
		{"quickstart", "the README's commands, and a Service is reachable", w.quickstart, false},
		{"reach", "one worker answers for each address, and the client reaches the backends", w.reach, false},
		{"local", "only a node with an endpoint answers, and the client's address is kept", w.local, false},
		{"select", "only selected nodes answer", w.selectNodes, false},
		{"rolling", "updates of all speakers break nothing", w.rolling, false},
		{"drain", "kubectl drain moves the addresses first", w.drain, false},
		{"leader", "another controller goes on", w.leader, false},
		{"ui", "the status page answers through the plugin, from another controller when its own goes", w.ui, false},
		{"scenarios", "the rules of address management", w.scenarios, false},
		{"uninstall", "the manifest's deletion leaves nothing behind", w.uninstall, false},
		{"upgrade", "from the previous release, under traffic", w.upgrade, true},
		{"bgp", "a router spreads connections over the nodes", w.bgp, true},
		{"pause", "a worker stands still for a while", w.pause, true},
		{"cut", "a worker loses its network", w.cut, true},
		{"kill", "the worker with the leader dies, and returns and takes nothing back", w.kill, true},
		{"uninstall-again", "no route and no address are left either", w.uninstall, true},
	} {
		if step.kind && w.kind == nil {
			t.Logf("not on this cluster: %s", step.what)
			continue
		}
		run := func(t *testing.T) {
			t.Log(step.what)
			attempts(t, step.run)
		}
		if !t.Run(step.name, run) {
			t.FailNow()
		}
	}
}

// root is the repository.
func root(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func env(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run hack/e2e-kind.sh, which makes the cluster; docs/testing.md has it for others", name)
	}
	return value
}
