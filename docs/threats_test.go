package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proof is a test that a page names, such as internal/gossip.TestSeal or, for a scenario, internal/k8s/controller/testdata/quota.txtar.
var proof = regexp.MustCompile("`([a-z0-9/-]+(?:\\.Test[A-Za-z0-9_]+|/testdata/[a-z0-9-]+\\.txtar))`")

// Every row of the security review's tables names what shows it, and that there is.
func TestThreatsNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("threats.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]bool{}
	rows, named, attacks := 0, 0, false
	for n, line := range strings.Split(string(text), "\n") {
		for _, m := range proof.FindAllStringSubmatch(line, -1) {
			named++
			if strings.HasSuffix(m[1], ".txtar") {
				if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
					t.Errorf("threats.md:%d: there is no %s", n+1, m[1])
				}
				continue
			}
			dir, test, _ := strings.Cut(m[1], ".")
			if known[dir] == nil {
				known[dir] = testsOf(t, dir)
			}
			if !known[dir][test] {
				t.Errorf("threats.md:%d: there is no test %s in %s", n+1, test, dir)
			}
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			attacks = false
		case strings.TrimSpace(cells[1]) == "what they try":
			attacks = true
		case attacks && !strings.HasPrefix(cells[1], "---"):
			rows++
			if last := cells[len(cells)-2]; len(cells) != 6 || !proof.MatchString(last) && !strings.Contains(last, "not tested") {
				t.Errorf("threats.md:%d: names no test, and does not say that it is not tested", n+1)
			}
		}
	}
	if rows < 40 || named < 40 {
		t.Errorf("%d rows, %d tests: is the table read?", rows, named)
	}
}

// testsOf are the names of the tests in a directory.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	return tests
}
