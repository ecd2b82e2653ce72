package v1alpha1_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
)

// The API server takes what kubectl fairlead import prints, whatever it was made of.
func TestImportedObjectsApply(t *testing.T) {
	defs := definitions(t)
	files, err := filepath.Glob("../../internal/k8s/migrate/testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	applied := map[string]int{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources, err := migrate.Read(file, bytes.NewReader(a.Files[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		for _, system := range migrate.Systems {
			if !strings.HasPrefix(filepath.Base(file), string(system)+"-") {
				continue
			}
			var out bytes.Buffer
			if err := migrate.Convert(system, sources).WriteObjects(&out); err != nil {
				t.Fatal(err)
			}
			for _, doc := range documents(t, out.Bytes()) {
				kind, _ := decode(t, string(doc))["kind"].(string)
				applied[kind]++
				if refusals, stored := defs[kind].apply(t, string(doc)); len(refusals) > 0 || stored == nil {
					t.Errorf("%s: %s\n%s", filepath.Base(file), refusals, doc)
				}
			}
		}
	}
	for _, kind := range []string{"Community", "BFDProfile", "BGPPeer", "IPAddressPool", "BGPAdvertisement", "L2Advertisement"} {
		if applied[kind] == 0 {
			t.Errorf("no %s was applied", kind)
		}
	}
	t.Log(applied)
}
