package docs_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const chartHead = `# The chart's values

Made from ` + "`charts/fairlead/values.yaml`" + ` by ` + "`go test ./docs -update`" + `; a test fails while it is not up to date. What the schema does not
know it refuses, with the path and the reason. How to install with it: [install.md](../install.md#helm).

| value | default | |
|---|---|---|
`

var valueLine = regexp.MustCompile(`^( *)([A-Za-z_./-]+):(?: (.*))?$`)

// The page has each value with its default, and the comment above it.
func TestChartPage(t *testing.T) {
	text, err := os.ReadFile("../charts/fairlead/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\n\n")) // what is said of the file
	b := bytes.NewBufferString(chartHead)
	var path, said []string
	list := -1 // how far a list is indented that the lines are of
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		item := strings.HasPrefix(trimmed, "- ")
		comment, isComment := strings.CutPrefix(trimmed, "# ")
		switch {
		case trimmed == "":
			said = nil
			continue
		case list >= 0 && (indent > list || indent == list && (item || isComment && inList(lines[i:], list))):
			continue
		case isComment:
			if !strings.HasPrefix(comment, "- ") { // an example
				said = append(said, comment)
			}
			continue
		}
		list = -1
		parts := valueLine.FindStringSubmatch(line)
		if parts == nil || indent/2 > len(path) {
			t.Fatalf("values.yaml has a line that is not understood: %q", line)
		}
		path = append(path[:indent/2], parts[2])
		def := parts[3]
		if def == "" && i+1 < len(lines) && inList(lines[i+1:], indent) {
			list, def = indent, "[...]"
		}
		if def != "" || len(said) > 0 {
			if def != "" {
				def = "`" + def + "`"
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.Join(path, "."), def, cell(strings.Join(said, " ")))
		}
		said = nil
	}
	golden(t, "reference/chart.md", b.Bytes())
}

// inList tells whether what follows, behind comments, is an item of a list at this indentation.
func inList(lines []string, indent int) bool {
	for _, line := range lines {
		trimmed := strings.TrimSpace(line)
		if !strings.HasPrefix(trimmed, "#") {
			return strings.HasPrefix(trimmed, "- ") && strings.HasPrefix(line[min(indent, len(line)):], "- ")
		}
	}
	return false
}
