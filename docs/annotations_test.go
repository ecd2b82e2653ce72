package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every annotation and label that the code reads or writes is on the page, other systems' among them.
func TestAnnotationsPage(t *testing.T) {
	page, err := os.ReadFile("reference/annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`"((?:[a-z0-9-]+\.)*(?:fairlead\.dev|metallb\.io|metallb\.universe\.tf|kube-vip\.io|cilium\.io|kubesphere\.io)/[A-Za-z0-9-]+|io\.cilium/[a-z-]+)"`)
	found := map[string]bool{"node.kubernetes.io/exclude-from-external-load-balancers": true, "node.kubernetes.io/out-of-service": true}
	for _, directory := range []string{"../api/v1alpha1", "../internal/k8s", "../internal/k8s/controller", "../internal/k8s/speaker"} {
		files, err := filepath.Glob(directory + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s (%v)", len(files), directory, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, parts := range name.FindAllStringSubmatch(string(text), -1) {
				found[parts[1]] = true
			}
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d names are found", len(found))
	}
	for name := range found {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("reference/annotations.md does not tell of %s", name)
		}
	}
	told := regexp.MustCompile("`([a-z0-9.-]+/[A-Za-z0-9-]+)`")
	for _, parts := range told.FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(parts[1], ".") && !found[parts[1]] && !strings.Contains(parts[1], "node-role") {
			t.Errorf("reference/annotations.md tells of %s, which the code does not know", parts[1])
		}
	}
}
