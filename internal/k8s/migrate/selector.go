package migrate

import (
	"fmt"
	"slices"
)

// Bounds of the lists in Fairlead's definitions.
const (
	mostSelectors = 16
	mostValues    = 64
)

// nodeSelectors carries them over. MetalLB's users may name their nodes in a selector each: where that is more than
// Fairlead takes, those that each want one of some values of one label become one.
func (d *draft) nodeSelectors(p path) {
	d.keepNoList("nodeSelectors")
	list := d.e.list(p)
	if len(list) == 0 {
		d.e.carried(p)
		return
	}
	d.spec["nodeSelectors"] = list
	if len(list) <= mostSelectors {
		d.e.carried(p)
		return
	}
	merged := mergeSelectors(list)
	if len(merged) > mostSelectors {
		delete(d.spec, "nodeSelectors")
		d.e.lacks(p, fmt.Sprintf("Fairlead takes at most %d; the object is for every node now", mostSelectors),
			"label the nodes alike and select that label before you apply the object")
		return
	}
	d.spec["nodeSelectors"] = merged
	d.e.changed(p, fmt.Sprintf("Fairlead takes at most %d: those of one label are one with all its values", mostSelectors))
}

// mergeSelectors merges those that ask for one label alone.
func mergeSelectors(list []any) (merged []any) {
	values := map[string][]any{}
	var keys []string
	for _, s := range list {
		key, some := oneLabel(s)
		if key == "" {
			merged = append(merged, s)
			continue
		}
		if values[key] == nil {
			keys = append(keys, key)
		}
		for _, v := range some {
			if !has(values[key], v) {
				values[key] = append(values[key], v)
			}
		}
	}
	for _, key := range keys {
		for part := range slices.Chunk(values[key], mostValues) {
			merged = append(merged, map[string]any{"matchExpressions": []any{
				map[string]any{"key": key, "operator": "In", "values": slices.Clone(part)}}})
		}
	}
	return merged
}

// oneLabel returns the label that a selector asks for and the values that it takes, if that is all it asks for.
func oneLabel(s any) (key string, values []any) {
	m, _ := s.(map[string]any)
	labels, _ := m["matchLabels"].(map[string]any)
	expressions, _ := m["matchExpressions"].([]any)
	switch {
	case len(labels) == 1 && len(expressions) == 0:
		for key, v := range labels {
			return key, []any{v}
		}
	case len(labels) == 0 && len(expressions) == 1:
		x, _ := expressions[0].(map[string]any)
		if values, _ := x["values"].([]any); x["operator"] == "In" && len(values) > 0 {
			key, _ := x["key"].(string)
			return key, values
		}
	}
	return "", nil
}
