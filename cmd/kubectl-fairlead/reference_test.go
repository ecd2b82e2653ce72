package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/cobradoc"
)

var updateReference = flag.Bool("update", false, "rewrite docs/reference/kubectl-fairlead.md")

func TestCommandsPage(t *testing.T) {
	cobradoc.Check(t, "../../docs/reference/kubectl-fairlead.md", "kubectl-fairlead", cobradoc.Commands(rootCommand()), *updateReference)
}

var (
	codeSpan    = regexp.MustCompile("`(kubectl fairlead [^`]*)`")
	codeLine    = regexp.MustCompile(`(?m)^(?:    +|#   +)?(?:\$ )?(kubectl fairlead .*)$`)
	endOfWords  = regexp.MustCompile(`[|;&#>]|\s-- `)
	placeholder = regexp.MustCompile(`^[A-Z\[(<.]`)
)

// Whatever the pages have somebody type is a command that there is, with flags that it has.
func TestPagesNameCommandsThatThereAre(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md", "../../examples/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 30 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, form := range []*regexp.Regexp{codeSpan, codeLine} {
			for _, parts := range form.FindAllStringSubmatch(string(text), -1) {
				said[parts[1]] = true
			}
		}
		for line := range said {
			if wrong := mistyped(line); wrong != "" {
				t.Errorf("%s: %s: %s", file, line, wrong)
			}
		}
	}
}

// mistyped says what is wrong with a command line.
func mistyped(line string) string {
	root := rootCommand()
	root.InitDefaultHelpCmd()
	var words []string
	for _, w := range strings.Fields(endOfWords.Split(line, 2)[0])[2:] {
		words = append(words, strings.Trim(w, `"'[].`))
	}
	cmd, _, err := root.Find(words)
	if err != nil {
		if first := words[0]; placeholder.MatchString(first) || strings.HasPrefix(first, "...") {
			return ""
		}
		return strings.SplitN(err.Error(), "\n", 2)[0]
	}
	cmd.InitDefaultHelpFlag()
	for _, w := range words {
		name, long := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case long && name != "" && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil:
			return cmd.CommandPath() + " has no flag --" + name
		case !long && len(w) == 2 && w[0] == '-' && cmd.Flags().ShorthandLookup(w[1:]) == nil && cmd.InheritedFlags().ShorthandLookup(w[1:]) == nil:
			return cmd.CommandPath() + " has no flag " + w
		}
	}
	return ""
}
