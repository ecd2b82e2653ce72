package v1alpha1_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

var update = flag.Bool("update", false, "add what is new to testdata/served-v1alpha1.txt")

const servedHead = `# Every field of Fairlead's custom resources that a release has served, and every value of those that take few.
# Users' manifests and objects in their clusters have them, so none goes away and none changes its type, nor does an optional
# one become required. go test ./api/v1alpha1 -run TestServedFields -update adds what is new, which is what a diff of this file is
# to be. It takes no line away: who does that by hand breaks users, and says so in docs/upgrade.md.
`

// What was served once is served as it was: see the head of the file.
func TestServedFields(t *testing.T) {
	file := filepath.Join("testdata", "served-v1alpha1.txt")
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	before := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			before[line] = true
		}
	}
	now := served(t)
	for _, line := range slices.Sorted(maps.Keys(before)) {
		if !now[line] {
			t.Errorf("served once and not any more, which breaks those who use it: %s", line)
		}
	}
	added := slices.DeleteFunc(slices.Sorted(maps.Keys(now)), func(line string) bool { return before[line] })
	if len(added) == 0 {
		return
	}
	paths := map[string]bool{}
	for line := range before {
		paths[line[:strings.Index(line, " ")]] = true
	}
	for _, line := range added {
		path := line[:strings.Index(line, " ")]
		if parent := path[:max(0, strings.LastIndex(path, "."))]; strings.HasSuffix(line, ", required") && paths[parent] {
			t.Errorf("new, and required of objects and of releases that do not have it: %s", line)
		}
	}
	if !*update {
		t.Fatalf("new: it is kept from now on, run go test ./api/v1alpha1 -run TestServedFields -update:\n%s", strings.Join(added, "\n"))
	}
	all := slices.Concat(slices.Collect(maps.Keys(before)), added)
	slices.Sort(all)
	if err := cmp.Or(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(servedHead+strings.Join(all, "\n")+"\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// served lists every field as "Kind.path type, what else counts", and every value of an enumeration.
func served(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../manifests/crds/fairlead.dev_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in manifests/crds: %v", err)
	}
	lines := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		for _, v := range crd.Spec.Versions {
			// What is stored can only be read as long as its version is served; a second one needs its conversion.
			if v.Name != v1alpha1.SchemeGroupVersion.Version || !v.Served || !v.Storage {
				t.Errorf("%s: version %s, served %v, stored %v; want %s alone, served and stored", crd.Name, v.Name, v.Served, v.Storage, v1alpha1.SchemeGroupVersion.Version)
			}
			lines[fmt.Sprintf("%s %s, %s", crd.Spec.Names.Kind, crd.Name, crd.Spec.Scope)] = true
			describe(lines, crd.Spec.Names.Kind, *v.Schema.OpenAPIV3Schema, true)
		}
	}
	return lines
}

// describe notes what a schema says of the field at a path, and of those in it.
func describe(lines map[string]bool, path string, s apiextensionsv1.JSONSchemaProps, optional bool) {
	if strings.Contains(path, ".") { // the object itself is none
		words := []string{cmp.Or(s.Type, "any")}
		if s.XIntOrString {
			words[0] = "integer or string"
		}
		for _, word := range []string{s.Format, listType(s)} {
			if word != "" {
				words = append(words, word)
			}
		}
		if len(s.Enum) > 0 {
			words = append(words, "one of a few")
		}
		if !optional {
			words = append(words, "required")
		}
		lines[path+" "+strings.Join(words, ", ")] = true
	}
	for _, value := range s.Enum {
		lines[fmt.Sprintf("%s = %s", path, value.Raw)] = true
	}
	for name, p := range s.Properties {
		if metadata := path + "." + name; strings.Count(metadata, ".") > 1 || name == "spec" || name == "status" {
			describe(lines, metadata, p, !slices.Contains(s.Required, name))
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		describe(lines, path+"[]", *s.Items.Schema, true)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		describe(lines, path+"{}", *s.AdditionalProperties.Schema, true)
	}
}

// listType is how lists of different owners are merged: another one loses what was applied.
func listType(s apiextensionsv1.JSONSchemaProps) string {
	if s.XListType == nil {
		return ""
	}
	return strings.TrimSuffix(*s.XListType+" by "+strings.Join(s.XListMapKeys, " "), " by ")
}
