package garbage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Object is an API object as JSON has it: maps, lists, strings, numbers (int64 or float64), booleans, nil.
type Object = map[string]any

// values are what stands in a field that was made for something else: edges of numbers, texts that are empty, long, of
// another script or meant for a terminal, a shell or a template, and addresses that nobody should give a Service.
var values = []any{
	nil, true, int64(0), int64(-1), int64(1), int64(65535), int64(65536), int64(1)<<32 - 1, int64(1) << 32, int64(1)<<53 + 1, 1.5, 1e300,
	"", " ", "-", ",", "/", ":", "0", "-1", "\x00", "\n", "\x1b[2J\x1b]0;x\x07", "ü\u202e\ufeff\U0001F4A9", "$(reboot)", "{{.}}", "%s%n", "../../etc/passwd",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a.", 126) + "a", strings.Repeat("x", 70000),
	"0.0.0.0", "0.0.0.0/0", "::/0", "::", "255.255.255.255", "224.0.0.1", "127.0.0.1", "169.254.1.1", "fe80::1", "fe80::1%eth0", "::ffff:192.0.2.1",
	"192.0.2.256", "192.0.2.250-192.0.2.240", "192.0.2.0/33", "192.0.2.0/-1", "2001:db8::/129", "192.0.2.1-2001:db8::1", "1.2.3", "192.0.2.1 - ", "010.0.0.1",
	"10.0.0.0-10.255.255.255", "2001:db8:dead::/48",
	"0s", "-1s", "1ns", "999999h", "1e9s", "65536:1", "large:1:2", "large:4294967296:0:0", "*", "[", "[[:alpha:]", "eth0,", "**",
	[]any{}, []any{nil}, []any{""}, Object{}, Object{"": ""}, Object{"x": Object{}},
}

// Objects are so many objects made from a good one, each with its own name that begins so, with one to four fields
// wrong: another value, another type, nothing, or a list that is much too long. What of it the API server refuses is
// for it to say.
func Objects(r *rand.Rand, good Object, prefix string, n int) (list []Object) {
	for i := range n {
		o := clone(good).(Object)
		for range 1 + r.IntN(4) {
			spoil(r, o)
		}
		meta, _ := o["metadata"].(Object)
		if meta == nil {
			meta = Object{}
		}
		meta["name"] = fmt.Sprintf("%s-%d", prefix, i)
		o["metadata"], o["apiVersion"], o["kind"] = meta, good["apiVersion"], good["kind"]
		if good, _ := good["metadata"].(Object); good["namespace"] != nil {
			meta["namespace"] = good["namespace"]
		}
		list = append(list, o)
	}
	return list
}

// spoil changes one field of what is in spec or in the annotations.
func spoil(r *rand.Rand, o Object) {
	var at any = o["spec"]
	if meta, _ := o["metadata"].(Object); meta["annotations"] != nil && r.IntN(2) == 0 {
		at = meta["annotations"]
	}
	for {
		last := r.IntN(3) == 0
		switch parent := at.(type) {
		case Object:
			keys := slices.Sorted(maps.Keys(parent))
			if len(keys) == 0 {
				return
			}
			key := keys[r.IntN(len(keys))]
			if child := parent[key]; last || !isInner(child) {
				if parent[key] = spoilt(r, child); parent[key] == nil {
					delete(parent, key)
				}
				return
			}
			at = parent[key]
		case []any:
			if len(parent) == 0 {
				return
			}
			i := r.IntN(len(parent))
			if last || !isInner(parent[i]) {
				parent[i] = spoilt(r, parent[i])
				return
			}
			at = parent[i]
		default:
			return
		}
	}
}

func isInner(v any) bool {
	switch v := v.(type) {
	case Object:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

// spoilt is something in place of a value.
func spoilt(r *rand.Rand, is any) any {
	switch v := is.(type) {
	case []any:
		if len(v) > 0 && r.IntN(2) == 0 { // the same again and again
			long := make([]any, []int{2, 17, 257, 5000}[r.IntN(4)])
			for i := range long {
				long[i] = clone(v[i%len(v)])
			}
			return long
		}
	case string:
		switch r.IntN(4) {
		case 0:
			return v + v
		case 1:
			return v[:r.IntN(len(v)+1)]
		case 2:
			return v + "," + fmt.Sprint(values[r.IntN(len(values))])
		}
	}
	return clone(values[r.IntN(len(values))])
}

func clone(v any) any {
	switch v := v.(type) {
	case Object:
		c := make(Object, len(v))
		for k, x := range v {
			c[k] = clone(x)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = clone(x)
		}
		return c
	}
	return v
}
