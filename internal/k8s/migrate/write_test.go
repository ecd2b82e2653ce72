package migrate

import (
	"os/exec"
	"strings"
	"testing"
)

// What a command names comes from files of anybody: a shell is to take it for a word.
func TestCommandsNameOneWord(t *testing.T) {
	for _, name := range []string{
		"web", "a b", "$(id)", "`id`", "a;b", "it's one", "''' '", `back\slash\' and`, "", "*", "~", "#", "a\u202eb", strings.Repeat("long ' name ", 20),
	} {
		t.Run(name, func(t *testing.T) {
			command := strings.Join(breakCommand("printf %s "+quoted(name)+" -n x", 60), " \\\n  ")
			got, err := exec.Command("sh", "-c", command).Output()
			if want := printable(name) + "-nx"; err != nil || string(got) != want {
				t.Errorf("%s\nsays %q (%v), want %q", command, got, err, want)
			}
		})
	}
}
