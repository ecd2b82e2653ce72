// Package render makes, for tests, the objects of every form in which Fairlead is installed: the chart with values, a
// kustomization, a file.
package render

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// Namespace is where all forms install Fairlead.
const Namespace = "fairlead-system"

// Values returns the file of the chart that has the values of a form.
func Values(name string) string { return "charts/fairlead/ci/" + name + "-values.yaml" }

// Template is the output of `helm template` with these arguments, beside those that give the objects their names. Files
// are named from the root of the repository.
func Template(args ...string) ([]byte, error) {
	return Helm(append([]string{"template", "fairlead", "charts/fairlead", "--namespace", Namespace}, args...)...)
}

// Helm runs Helm at the root of the repository.
func Helm(args ...string) ([]byte, error) {
	program, err := HelmProgram()
	if err != nil {
		return nil, err
	}
	return run(program, args...)
}

// HelmProgram is the path of the Helm of hack/tools, built if need be.
var HelmProgram = sync.OnceValues(func() (string, error) {
	path, err := run("go", "tool", "-modfile=hack/tools/go.mod", "-n", "helm")
	return strings.TrimSpace(string(path)), err
})

// Kustomize builds a kustomization, named from the root of the repository.
func Kustomize(directory string) ([]byte, error) {
	return run("go", "tool", "kustomize", "build", directory)
}

func run(program string, args ...string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes(), nil
}

// Root is the repository.
var Root = sync.OnceValues(func() (string, error) {
	file, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the root of the repository: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(file))), nil
})

var scheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		apiextensionsv1.AddToScheme, admissionregistrationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}()

// Objects decodes YAML documents as an API server with strict field validation does. Those of the Prometheus operator,
// whose types are not here, stay unstructured.
func Objects(text []byte) ([]runtime.Object, error) {
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		u := &unstructured.Unstructured{}
		if err := sigsyaml.UnmarshalStrict(document, &u.Object); err != nil {
			return nil, fmt.Errorf("decoding: %w\n%s", err, document)
		}
		switch {
		case len(u.Object) == 0: // comments alone
		case u.GroupVersionKind().Group == "monitoring.coreos.com":
			objects = append(objects, u)
		default:
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				return nil, fmt.Errorf("decoding: %w\n%s", err, document)
			}
			objects = append(objects, object)
		}
	}
}

// Name says what an object is: kind, namespace and name.
func Name(object runtime.Object) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(err) // all that Objects returns have metadata
	}
	kind := object.GetObjectKind().GroupVersionKind()
	return fmt.Sprintf("%s %s %s/%s", kind.GroupVersion(), kind.Kind, accessor.GetNamespace(), accessor.GetName())
}
