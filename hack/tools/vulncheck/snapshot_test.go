package vulncheck

import (
	"cmp"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the index of hack/vulndb")

const snapshot = "../../vulndb"

// entry is what we need of one, in Go's format.
type entry struct {
	ID       string   `json:"id"`
	Modified string   `json:"modified"`
	Aliases  []string `json:"aliases"`
	Summary  string   `json:"summary"`
	Details  string   `json:"details"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []map[string]string `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
	Database struct {
		URL string `json:"url"` // govulncheck v1.1 falls over an entry without
	} `json:"database_specific"`
}

// listed is an entry in the index.
type listed struct {
	ID       string   `json:"id"`
	Modified string   `json:"modified"`
	Fixed    string   `json:"fixed,omitempty"`
	Aliases  []string `json:"aliases,omitempty"`
}

type module struct {
	Path  string   `json:"path"`
	Vulns []listed `json:"vulns"`
}

func entries(t *testing.T) (all []entry) {
	t.Helper()
	files, err := filepath.Glob(snapshot + "/ID/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d entries, %v", len(files), err)
	}
	for _, file := range files {
		var e entry
		if text, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		} else if err := json.Unmarshal(text, &e); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if e.ID+".json" != filepath.Base(file) {
			t.Errorf("%s is of %s", file, e.ID)
		}
		all = append(all, e)
	}
	return all
}

func TestEntries(t *testing.T) {
	required, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(t) {
		if len(e.Affected) == 0 || len(e.Aliases) == 0 || e.Modified == "" || e.Database.URL != "https://pkg.go.dev/vuln/"+e.ID {
			t.Errorf("%s lacks something", e.ID)
		}
		if e.Summary != e.Details || len(e.Summary) > 100 {
			t.Errorf("%s says more than a line of ours", e.ID)
		}
		for _, a := range e.Affected {
			if len(a.Ranges) == 0 || len(a.Ranges[0].Events) == 0 || a.Ranges[0].Events[0]["introduced"] == "" {
				t.Errorf("%s has no versions of %s", e.ID, a.Package.Name)
			}
			if name := a.Package.Name; name != "stdlib" && !strings.Contains(string(required), "\t"+name+" v") {
				t.Errorf("%s is of %s, which go.mod does not name", e.ID, name)
			}
		}
	}
}

// The index is what govulncheck reads first: what is not in it is not found.
func TestIndex(t *testing.T) {
	var newest string
	var vulns []listed
	of := map[string]*module{}
	for _, e := range entries(t) {
		newest = max(newest, e.Modified)
		vulns = append(vulns, listed{ID: e.ID, Modified: e.Modified, Aliases: e.Aliases})
		for _, a := range e.Affected {
			m := of[a.Package.Name]
			if m == nil {
				m = &module{Path: a.Package.Name}
				of[m.Path] = m
			}
			if n := len(m.Vulns); n == 0 || m.Vulns[n-1].ID != e.ID {
				m.Vulns = append(m.Vulns, listed{ID: e.ID, Modified: e.Modified})
			}
			for _, r := range a.Ranges {
				for _, event := range r.Events { // in ascending order: the last counts
					m.Vulns[len(m.Vulns)-1].Fixed = cmp.Or(event["fixed"], m.Vulns[len(m.Vulns)-1].Fixed)
				}
			}
		}
	}
	var modules []module
	for _, m := range of {
		modules = append(modules, *m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	for name, content := range map[string]any{"db": map[string]string{"modified": newest}, "vulns": vulns, "modules": modules} {
		file := snapshot + "/index/" + name + ".json"
		text, err := json.MarshalIndent(content, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, '\n')
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if is, err := os.ReadFile(file); err != nil || string(is) != string(text) {
			t.Errorf("%s is not that of the entries (%v): go -C hack/tools test ./vulncheck -update", file, err)
		}
	}
}

func TestSnapshotFinds(t *testing.T) {
	dir, err := filepath.Abs(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, module, finds string }{
		{"a library that is too old", "stdlib@v1.26.8", "GO-2026-6859 GO-2026-6607"},
		{"one that has all but the last fix", "stdlib@v1.26.10", "GO-2026-6859"},
		{"one that has all", "stdlib@v1.26.11", ""},
		{"one of the next series, by its own range", "stdlib@v1.27.3", "GO-2026-6859"},
		{"a module that is too old", "google.golang.org/grpc@v1.79.3", "GO-2026-6061 GO-2026-6348 GO-2026-6443"},
		{"one between two ranges", "google.golang.org/grpc@v1.82.2", "GO-2026-6348"},
		{"a module that has all", "google.golang.org/grpc@v1.83.2", ""},
		{"a module without a fix", "github.com/osrg/gobgp/v3@v3.37.0", "GO-2026-4736"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command("go", "tool", "govulncheck", "-mode=query", "-format=json", "-db=file://"+dir, tt.module).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, id := range strings.Fields(tt.finds) {
				if !strings.Contains(string(out), `"id": "`+id+`"`) {
					t.Errorf("%s is not found in\n%s", id, out)
				}
			}
			if tt.finds == "" && strings.Contains(string(out), `"osv"`) {
				t.Errorf("something is found:\n%s", out)
			}
		})
	}
}
