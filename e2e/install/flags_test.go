package install

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// What the chart says to the programs they understand. Asked for help, a program reads its flags first.
func TestProgramsKnowTheirFlags(t *testing.T) {
	root, err := render.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"base", "tls", "full"} {
		text, err := render.Template("--values", render.Values(form))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := render.Objects(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			var c corev1.Container
			switch o := o.(type) {
			case *appsv1.Deployment:
				c = o.Spec.Template.Spec.Containers[0]
			case *appsv1.DaemonSet:
				c = o.Spec.Template.Spec.Containers[0]
			default:
				continue
			}
			t.Run(form+" "+c.Name, func(t *testing.T) {
				output, err := exec.Command(filepath.Join(root, "build", c.Name), append(c.Args, "--help")...).CombinedOutput()
				if err != nil {
					t.Errorf("%s %q: %v\n%s", c.Name, c.Args, err, output)
				}
			})
		}
	}
}
