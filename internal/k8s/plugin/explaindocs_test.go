package plugin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

const explainDocs = "../../../docs/explain.md"

// What docs/explain.md shows is what the commands print: each chapter links its scenario, a block of console output is
// that of the command in the block of sh before it, and a block of YAML is the scenario's file. With -update they are
// written anew.
func TestExplainDocs(t *testing.T) {
	data, err := os.ReadFile(explainDocs)
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`testdata/(question-[a-z-]+\.txtar)`)
	fence := regexp.MustCompile("(?s)```(sh|console|yaml)\n(.*?)```\n")
	chapters := strings.SplitAfter(string(data), "\n## ")
	shown := map[string]bool{}
	for i, chapter := range chapters {
		found := link.FindStringSubmatch(chapter)
		if found == nil {
			continue
		}
		shown[found[1]] = true
		archive, err := txtar.ParseFile("testdata/" + found[1])
		if err != nil {
			t.Fatal(err)
		}
		command := ""
		chapters[i] = fence.ReplaceAllStringFunc(chapter, func(block string) string {
			kind, body := fence.FindStringSubmatch(block)[1], fence.FindStringSubmatch(block)[2]
			var want string
			switch kind {
			case "sh":
				command = strings.TrimPrefix(strings.TrimSpace(body), "kubectl fairlead ")
				return block
			case "console":
				want = section(t, archive, command+" 80")
				want = regexp.MustCompile(`(?m)^exit status \d+\n`).ReplaceAllString(want, "")
			case "yaml":
				name := regexp.MustCompile(`[a-z]+\.yaml`).FindString(chapter[strings.Index(chapter, block):][len(block):])
				want = section(t, archive, name)
			}
			if *update {
				return "```" + kind + "\n" + want + "```\n"
			}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("%s: %s (-want +shown):\n%s", found[1], command, diff)
			}
			return block
		})
	}
	if *update {
		if err := os.WriteFile(explainDocs, []byte(strings.Join(chapters, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "question-") && !shown[e.Name()] {
			t.Errorf("%s has no chapter in docs/explain.md", e.Name())
		}
	}
}

func section(t *testing.T, archive *txtar.Archive, name string) string {
	t.Helper()
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	t.Errorf("the scenario has no section %q", name)
	return ""
}
