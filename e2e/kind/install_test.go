//go:build kind

package kind

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// installBound is from `kubectl apply` of the manifest to a Service that answers from outside.
const installBound = time.Minute

// quickstart runs the README's commands as they are. Only the addresses are of this cluster's segment, in
// examples/pool-and-l2.yaml, as the README says.
func (w *world) quickstart(t *attempt) {
	w.remove(t)
	kubectl(t, "delete", "service", "web", "--ignore-not-found") // of a run before
	w.deploy(t, "web", 2, w.workers)                             // what the reader has
	w.empty = objects(t)
	directory := w.copyOfExamples(t)
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, line := range quickstartOf(t, string(readme)) {
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", line)
		cmd.Dir = directory
		out, err := cmd.CombinedOutput()
		t.Logf("%4.1f s $ %s\n%s", time.Since(begin).Seconds(), line, out)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	address := w.assigned(t, "web", 1, 5*time.Second)
	eventually(t, installBound, "the Service is reachable", func() error {
		_, _, err := w.client.ask("tcp", address[0])
		return err
	})
	took := time.Since(begin)
	t.Logf("reachable from outside %.1f s after kubectl apply (bound %v)", took.Seconds(), installBound)
	if took > installBound {
		t.Errorf("reachable after %v, more than %v", took, installBound)
	}
	w.noRestarts(t)
	apart(t)
	t.Log("\n" + kubectl(t, "get", "pods", "--namespace", namespace, "--output", "wide"))
	t.Log("\n" + kubectl(t, "describe", "service", "web"))
	kubectl(t, "delete", "--filename", filepath.Join(directory, "examples/service.yaml"), "--filename", filepath.Join(directory, "examples/pool-and-l2.yaml"))
	kubectl(t, "delete", "deployment,poddisruptionbudget", "web")
}

// quickstartOf returns the commands of the block that follows the README's mark.
func quickstartOf(t testing.TB, readme string) []string {
	t.Helper()
	_, after, marked := strings.Cut(readme, "<!-- quickstart")
	_, after, fenced := strings.Cut(after, "```sh\n")
	block, _, ended := strings.Cut(after, "```")
	if !marked || !fenced || !ended {
		t.Fatal("README.md has no block of sh after <!-- quickstart")
	}
	return strings.Split(strings.TrimSpace(block), "\n")
}

var addressesOf = regexp.MustCompile(`(?m)^  addresses:\n(  - .*\n)+`)

// copyOfExamples returns a directory with the manifests and examples, the pool with addresses of the segment.
func (w *world) copyOfExamples(t testing.TB) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range []string{"manifests", "examples"} {
		if err := os.CopyFS(filepath.Join(directory, name), os.DirFS(filepath.Join(root(t), name))); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(directory, "examples/pool-and-l2.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !addressesOf.Match(text) {
		t.Fatalf("%s has no list of addresses to replace", path)
	}
	lines := "  addresses:\n  - " + w.segment.V4.String() + "\n"
	if w.segment.Dual() {
		lines += "  - " + w.segment.V6.String() + "\n"
	}
	if err := os.WriteFile(path, addressesOf.ReplaceAll(text, []byte(lines)), 0o644); err != nil {
		t.Fatal(err)
	}
	return directory
}

// objects are all that the API server has, but what comes and goes by itself, and the test's own.
func objects(t testing.TB) map[string]bool {
	t.Helper()
	kinds := slices.DeleteFunc(strings.Fields(kubectl(t, "api-resources", "--verbs", "list", "--output", "name")), func(kind string) bool {
		resource, _, _ := strings.Cut(kind, ".")
		return slices.Contains([]string{"events", "pods", "endpoints", "endpointslices", "ipaddresses", "componentstatuses"}, resource)
	})
	format := `jsonpath={range .items[*]}{.apiVersion} {.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}`
	found := map[string]bool{}
	for object := range strings.Lines(kubectl(t, "get", strings.Join(kinds, ","), "--all-namespaces", "--output", format)) {
		if !strings.Contains(object, " default/") {
			found[strings.TrimSpace(object)] = true
		}
	}
	return found
}

// remove deletes Fairlead and what the steps made, whatever there is of it.
func (w *world) remove(t testing.TB) {
	t.Helper()
	kubectl(t, "delete", "--filename", manifest, "--ignore-not-found", "--timeout", "60s")
	w.forgetAll(t)
}

// forgetAll deletes what the steps made.
func (w *world) forgetAll(t testing.TB) {
	t.Helper()
	kubectl(t, "delete", "services,deployments,poddisruptionbudgets", "--selector", "fairlead-e2e")
	clear(w.services)
	w.addresses = nil
}

// uninstall shows that `kubectl delete` of the manifest takes all along: objects, addresses, routes; and that
// Services stay as they were made, without an address.
func (w *world) uninstall(t *attempt) {
	if w.empty == nil { // this step was chosen alone
		w.remove(t)
		w.empty = objects(t)
	}
	w.stand(t)
	begin := time.Now()
	kubectl(t, "delete", "--filename", manifest, "--timeout", "60s")
	t.Logf("deleted within %.1f s", time.Since(begin).Seconds())

	for object := range objects(t) {
		if !w.empty[object] {
			t.Errorf("left: %s", object)
		}
	}
	for name, spec := range w.services {
		s := get[corev1.Service](t, "service", name)
		if len(s.Status.LoadBalancer.Ingress) > 0 || len(s.Status.Conditions) > 0 {
			t.Errorf("Service %s keeps the status %+v", name, s.Status)
		}
		if !equality.Semantic.DeepEqual(s.Spec, spec) {
			t.Errorf("the spec of Service %s was\n%+v\nand is\n%+v", name, spec, s.Spec)
		}
		if len(s.Finalizers) > 0 {
			t.Errorf("Service %s has finalizers %q", name, s.Finalizers)
		}
	}
	if text := kubectl(t, "get", "nodes", "--output", "yaml"); strings.Contains(text, "fairlead.dev") {
		t.Errorf("a Node still bears Fairlead's marks:\n%s", text)
	}
	answers, err := w.client.whoHas(w.addresses)
	if err != nil {
		t.Fatal(err)
	}
	for a, macs := range answers {
		if len(macs) > 0 {
			t.Errorf("%q still answer for %s", macs, a)
		}
	}
	if w.kind != nil {
		for _, node := range w.all() {
			for _, a := range w.addresses {
				if out := docker(t, "exec", node, "ip", "-oneline", "address", "show", "to", a.String()); out != "" {
					t.Errorf("%s still has %s: %s", node, a, out)
				}
			}
		}
	}
	if w.routing != nil {
		w.routing.noRoutes(t)
	}
	// Services can be deleted without the load balancer.
	w.remove(t)
}
