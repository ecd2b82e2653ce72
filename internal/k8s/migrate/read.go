package migrate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Read reads the objects of YAML or JSON documents, and of lists in them.
func Read(name string, r io.Reader) ([]Source, error) {
	var sources []Source
	documents := yamlutil.NewYAMLReader(bufio.NewReader(r))
	for number := 1; ; {
		data, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return sources, nil
		}
		if err != nil {
			return sources, fmt.Errorf("reading %s: %w", name, err)
		}
		place := fmt.Sprintf("%s, document %d", name, number)
		data, err = yaml.YAMLToJSON(data)
		if err != nil {
			return sources, fmt.Errorf("%s: %s", place, strings.TrimPrefix(firstLine(err), "error converting YAML to JSON: "))
		}
		if text := strings.TrimSpace(string(data)); text == "null" || text == "{}" {
			continue // comments only
		}
		number++
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil { // which tells integers from floats
			return sources, fmt.Errorf("%s: it is no object: it has to have apiVersion, kind and metadata", place)
		}
		if sources, err = add(sources, object, place); err != nil {
			return sources, err
		}
	}
}

func add(sources []Source, object map[string]any, place string) ([]Source, error) {
	kind, _ := object["kind"].(string)
	version, _ := object["apiVersion"].(string)
	if kind == "" || version == "" {
		return sources, fmt.Errorf("%s has no kind or no apiVersion", place)
	}
	items, isList := object["items"].([]any)
	if !isList || !strings.HasSuffix(kind, "List") {
		return append(sources, Source{object, place}), nil
	}
	for i, item := range items {
		o, ok := item.(map[string]any)
		at := fmt.Sprintf("%s, item %d", place, i+1)
		if !ok {
			return sources, fmt.Errorf("%s: it is no object", at)
		}
		// A list of one kind may leave it to the list to say which.
		if o["kind"] == nil && kind != "List" {
			o["kind"], o["apiVersion"] = strings.TrimSuffix(kind, "List"), version
		}
		var err error
		if sources, err = add(sources, o, at); err != nil {
			return sources, err
		}
	}
	return sources, nil
}
