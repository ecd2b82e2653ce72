package measure

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// Update is -update: write what was measured into the documentation.
var Update = flag.Bool("update", false, "write what was measured into docs/")

// Section shows what was measured, and with -update has it as a part of a page, such as "performance.md": between the
// comments <!-- NAME: written by COMMAND --> and <!-- end of NAME -->, in which the date and the machine come first.
func Section(t *testing.T, page, name, text string) {
	t.Helper()
	t.Logf("%s, %s:\n%s", page, name, text)
	if !*Update {
		return
	}
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", page)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(whole), "<!-- "+name+": written by ")
	command, rest, marked := strings.Cut(rest, " -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end of "+name+" -->")
	if !ok || !marked || !ended {
		t.Fatalf("docs/%s has no part %q", page, name)
	}
	part := fmt.Sprintf("<!-- %s: written by %s -->\n%s\n\n%s\n<!-- end of %s -->", name, command, Where(), strings.TrimSpace(text), name)
	if err := os.WriteFile(path, []byte(before+part+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Where says when, on what machine and of which commit something was measured.
func Where() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	commit := "an unknown commit"
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		commit = "commit " + strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("*%s, %d × %s, Linux %s, %s.*", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), processor(),
		strings.TrimSpace(string(kernel)), commit)
}

// processor is the name of the first one.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
