// Package install gives every form in which Fairlead is installed to a real API server, and sees what it says.
package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/manifests/render"
)

// The custom resources of the Prometheus operator: a version that clusters have had for long, and its checksum.
const (
	operator    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSum = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// operatorVariable names the folder with their definitions. It is set once all is fetched.
const operatorVariable = "FAIRLEAD_OPERATOR_CRDS"

// In the lab, for which the test executes itself again, there is no network to fetch anything by.
func TestMain(m *testing.M) {
	if os.Getenv(operatorVariable) == "" {
		if err := fetch(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	lab.Main(m)
}

func fetch() error {
	if _, err := render.Helm("version"); err != nil {
		return err
	}
	if _, err := render.Kustomize("manifests/crds"); err != nil {
		return err
	}
	var module struct{ Dir, Sum, Error string }
	text, err := exec.Command("go", "mod", "download", "-json", operator).Output()
	if err = errors.Join(err, json.Unmarshal(text, &module)); err != nil || module.Error != "" {
		return fmt.Errorf("fetching %s: %w %s", operator, err, module.Error)
	}
	if module.Sum != operatorSum {
		return fmt.Errorf("fetching %s: its checksum is %s, not %s", operator, module.Sum, operatorSum)
	}
	return os.Setenv(operatorVariable, filepath.Join(module.Dir, "example", "prometheus-operator-crd"))
}

func TestInstall(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	l, err := lab.Start(ctx, lab.Config{Nodes: lab.None})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	c := newCluster(t, l)
	for _, step := range []struct {
		name string
		run  func(context.Context, *testing.T, *cluster)
	}{
		{"Helm installs into a namespace that it makes, upgrades, and leaves nothing", helmMakesTheNamespace},
		{"Helm labels the namespace, and leaves it", helmOwnsTheNamespace},
		{"what is applied again makes no difference", appliedTwice},
		{"the API server takes every form, strictly and without a warning", acceptsEveryForm},
		{"Pod Security admission takes each Pod where it is to run", podSecurity},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(ctx, t, c) }) {
			t.FailNow()
		}
	}
}
