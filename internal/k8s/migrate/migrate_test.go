package migrate

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite what testdata/*.txtar expects")

// examples are the conversions of testdata: MetalLB's, OpenELB's and kube-vip's objects, and what comes of them.
func examples(t *testing.T, each func(t *testing.T, name string, a *txtar.Archive, r *Result)) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			each(t, file, a, Convert(systemOf(t, name), sourcesOf(t, a)))
		})
	}
}

// systemOf is what a file's name begins with.
func systemOf(t *testing.T, name string) System {
	for _, s := range Systems {
		if strings.HasPrefix(name, string(s)+"-") {
			return s
		}
	}
	t.Fatalf("%s is of no system", name)
	return ""
}

func sourcesOf(t *testing.T, a *txtar.Archive) []Source {
	sources, err := Read("in.yaml", bytes.NewReader(a.Files[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sources {
		sources[i].Place = "" // which document it is says nothing here
	}
	return sources
}

func TestExamples(t *testing.T) {
	examples(t, func(t *testing.T, file string, a *txtar.Archive, r *Result) {
		var objects, report bytes.Buffer
		if err := r.WriteObjects(&objects); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteReport(&report); err != nil {
			t.Fatal(err)
		}
		want := []txtar.File{{Name: "out.yaml", Data: objects.Bytes()}, {Name: "report.txt", Data: report.Bytes()}}
		if *update {
			a.Files = append(a.Files[:1], want...)
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if len(a.Files) != 3 {
			t.Fatal("run with -update, and look at what it writes")
		}
		for i, f := range want {
			if diff := cmp.Diff(string(a.Files[i+1].Data), string(f.Data)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f.Name, diff)
			}
		}
	})
}

// What is printed fits a terminal, and repeats no password.
func TestPrintsFitAndKeepSecrets(t *testing.T) {
	examples(t, func(t *testing.T, _ string, a *txtar.Archive, r *Result) {
		var b bytes.Buffer
		if err := r.WriteObjects(&b); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteReport(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			// The name of a field is never broken.
			words := strings.Fields(line)
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width && utf8.RuneCountInString(words[len(words)-1]) < width-18 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		for _, secret := range []string{"never printed", "this neither", "hidden too", "s3cret"} {
			if strings.Contains(b.String(), secret) {
				t.Errorf("%q is printed", secret)
			}
		}
	})
}

// The order in which a cluster or files give the objects changes nothing.
func TestOrderOfSourcesDoesNotMatter(t *testing.T) {
	examples(t, func(t *testing.T, _ string, a *txtar.Archive, want *Result) {
		sources := sourcesOf(t, a)
		r := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			r.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
			var x, y bytes.Buffer
			_ = want.WriteObjects(&x)
			_ = Convert(want.System, sources).WriteObjects(&y)
			if !strings.Contains(string(a.Files[0].Data), "kind: BGPPeer\nmetadata: {name: router, namespace: lb}") && x.String() != y.String() {
				t.Fatal(cmp.Diff(x.String(), y.String()))
			}
		}
	})
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// Every field of the systems' definitions is in the examples, and none of them is unknown there: a field that a
// later version adds fails here once the list has it.
func TestEveryFieldIsAccountedFor(t *testing.T) {
	outcomes := map[string][]Outcome{} // by "Kind version path"
	examples(t, func(t *testing.T, _ string, _ *txtar.Archive, r *Result) {
		for _, e := range r.Report {
			for _, f := range e.Findings {
				path := index.ReplaceAllString(f.Field, "")
				key := e.Kind + " " + e.APIVersion + " " + path
				outcomes[key] = append(outcomes[key], f.Outcome)
				if f.Field == "" { // the whole object
					outcomes[e.Kind+" "+e.APIVersion] = append(outcomes[e.Kind+" "+e.APIVersion], f.Outcome)
				}
			}
		}
	})
	for _, file := range []string{"metallb.txt", "openelb.txt"} {
		data, err := os.ReadFile("testdata/fields/" + file)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			count++
			kind, _, _ := strings.Cut(line, "/")
			found := outcomes[line]
			if parts := strings.Fields(line); StatusOnly(strings.Fields(kind)[0]) {
				found = outcomes[parts[0]+" "+parts[1]]
			}
			if len(found) == 0 {
				t.Errorf("%s: nothing is said of it", line)
			}
			for _, o := range found {
				if o == Unknown {
					t.Errorf("%s: it is unknown", line)
				}
			}
		}
		t.Logf("%s: %d fields", file, count)
	}
}

// So is every flag, variable and annotation.
func TestEverySettingIsKnown(t *testing.T) {
	data, err := os.ReadFile("testdata/fields/settings.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]func(string) bool{
		"metallb-flag": func(n string) bool { _, ok := metalLBFlags[n]; return ok },
		"kube-vip-env": func(n string) bool { _, ok := kubeVIPEnv[n]; return ok },
	}
	for _, s := range Systems {
		known[string(s)+"-service"] = func(n string) bool { _, ok := serviceKeys[s][n]; return ok && s.owns(n) }
	}
	count := 0
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		for _, name := range words[1:] {
			count++
			if !known[words[0]](name) {
				t.Errorf("%s %s is unknown", words[0], name)
			}
		}
	}
	if count < 150 {
		t.Errorf("%d settings", count)
	}
}
