package v1alpha1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apiservervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// definition is one file of manifests/crds with what an API server makes of it, so that a test of an
// object runs the code between a real API server's decoder and its store: strict field validation,
// defaults, schema, list types and CEL.
type definition struct {
	crd        *apiextensions.CustomResourceDefinition
	structural *structuralschema.Structural
	strategy   rest.RESTCreateStrategy
}

// definitions are all of manifests/crds by kind.
func definitions(t testing.TB) map[string]*definition {
	t.Helper()
	files, err := filepath.Glob("../../manifests/crds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in manifests/crds (%v); run hack/generate.sh", err)
	}
	defs := map[string]*definition{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := loadDefinition(data)
		if err != nil {
			t.Fatalf("loading %s: %v", file, err)
		}
		defs[d.crd.Spec.Names.Kind] = d
	}
	return defs
}

func loadDefinition(data []byte) (*definition, error) {
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &v1); err != nil {
		return nil, err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	// What the API server fills in when it stores a definition.
	v1.Status.StoredVersions = []string{v1alpha1.SchemeGroupVersion.Version}

	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &crd, nil); err != nil {
		return nil, err
	}
	props, err := apiextensions.GetSchemaForVersion(&crd, v1alpha1.SchemeGroupVersion.Version)
	if err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	validator, _, err := apiservervalidation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	gvk := v1alpha1.SchemeGroupVersion.WithKind(crd.Spec.Names.Kind)
	return &definition{
		crd:        &crd,
		structural: structural,
		strategy:   customresource.NewStrategy(runtime.NewScheme(), false, gvk, validator, nil, structural, nil, nil, nil),
	}, nil
}

// apply returns what an API server answers to the object: its complaints in order, and the object as it
// would be stored, which is nil after a complaint.
func (d *definition) apply(t testing.TB, manifest string) (refusals []string, stored map[string]any) {
	t.Helper()
	return d.admit(t, decode(t, manifest))
}

// admit is apply for an object that is decoded already, and that it may change.
func (d *definition) admit(t testing.TB, obj map[string]any) (refusals []string, stored map[string]any) {
	for _, path := range pruning.PruneWithOptions(obj, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		refusals = append(refusals, fmt.Sprintf("unknown field %q", path))
	}
	d.setDefaults(obj)
	for _, err := range d.strategy.Validate(t.Context(), &unstructured.Unstructured{Object: obj}) {
		refusals = append(refusals, err.Error())
	}
	if len(refusals) > 0 {
		return refusals, nil
	}
	return nil, obj
}

func (d *definition) setDefaults(obj map[string]any) {
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, d.structural)
	defaulting.Default(obj, d.structural)
}

// decode reads YAML as the API server does, which tells integers from floats.
func decode(t testing.TB, manifest string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatalf("decoding the test's YAML: %v\n%s", err, manifest)
	}
	obj := map[string]any{}
	if err := utiljson.Unmarshal(data, &obj); err != nil {
		t.Fatalf("decoding the test's YAML: %v\n%s", err, manifest)
	}
	return obj
}

// manifest is an object of the kind, named test, with the spec if there is one. The spec is YAML that may
// be indented by tabs as a whole.
func manifest(kind, spec string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: fairlead.dev/v1alpha1\nkind: %s\nmetadata: {name: test}\n", kind)
	if spec != "" {
		b.WriteString("spec:\n")
	}
	for line := range strings.Lines(spec) {
		b.WriteString("  " + strings.TrimLeft(line, "\t"))
	}
	return b.String()
}

