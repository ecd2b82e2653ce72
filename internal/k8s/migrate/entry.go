package migrate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// entry is an object that is being converted, with an account of its fields.
type entry struct {
	Entry
	content map[string]any
	// seen are the fields that a converter has accounted for, by path, and their parents.
	seen, above map[string]bool
	skipped     bool
}

func newEntry(s Source) *entry {
	text := func(v any) string {
		t, _ := v.(string)
		return t
	}
	e := &entry{content: s.Object, seen: map[string]bool{}, above: map[string]bool{}}
	e.Place, e.Findings = s.Place, []Finding{}
	e.APIVersion, e.Kind = text(s.Object["apiVersion"]), text(s.Object["kind"])
	meta, _ := s.Object["metadata"].(map[string]any)
	e.Namespace, e.Name = text(meta["namespace"]), text(meta["name"])
	if e.Name == "" {
		e.Name = text(meta["generateName"])
	}
	return e
}

// kindKey is "IPAddressPool.metallb.io", and "ConfigMap" in the core group.
func (e *entry) kindKey() string {
	group, _, found := strings.Cut(e.APIVersion, "/")
	if !found {
		return e.Kind
	}
	return e.Kind + "." + group
}

// path is a way into an object: strings for the fields of maps, numbers for the items of lists.
type path []any

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch s := s.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			if !plainKey.MatchString(s) {
				fmt.Fprintf(&b, "[%s]", s)
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s)
		}
	}
	return b.String()
}

// with is a new path: append would share the array.
func (p path) with(more ...any) path { return append(slices.Clone(p), more...) }

// at returns what is at a path, and false if nothing is: null counts as nothing.
func (e *entry) at(p path) (any, bool) {
	var v any = e.content
	for _, s := range p {
		switch s := s.(type) {
		case int:
			list, ok := v.([]any)
			if !ok || s >= len(list) {
				return nil, false
			}
			v = list[s]
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[s]; !ok {
				return nil, false
			}
		}
	}
	return v, v != nil
}

// text returns the string at a path. A number counts as one, since YAML may take 65000 for it.
func (e *entry) text(p path) string {
	v, _ := e.at(p)
	switch v := v.(type) {
	case string:
		return v
	case bool, int64, float64, json.Number:
		return fmt.Sprint(v)
	}
	return ""
}

func (e *entry) list(p path) []any {
	v, _ := e.at(p)
	list, _ := v.([]any)
	return list
}

func (e *entry) dict(p path) map[string]any {
	v, _ := e.at(p)
	m, _ := v.(map[string]any)
	return m
}

// note accounts for a field, and says nothing if it is not there.
func (e *entry) note(p path, f Finding) {
	if _, ok := e.at(p); !ok {
		return
	}
	f.Field = p.String()
	for i := range p {
		e.above[p[:i].String()] = true
	}
	if e.seen[f.Field] { // one finding a field, the graver one
		i := slices.IndexFunc(e.Findings, func(x Finding) bool { return x.Field == f.Field })
		if i >= 0 {
			if f.Outcome != Carried {
				e.Findings[i] = f
			}
			return
		}
	}
	e.seen[f.Field] = true
	e.Findings = append(e.Findings, f)
}

func (e *entry) carried(p path)             { e.note(p, Finding{Outcome: Carried}) }
func (e *entry) changed(p path, why string) { e.note(p, Finding{Outcome: Changed, Why: why}) }
func (e *entry) lacks(p path, why, do string) {
	e.note(p, Finding{Outcome: NoCounterpart, Why: why, Do: do})
}

// skip leaves the whole object out.
func (e *entry) skip(why, do string) {
	e.skipped = true
	e.Findings = []Finding{{Outcome: NoCounterpart, Why: why, Do: do}}
}

func (e *entry) unknown(why, do string) {
	e.skipped = true
	e.Findings = []Finding{{Outcome: Unknown, Why: why, Do: do}}
}

// leaveOut keeps what was found of the fields, and says that no object came of it.
func (e *entry) leaveOut(why, do string) {
	for i := range e.Findings { // nothing of it is to be done
		e.Findings[i].Do, e.Findings[i].Command = "", ""
	}
	e.Findings = append([]Finding{{Outcome: NoCounterpart, Why: "no object is made of it: " + why, Do: do}}, e.Findings...)
}

// metadata that the API server writes is nobody's configuration.
var serverMetadata = []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"}

// close reports what nobody has accounted for.
func (e *entry) close() {
	if e.skipped {
		return
	}
	content := make(map[string]any, len(e.content))
	for key, v := range e.content {
		content[key] = v
	}
	delete(content, "apiVersion")
	delete(content, "kind")
	if meta, ok := content["metadata"].(map[string]any); ok {
		rest := make(map[string]any, len(meta))
		for key, v := range meta {
			if !slices.Contains(serverMetadata, key) && key != "name" && key != "namespace" && key != "generateName" {
				rest[key] = v
			}
		}
		content["metadata"] = rest
	}
	e.rest(content, nil)
}

func (e *entry) rest(v any, p path) {
	field := p.String()
	if v == nil || e.seen[field] {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 && len(p) > 0 {
			return // says nothing
		}
		if len(p) < 2 || e.above[field] {
			for _, key := range sortedKeys(v) {
				e.rest(v[key], p.with(key))
			}
			return
		}
	case []any:
		if e.above[field] {
			for i := range v {
				e.rest(v[i], p.with(i))
			}
			return
		}
	}
	e.note(p, Finding{Outcome: Unknown, Why: "this converter does not know the field",
		Do: "read what it does, and whether Fairlead has something for it"})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
