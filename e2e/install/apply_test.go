package install

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const manifest = "manifests/fairlead.yaml"

func file(path string) func() ([]byte, error) {
	return func() ([]byte, error) {
		root, err := render.Root()
		if err != nil {
			return nil, err
		}
		return os.ReadFile(filepath.Join(root, path))
	}
}

// appliedTwice installs the manifest, and looks at what GitOps would see then.
func appliedTwice(ctx context.Context, t *testing.T, c *cluster) {
	text, err := file(manifest)()
	objects := documents(t, text, err)
	if len(objects) < 20 {
		t.Fatalf("%d objects", len(objects))
	}
	for _, o := range objects {
		if _, err := c.apply(ctx, o, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range objects {
		// Controllers of Kubernetes write to some objects after they were made.
		var diff string
		eventually(ctx, t, name(o)+" to be as it was applied", func() error {
			stored, err := c.get(ctx, o)
			if err != nil {
				return err
			}
			again, err := c.apply(ctx, o, true)
			if err != nil {
				return err
			}
			if diff = cmp.Diff(wanted(stored), wanted(again)); diff != "" {
				return differs(diff)
			}
			return nil
		})
	}
	if warnings := c.warned(); len(warnings) > 0 {
		t.Errorf("warned of %q", warnings)
	}
}

type differs string

func (d differs) Error() string { return "(-stored +applied again):\n" + string(d) }

// wanted is what an object says without what the API server counts and controllers report.
func wanted(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	delete(o.Object, "status")
	return o.Object
}

// acceptsEveryForm asks for what is beside the manifest, too: overlays, and the chart with all kinds of values.
func acceptsEveryForm(ctx context.Context, t *testing.T, c *cluster) {
	for _, kind := range []string{"podmonitors", "servicemonitors", "prometheusrules"} {
		text, err := os.ReadFile(filepath.Join(os.Getenv(operatorVariable), "monitoring.coreos.com_"+kind+".yaml"))
		if err == nil {
			err = c.Apply(ctx, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.warned()

	root, err := render.Root()
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]func() ([]byte, error){manifest: file(manifest)}
	overlays, err := filepath.Glob(filepath.Join(root, "manifests/overlays/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, directory := range overlays {
		directory = strings.TrimPrefix(directory, root+"/")
		forms[directory] = func() ([]byte, error) { return render.Kustomize(directory) }
	}
	values, err := filepath.Glob(filepath.Join(root, "charts/fairlead/ci/*-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range values {
		file = strings.TrimPrefix(file, root+"/")
		forms[file] = func() ([]byte, error) { return render.Template("--values", file) }
	}
	if len(overlays) < 4 || len(values) < 7 {
		t.Fatalf("%d overlays, %d files of values", len(overlays), len(values))
	}
	for form, make := range forms {
		t.Run(form, func(t *testing.T) {
			text, err := make()
			kinds := []string{}
			for _, o := range documents(t, text, err) {
				if _, err := c.apply(ctx, o, true); err != nil {
					t.Error(err)
				}
				kinds = append(kinds, o.GetKind())
			}
			if warnings := c.warned(); len(warnings) > 0 {
				t.Errorf("warned of %q", warnings)
			}
			slices.Sort(kinds)
			t.Logf("%d objects: %v", len(kinds), slices.Compact(kinds))
		})
	}
}
