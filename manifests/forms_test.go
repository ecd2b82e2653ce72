package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

// byName decodes YAML, in which nothing may be twice.
func byName(t *testing.T, text []byte, err error) map[string]runtime.Object {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := render.Objects(text)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]runtime.Object{}
	for _, o := range objects {
		if named[render.Name(o)] != nil {
			t.Errorf("%s is twice", render.Name(o))
		}
		named[render.Name(o)] = o
	}
	return named
}

func TestEveryFormHasTheSameObjects(t *testing.T) {
	// As a user writes it who needs several: kustomize takes relative paths only.
	combined := t.TempDir()
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.Rel(combined, here)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll("resources: [HERE/base]\ncomponents: [HERE/components/bgp, HERE/components/bind-address, HERE/components/ha, HERE/components/prometheus]\n", "HERE", here)
	if err := os.WriteFile(filepath.Join(combined, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	file := func(path string) func() ([]byte, error) {
		return func() ([]byte, error) { return os.ReadFile(path) }
	}
	kustomize := func(directory string) func() ([]byte, error) {
		return func() ([]byte, error) { return render.Kustomize(directory) }
	}
	for _, tt := range []struct {
		name   string
		form   func() ([]byte, error)
		values []string
	}{
		{"the single file", file("fairlead.yaml"), []string{"base"}},
		{"the base", kustomize("manifests/base"), []string{"base"}},
		{"layer 2 alone", kustomize("manifests/overlays/layer2"), []string{"layer2"}},
		{"BGP", kustomize("manifests/overlays/bgp"), []string{"bgp"}},
		{"high availability", kustomize("manifests/overlays/ha"), []string{"ha"}},
		{"Prometheus", kustomize("manifests/overlays/prometheus"), []string{"prometheus"}},
		{"a user's combination", kustomize(combined), []string{"bgp", "bind-address", "ha", "prometheus"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := tt.form()
			got := byName(t, text, err)
			var args []string
			for _, v := range tt.values {
				args = append(args, "--values", render.Values(v))
			}
			text, err = render.Template(args...)
			want := byName(t, text, err)
			if len(want) < 20 {
				t.Fatalf("only %d objects in the chart", len(want))
			}
			for name, o := range want {
				if got[name] == nil {
					t.Errorf("%s is in the chart alone", name)
				} else if diff := cmp.Diff(o, got[name]); diff != "" {
					t.Errorf("%s (-chart +this):\n%s", name, diff)
				}
			}
			for name := range got {
				if want[name] == nil {
					t.Errorf("%s is not in the chart", name)
				}
			}
		})
	}
}
