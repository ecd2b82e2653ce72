package plugin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzManifests: a file is read, or refused in one line that names the file; what was read is read again to the same from
// what it is written as.
func FuzzManifests(f *testing.F) {
	files, err := filepath.Glob("../../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no examples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		"", "---\n---\n# nothing\n", "{}", "[]", "kind: 1", "a: &a [*a]", "a: &a {b: *a}", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[null,{}]}",
		"{apiVersion: fairlead.dev/v1alpha1, kind: IPAddressPoolList, items: [{apiVersion: fairlead.dev/v1alpha1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [192.0.2.1]}}]}",
		"{apiVersion: fairlead.dev/v2, kind: IPAddressPool}", "{apiVersion: fairlead.dev/v1alpha1, kind: IPAddressPool, metadata: {name: a, creationTimestamp: x}}",
		"{apiVersion: fairlead.dev/v1alpha1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [192.0.2.1], retention: 1x, nobody: knows}}",
		"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}]}]}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		manifests, notes, err := ReadManifests("in.yaml", bytes.NewReader(text))
		if err != nil {
			if line := err.Error(); !strings.Contains(line, "in.yaml") || strings.ContainsFunc(printable(line), unicode.IsControl) {
				t.Errorf("refused with %q", line)
			}
			return
		}
		for _, n := range notes {
			if !strings.HasPrefix(n, "in.yaml: skipped ") {
				t.Errorf("note %q", n)
			}
		}
		var out bytes.Buffer
		for _, m := range manifests {
			var o metav1.Object
			switch {
			case m.Pool != nil:
				m.Pool.TypeMeta, o = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "IPAddressPool"}, m.Pool
			case m.L2 != nil:
				m.L2.TypeMeta, o = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "L2Advertisement"}, m.L2
			case m.BGP != nil:
				m.BGP.TypeMeta, o = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "BGPAdvertisement"}, m.BGP
			}
			if o == nil || o.GetName() == "" || !strings.HasPrefix(m.Source, "in.yaml, document ") {
				t.Fatalf("read %+v", m)
			}
			line, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString("---\n")
			out.Write(append(line, '\n'))
		}
		written := out.String()
		again, _, err := ReadManifests("in.yaml", &out)
		if err != nil || len(again) != len(manifests) {
			t.Fatalf("%d were read, and of what they are written as %d (%v):\n%s", len(manifests), len(again), err, written)
		}
	})
}
