package migrate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is one of Fairlead's that was made.
type Object struct {
	Kind string         `json:"kind"`
	Name string         `json:"name"`
	Body map[string]any `json:"object"`
	// From is what it was made of, and Notes what is to be known of it.
	From  []string `json:"from"`
	Notes []string `json:"notes,omitempty"`
}

// kinds are Fairlead's, those first that others name.
var kinds = []string{"Community", "BFDProfile", "BGPPeer", "IPAddressPool", "BGPAdvertisement", "L2Advertisement"}

func sortObjects(objects []Object) {
	slices.SortFunc(objects, func(x, y Object) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, x.Kind), slices.Index(kinds, y.Kind)), cmp.Compare(x.Name, y.Name))
	})
}

// draft is an object that is being made.
type draft struct {
	e    *entry
	kind string
	meta map[string]any
	spec map[string]any
}

func (e *entry) draft(kind, name string) *draft {
	return &draft{e: e, kind: kind, meta: map[string]any{"name": name}, spec: map[string]any{}}
}

// keep carries fields of the spec over as they are.
func (d *draft) keep(fields ...string) {
	for _, field := range fields {
		p := path{"spec", field}
		if v, ok := d.e.at(p); ok {
			d.spec[field] = v
			d.e.carried(p)
		}
	}
}

// keepNoList carries fields over that are to be lists and are none: the object is not made then, which would be for all
// without them.
func (d *draft) keepNoList(fields ...string) {
	for _, field := range fields {
		if v, ok := d.e.at(path{"spec", field}); ok && !isList(v) {
			d.spec[field] = v
		}
	}
}

func isList(v any) bool {
	_, is := v.([]any)
	return is
}

// make makes the object, unless a value has a type that Fairlead's field does not take.
func (c *conversion) make(d *draft) {
	body := map[string]any{"apiVersion": v1alpha1.SchemeGroupVersion.String(), "kind": d.kind, "metadata": d.meta}
	if len(d.spec) > 0 {
		body["spec"] = d.spec
	}
	if err := decodeStrictly(body, emptyOf(d.kind)); err != nil {
		d.e.leaveOut(err.Error(), "correct it in the source")
		return
	}
	name, _ := d.meta["name"].(string)
	d.e.Made = append(d.e.Made, d.kind+" "+name)
	c.objects = append(c.objects, Object{Kind: d.kind, Name: name, Body: body, From: []string{d.e.origin()}})
}

// origin names the source in a comment.
func (e *entry) origin() string {
	s := e.Title() + " (" + e.APIVersion + ")"
	if e.Place != "" {
		s += ", " + e.Place
	}
	return s
}

func emptyOf(kind string) any {
	switch kind {
	case "Community":
		return &v1alpha1.Community{}
	case "BFDProfile":
		return &v1alpha1.BFDProfile{}
	case "BGPPeer":
		return &v1alpha1.BGPPeer{}
	case "IPAddressPool":
		return &v1alpha1.IPAddressPool{}
	case "BGPAdvertisement":
		return &v1alpha1.BGPAdvertisement{}
	}
	return &v1alpha1.L2Advertisement{}
}

func decodeStrictly(body map[string]any, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		// The type's name in Go is no help, and a value may be a secret.
		if t, ok := err.(*json.UnmarshalTypeError); ok {
			return fmt.Errorf("%s is of the wrong type, %s", cmp.Or(t.Field, "it"), t.Value)
		}
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// copyOf is a deep copy, so that no two objects share a map.
func copyOf(m map[string]any) map[string]any {
	return (&unstructured.Unstructured{Object: m}).DeepCopy().Object
}
