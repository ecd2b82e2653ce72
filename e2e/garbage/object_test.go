package garbage

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObjects(t *testing.T) {
	good := func() Object {
		return Object{
			"apiVersion": "v1", "kind": "Service",
			"metadata": Object{"name": "good", "namespace": "default", "annotations": Object{"a": "192.0.2.1"}},
			"spec":     Object{"list": []any{Object{"port": int64(80)}}, "empty": Object{}, "text": "x"},
		}
	}
	from := good()
	list := Objects(r(), from, "bad", 500)
	if d := cmp.Diff(good(), from); d != "" {
		t.Errorf("the good one has changed: %s", d)
	}
	if d := cmp.Diff(list, Objects(r(), good(), "bad", 500)); d != "" || len(list) != 500 {
		t.Errorf("%d objects; a seed does not repeat them: %s", len(list), d)
	}
	names, same, annotated := map[any]bool{}, 0, 0
	for _, o := range list {
		meta := o["metadata"].(Object)
		names[meta["name"]] = true
		if o["kind"] != "Service" || meta["namespace"] != "default" {
			t.Errorf("%v is not of the kind and namespace", meta)
		}
		if cmp.Equal(o["spec"], good()["spec"]) {
			same++
		}
		if !cmp.Equal(meta["annotations"], good()["metadata"].(Object)["annotations"]) {
			annotated++
		}
	}
	if len(names) != 500 || same > 300 || annotated < 100 || annotated > 450 {
		t.Errorf("%d names, %d specs as they were, %d annotations changed", len(names), same, annotated)
	}
}
