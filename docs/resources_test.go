package docs_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the custom resources in the order in which a reader meets them, each with the example that shows it.
var kinds = []struct{ kind, example string }{
	{"IPAddressPool", "reserved-pool.yaml"},
	{"L2Advertisement", "preferred-nodes.yaml"},
	{"BGPPeer", "bgp-password.yaml"},
	{"BGPAdvertisement", "bgp-communities.yaml"},
	{"BFDProfile", "bgp-bfd.yaml"},
	{"Community", "bgp-communities.yaml"},
	{"Speaker", ""},
}

const resourcesHead = `# The custom resources

Made from ` + "`api/v1alpha1`" + ` by ` + "`go test ./docs -update`" + `; a test fails while it is not up to date.

All are of ` + "`fairlead.dev/v1alpha1`" + ` and have no namespace. What is refused is refused by the API server, at ` + "`kubectl apply`" + `,
in a sentence; there is no webhook. What only all objects together can show is in the condition ` + "`Ready`" + ` of the object and in
an event: [messages.md](messages.md). ` + "`kubectl explain KIND.spec`" + ` says the same as this page.

In the column *type*, ` + "`[]`" + ` is a list, *required* a field that has to be there, and what follows are the bounds. A *label selector*
is Kubernetes' own, with ` + "`matchLabels`" + ` and ` + "`matchExpressions`" + `; in a list of them one has to match.

`

func TestResourcesPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(resourcesHead)
	definitions := readDefinitions(t)
	for _, k := range kinds {
		crd, ok := definitions[k.kind]
		if !ok {
			t.Fatalf("there is no definition of %s", k.kind)
		}
		delete(definitions, k.kind)
		writeKind(t, &b, crd, k.example)
	}
	for kind := range definitions {
		t.Errorf("the page leaves %s out: add it to kinds", kind)
	}
	golden(t, "reference/resources.md", b.Bytes())
}

func readDefinitions(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob("../manifests/crds/fairlead.dev_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions (%v)", err)
	}
	all := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[crd.Spec.Names.Kind] = crd
	}
	return all
}

func writeKind(t *testing.T, b *bytes.Buffer, crd *apiextensionsv1.CustomResourceDefinition, example string) {
	t.Helper()
	names, schema := crd.Spec.Names, crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	fmt.Fprintf(b, "## %s\n\n%s\n\n`kubectl get %s`\n\n", names.Kind, prose(schema.Description, "\n\n"),
		strings.Join(append([]string{names.Plural}, names.ShortNames...), "`, `"))
	if example != "" {
		fmt.Fprintf(b, "```yaml\n%s```\n\n", exampleOf(t, example, names.Kind))
		fmt.Fprintf(b, "From [examples/%s](../../examples/%[1]s).\n\n", example)
	}
	rules := map[string][]string{} // paths by message
	for _, part := range []string{"spec", "status"} {
		s, ok := schema.Properties[part]
		if !ok {
			continue
		}
		fmt.Fprintf(b, "### %s of %s\n\n%s\n\n| field | type | |\n|---|---|---|\n", part, names.Kind, prose(s.Description, "\n\n"))
		writeFields(b, part, "", &s, rules)
		b.WriteString("\n")
	}
	noteRules("spec", schema, rules)
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(b, "### What is refused in %s\n\n| field | message |\n|---|---|\n", names.Kind)
	lines := []string{}
	for message, paths := range rules {
		slices.Sort(paths)
		lines = append(lines, fmt.Sprintf("| `%s` | %s |\n", strings.Join(slices.Compact(paths), "`, `"), cell(message)))
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, "") + "\n")
}

// writeFields writes a line for each field of an object, and notes the rules on them.
func writeFields(b *bytes.Buffer, part, prefix string, s *apiextensionsv1.JSONSchemaProps, rules map[string][]string) {
	noteRules(strings.TrimSuffix(part+"."+prefix, "."), s, rules)
	for _, name := range slices.SortedFunc(maps.Keys(s.Properties), func(x, y string) int {
		return cmp.Or(cmp.Compare(rank(s, x), rank(s, y)), cmp.Compare(x, y))
	}) {
		p := s.Properties[name]
		path := prefix + name
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", path, typeOf(&p, slices.Contains(s.Required, name)), cell(prose(p.Description, "<br>")))
		inner, path := &p, path
		for inner.Type == "array" {
			noteRules(part+"."+path, inner, rules)
			inner, path = inner.Items.Schema, path+"[]"
		}
		switch {
		case isSelector(inner) || isConditions(inner):
			// Kubernetes' own, which the page tells of once.
		case len(inner.Properties) > 0:
			writeFields(b, part, path+".", inner, rules)
		default:
			noteRules(part+"."+path, inner, rules)
		}
	}
}

