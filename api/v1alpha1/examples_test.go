package v1alpha1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/markdown"
)

// Every example decodes without an unknown field, and an API server takes it.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found (%v)", err)
	}
	r := newReader(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, doc := range documents(t, data) {
				if !r.read(t, doc) {
					t.Errorf("neither Kubernetes' nor Fairlead's:\n%s", doc)
				}
			}
		})
	}
}

// So does every object in the documentation, but for other systems' kinds. What has no kind is held to what it says it is
// by docs/yaml_test.go.
func TestObjectsInPages(t *testing.T) {
	r := newReader(t)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" || strings.HasPrefix(path, "../../.") || strings.HasPrefix(path, "../../build") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, block := range markdown.Parse(string(text)).Blocks {
			if block.Info != "yaml" {
				continue
			}
			for _, doc := range documents(t, []byte(block.Text)) {
				if !bytes.Contains(doc, []byte("apiVersion:")) {
					continue
				}
				t.Run(fmt.Sprintf("%s:%d", strings.TrimPrefix(path, "../../"), block.Line), func(t *testing.T) { r.read(t, doc) })
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reader reads manifests as an API server does.
type reader struct {
	decoder runtime.Decoder
	scheme  *runtime.Scheme
	defs    map[string]*definition
}

func newReader(t *testing.T) reader {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return reader{serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), scheme, definitions(t)}
}

// read fails the test with what an API server would complain of. It returns false for a kind of another system.
func (r reader) read(t *testing.T, doc []byte) (known bool) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil || kind.Kind == "" {
		t.Errorf("it has no kind, or cannot be read: %v\n%s", err, doc)
		return true
	}
	if group := kind.GroupVersionKind().Group; !r.scheme.IsGroupRegistered(group) && !strings.Contains(group, "fairlead") {
		return false
	}
	_, gvk, err := r.decoder.Decode(doc, nil, nil)
	if err != nil {
		t.Errorf("decoding: %v\n%s", err, doc)
		return true
	}
	if gvk.Group != v1alpha1.GroupName {
		return true
	}
	refusals, _ := r.defs[gvk.Kind].apply(t, string(doc))
	for _, refusal := range refusals {
		t.Errorf("%s: %s", gvk.Kind, refusal)
	}
	return true
}

func documents(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var docs [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
}