// wantRefusals fails the test unless applying a spec of the kind is refused in these words, and in no
// others.
func wantRefusals(t *testing.T, d *definition, spec string, want ...string) {
	t.Helper()
	got, _ := d.apply(t, manifest(d.crd.Spec.Names.Kind, spec))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

// unchecked is what the API server says instead of running CEL on an object that its schema refuses.
const unchecked = `<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation`

func TestDefinitionsAreValid(t *testing.T) {
	defs := definitions(t)
	for kind, d := range defs {
		t.Run(kind, func(t *testing.T) {
			// Compiles the CEL rules and holds their estimated cost against the API server's budgets.
			for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), d.crd) {
				t.Error(err)
			}
			if d.crd.Spec.Scope != apiextensions.ClusterScoped {
				t.Errorf("scope is %s", d.crd.Spec.Scope)
			}
			if !slices.Contains(d.crd.Spec.Names.Categories, "fairlead") {
				t.Errorf("kubectl get fairlead leaves %s out", kind)
			}
		})
	}
}

// The oldest Kubernetes that Fairlead's rules work on is 1.30, the first with CEL's ip and cidr.
func TestRulesCompileOnTheOldestKubernetes(t *testing.T) {
	oldest := environment.MustBaseEnvSet(version.MajorMinor(1, 30))
	for kind, d := range definitions(t) {
		t.Run(kind, func(t *testing.T) {
			checkRules(t, kind, d.structural, model.SchemaDeclType(d.structural, true), oldest)
		})
	}
}

func checkRules(t *testing.T, path string, s *structuralschema.Structural, decl *apiservercel.DeclType, env *environment.EnvSet) {
	results, err := schemacel.Compile(s, decl, celconfig.PerCallLimit, env, schemacel.NewExpressionsEnvLoader())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for i, r := range results {
		if r.Error != nil || r.MessageExpressionError != nil {
			t.Errorf("%s: rule %s: %v, message %v", path, s.XValidations[i].Rule, r.Error, r.MessageExpressionError)
		}
	}
	if s.Items != nil {
		checkRules(t, path+"[]", s.Items, decl.ElemType, env)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		checkRules(t, path+".*", s.AdditionalProperties.Structural, decl.ElemType, env)
	}
	for name, p := range s.Properties {
		if f, ok := decl.Fields[name]; ok && name != "metadata" {
			checkRules(t, path+"."+name, &p, f.Type, env)
		}
	}
}

// Every list and string has a bound and every list says how it is merged: CEL's cost estimates, the size of
// objects and server-side apply depend on it.
func TestSchemasAreBounded(t *testing.T) {
	for kind, d := range definitions(t) {
		t.Run(kind, func(t *testing.T) {
			for _, field := range []string{"spec", "status"} {
				s, ok := d.structural.Properties[field]
				if ok {
					checkBounded(t, field, &s)
				}
			}
		})
	}
}

func checkBounded(t *testing.T, path string, s *structuralschema.Structural) {
	v := s.ValueValidation
	switch s.Type {
	case "string":
		if v == nil || v.MaxLength == nil && v.Format != "date-time" && len(v.Enum) == 0 {
			t.Errorf("%s has no maxLength", path)
		}
	case "array":
		if v == nil || v.MaxItems == nil {
			t.Errorf("%s has no maxItems", path)
		}
		if s.XListType == nil {
			t.Errorf("%s has no list type", path)
		}
		checkBounded(t, path+"[]", s.Items)
	case "object":
		if s.AdditionalProperties != nil {
			if v == nil || v.MaxProperties == nil {
				t.Errorf("%s has no maxProperties", path)
			}
			checkBounded(t, path+".*", s.AdditionalProperties.Structural)
		}
		for name, p := range s.Properties {
			checkBounded(t, path+"."+name, &p)
		}
	}
}

func TestEveryKindHasADefinition(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	defs := definitions(t)
	var want, got []string
	for kind, typ := range scheme.KnownTypes(v1alpha1.SchemeGroupVersion) {
		if strings.HasPrefix(typ.PkgPath(), "github.com/fairlead-lb/") && !strings.HasSuffix(kind, "List") {
			want = append(want, kind)
		}
	}
	for kind := range defs {
		got = append(got, kind)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-in the scheme +in manifests/crds):\n%s", diff)
	}
}