// rank puts what is required first.
func rank(s *apiextensionsv1.JSONSchemaProps, name string) int {
	if slices.Contains(s.Required, name) {
		return 0
	}
	return 1
}

func noteRules(path string, s *apiextensionsv1.JSONSchemaProps, rules map[string][]string) {
	path = strings.TrimSuffix(strings.ReplaceAll(path, ".[", "["), ".")
	for _, v := range s.XValidations {
		message := v.Message
		if message == "" {
			message = v.MessageExpression
		}
		rules[message] = append(rules[message], path)
	}
}

func isSelector(s *apiextensionsv1.JSONSchemaProps) bool {
	_, labels := s.Properties["matchLabels"]
	_, expressions := s.Properties["matchExpressions"]
	return labels && expressions && len(s.Properties) == 2
}

func isConditions(s *apiextensionsv1.JSONSchemaProps) bool {
	_, transition := s.Properties["lastTransitionTime"]
	_, reason := s.Properties["reason"]
	return transition && reason
}

// typeOf is what a field holds, within which bounds, and what it is without being given.
func typeOf(p *apiextensionsv1.JSONSchemaProps, required bool) string {
	kind, items := "", p
	for items.Type == "array" {
		kind, items = kind+"[]", items.Items.Schema
	}
	switch {
	case isSelector(items):
		kind += "label selector"
	case isConditions(items):
		kind += "condition"
	case items.Type == "" && items.XIntOrString:
		kind += "integer or string"
	case items.Type == "object" && items.AdditionalProperties != nil:
		kind += "map of " + items.AdditionalProperties.Schema.Type
	case items.Format == "date-time":
		kind += "time"
	default:
		kind += items.Type
	}
	parts := []string{kind}
	if required {
		parts[0] += ", *required*"
	}
	var values []string
	for _, e := range items.Enum {
		values = append(values, "`"+strings.Trim(string(e.Raw), `"`)+"`")
	}
	if len(values) > 0 {
		parts = append(parts, strings.Join(values, ", "))
	}
	switch {
	case items.Minimum != nil && items.Maximum != nil:
		parts = append(parts, fmt.Sprintf("%.0f to %.0f", *items.Minimum, *items.Maximum))
	case items.Minimum != nil:
		parts = append(parts, fmt.Sprintf("at least %.0f", *items.Minimum))
	case items.Maximum != nil:
		parts = append(parts, fmt.Sprintf("at most %.0f", *items.Maximum))
	}
	if p.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("at most %d", *p.MaxItems))
	}
	if p.Default != nil {
		parts = append(parts, "default `"+string(p.Default.Raw)+"`")
	}
	return strings.Join(parts, "; ")
}

// exampleOf is the first object of a kind in a file of examples.
func exampleOf(t *testing.T, file, kind string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../examples", file))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		if strings.Contains(document, "\nkind: "+kind+"\n") {
			return strings.TrimSpace(document) + "\n"
		}
	}
	t.Fatalf("examples/%s has no %s", file, kind)
	return ""
}

// prose joins what a comment in the code had broken into lines, but for its paragraphs and what is indented.
func prose(text, paragraph string) string {
	var parts []string
	for p := range strings.SplitSeq(text, "\n\n") {
		var b strings.Builder
		for i, line := range strings.Split(p, "\n") {
			switch {
			case i == 0:
			case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
				b.WriteString(paragraph)
			default:
				b.WriteString(" ")
			}
			b.WriteString(strings.TrimSpace(line))
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, paragraph)
}

// cell escapes what would end a table's cell, or be taken for HTML.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<br>", "<br>", "<", "&lt;").Replace(text)
}

// golden holds a page to what it would be now, or rewrites it.
func golden(t *testing.T, name string, want []byte) {
	t.Helper()
	want = append(bytes.TrimSpace(want), '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code says (%v): run go test ./docs -update", name, err)
	}
}
