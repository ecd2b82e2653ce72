package v1alpha1_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// Every example decodes without an unknown field, and an API server takes it.
func TestExamples(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	defs := definitions(t)

	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, doc := range documents(t, data) {
				_, gvk, err := decoder.Decode(doc, nil, nil)
				if err != nil {
					t.Errorf("decoding: %v\n%s", err, doc)
					continue
				}
				if gvk.Group != v1alpha1.GroupName {
					continue
				}
				refusals, _ := defs[gvk.Kind].apply(t, string(doc))
				for _, refusal := range refusals {
					t.Errorf("%s: %s", gvk.Kind, refusal)
				}
			}
		})
	}
}

func documents(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var docs [][]byte
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
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
