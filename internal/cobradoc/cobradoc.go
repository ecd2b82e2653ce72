// Package cobradoc makes reference pages of commands, for tests that hold docs/reference to what the commands say. A
// command of package main is out of reach of other packages, so each has a test of its own that calls Check.
package cobradoc

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Check holds the part of a page between the comments <!-- NAME: ... --> and <!-- end of NAME --> to what it would be
// now, or rewrites it.
func Check(t *testing.T, file, name, want string, update bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := bytes.Index(text, []byte("<!-- "+name+": ")), bytes.Index(text, []byte("<!-- end of "+name+" -->"))
	if begin < 0 || end < begin {
		t.Fatalf("%s has no part of %s between comments", file, name)
	}
	begin += bytes.Index(text[begin:], []byte("-->\n")) + len("-->\n")
	want = "\n" + strings.TrimSpace(want) + "\n\n"
	if string(text[begin:end]) == want {
		return
	}
	if !update {
		t.Errorf("%s is not what %s says: run go test ./docs ./cmd/... -update", file, name)
		return
	}
	whole := string(text[:begin]) + want + string(text[end:])
	if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Flags is a table of a command's own flags, without --help.
func Flags(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if b.Len() == 0 {
			b.WriteString("| flag | default | |\n|---|---|---|\n")
		}
		value, usage := pflag.UnquoteUsage(f)
		form := "--" + f.Name
		if f.Shorthand != "" {
			form = "-" + f.Shorthand + ", " + form
		}
		if value != "" && f.Value.Type() != "bool" {
			form += " " + value
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "[]" && (f.Value.Type() != "bool" || f.DefValue == "true") {
			def = "`" + f.DefValue + "`"
		}
		// Where --help goes on with the default, a column has it.
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", form, def, strings.TrimSuffix(cell(usage), ", else"))
	})
	return b.String()
}

// Commands is what a command and all below it say of themselves.
func Commands(root *cobra.Command) string {
	var b strings.Builder
	write(&b, root)
	return b.String()
}

func write(b *strings.Builder, c *cobra.Command) {
	if !c.IsAvailableCommand() && c.HasParent() {
		return
	}
	// cobra adds these when it runs.
	c.InitDefaultHelpFlag()
	fmt.Fprintf(b, "## %s\n\n", c.CommandPath())
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	b.WriteString(strings.TrimSpace(about) + "\n\n")
	if c.Runnable() {
		fmt.Fprintf(b, "```text\n%s\n```\n\n", c.UseLine())
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also: `%s`.\n\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.HasExample() {
		fmt.Fprintf(b, "```text\n%s\n```\n\n", strings.TrimRight(unindent(c.Example), "\n"))
	}
	if table := Flags(c.NonInheritedFlags()); table != "" {
		b.WriteString(table + "\n")
	}
	for _, below := range c.Commands() {
		if below.Name() != "help" {
			write(b, below)
		}
	}
}

// unindent takes two spaces off each line, where cobra wants them.
func unindent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// cell is text in a table's cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.Join(strings.Fields(text), " "))
}
