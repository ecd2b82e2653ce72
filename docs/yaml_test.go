package docs_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/markdown"
	"github.com/fairlead-lb/fairlead/manifests/render"
	"sigs.k8s.io/yaml"
)

// fileComment is the first line of YAML that is no object: which file it is of.
var fileComment = regexp.MustCompile(`^# (?:.* )?([\w-]+\.ya?ml)\b`)

// kustomizeFields are those of a kustomization that the pages have use for.
var kustomizeFields = []string{"apiVersion", "kind", "namespace", "resources", "components", "images", "patches", "labels", "configMapGenerator", "secretGenerator"}

// YAML in the pages is an object, which api/v1alpha1 holds to its schema, or says in a first line which file it is of, and
// is what such a file may be.
func TestYAMLThatIsNoObject(t *testing.T) {
	all := pages(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, b := range all[name].Blocks {
			if b.Info == "yaml" {
				checkYAML(t, name, b)
			}
		}
	}
}

func checkYAML(t *testing.T, page string, b markdown.Block) {
	t.Helper()
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s:%d: "+format, append([]any{page, b.Line}, args...)...)
	}
	documents := strings.Split(b.Text, "\n---\n")
	for _, text := range documents {
		var whole any
		if err := yaml.UnmarshalStrict([]byte(text), &whole); err != nil {
			complain("%v", err)
			continue
		}
		fields, _ := whole.(map[string]any)
		if fields["apiVersion"] != nil {
			continue
		}
		of := fileComment.FindStringSubmatch(text)
		if of == nil {
			complain("it has no apiVersion: begin with the name of its file (# values.yaml), or write an object")
			continue
		}
		switch {
		case strings.HasPrefix(of[1], "kustomization."):
			for field := range fields {
				if !slices.Contains(kustomizeFields, field) {
					complain("%q is no field of a kustomization (or one to be added to this test)", field)
				}
			}
		case strings.HasSuffix(of[1], "values.yaml") && !strings.Contains(text, "# of another chart"):
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := render.Template("--values", file); err != nil {
				complain("the chart refuses these values: %v", err)
			}
		}
	}
}

// Words after the fence say what a block is: sh is run or said why not, yaml is read, and the rest is shown.
func TestBlocksAreOfAKindThatIsChecked(t *testing.T) {
	kinds := []string{"sh", "yaml", "console", "text", "json", "go", "promql", "toml", "diff", "bird", "frr", "nginx", "ini"}
	for name, page := range pages(t) {
		for _, b := range page.Blocks {
			if !slices.Contains(kinds, b.Info) {
				t.Errorf("%s:%d: a block of %q, which is none of %v", name, b.Line, b.Info, kinds)
			}
		}
	}
}
