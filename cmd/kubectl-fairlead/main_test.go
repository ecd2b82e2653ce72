package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// A mistake is one line, without the usage, and an exit status: 2 of plan, whose 1 means something else.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		stdin  string
		status int
		want   string
	}{
		{"no such command", "bogus", "", 1, `unknown command "bogus" for "kubectl fairlead"; kubectl fairlead --help lists those that there are`},
		{"a command with a typo", "staus", "", 1, `unknown command "staus" for "kubectl fairlead"; did you mean status?`},
		{"no such flag", "pools --bogus", "", 1, "unknown flag: --bogus; kubectl fairlead pools --help tells of its flags"},
		{"no such flag of plan", "plan --bogus", "", 2, "unknown flag: --bogus"},
		{"an argument too many", "pools edge", "", 1, `kubectl fairlead pools takes no names, and was given "edge"; kubectl describe ipaddresspool edge tells all of one`},
		{"no such output", "services -o xml", "", 1, `-o "xml" is none of wide, json, yaml`},
		{"nothing to plan", "plan", "", 2, "nothing to plan: give -f FILE or --delete NAME"},
		{"a directory without manifests", "plan -f EMPTY", "", 2, "there is no .yaml, .yml or .json file in "},
		{"a typo on standard input", "plan -f -", "{apiVersion: fairlead.dev/v1alpha1, kind: IPAddressPool, metadata: {name: a}, spec: {adresses: []}}", 2,
			`standard input, document 1: unknown field "spec.adresses"`},
		{"explaining what cannot be", "explain pool", "", 1, `"pool" cannot be explained: write kubectl fairlead explain service NAME, address IP, or node [NAME]`},
		{"explaining no address", "explain address", "", 1, "name one address: kubectl fairlead explain address IP"},
		{"explaining what is no address", "explain address web", "", 1, `"web" is not an IP address`},
		{"owners of what is neither address nor Service", "owners a/b/c", "", 1, `"a/b/c" is not of the form namespace/name`},
		{"two peers", "peers a b", "", 1, "name one peer at most: kubectl fairlead peers [PEER]"},
		{"two prefixes", "routes 192.0.2.0/24 shop/web", "", 1, "name one prefix or Service at most: kubectl fairlead routes [PREFIX | SERVICE]"},
		{"routes of what is neither prefix nor Service", "routes a/b/c", "", 1, `"a/b/c" is not of the form namespace/name`},
		{"routes of half a prefix", "routes 192.0.2.0/240", "", 1, `"192.0.2.0/240" is not a prefix`},
		{"no such output of peers", "peers -o xml", "", 1, `-o "xml" is none of wide, json, yaml`},
		{"watching for a program", "services -w -o json", "", 1, "-w is for people: leave -o json out, or -w"},
		{"a port that cannot be", "ui --port 70000", "", 1, `invalid argument "70000" for "--port" flag`},
		{"draining nothing", "drain", "", 1, "name one node: kubectl fairlead drain NODE"},
		{"draining two nodes", "drain a b", "", 1, "name one node: kubectl fairlead drain NODE"},
		{"draining a node without a name", "undrain ", "", 1, "name one node: kubectl fairlead undrain NODE"},
		{"a timeout without a unit", "drain a --timeout 30", "", 1, `invalid argument "30" for "--timeout" flag`},
		{"explaining nothing", "explain service", "", 1, "name one Service: kubectl fairlead explain service NAMESPACE/NAME"},
		{"explaining too much", "explain service a b", "", 1, "name one Service"},
		{"two namespaces", "explain service a/b -n c", "", 1, "a/b is not in namespace c, which -n names"},
		{"a name with too many slashes", "explain service a/b/c", "", 1, `"a/b/c" is not of the form namespace/name`},
		{"no cluster", "pools", "", 1, "no cluster is configured: set KUBECONFIG, or give --kubeconfig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", "")
			t.Setenv("HOME", t.TempDir())
			var out, failure bytes.Buffer
			status := execute(t.Context(), strings.Fields(strings.ReplaceAll(tt.args, "EMPTY", t.TempDir())), strings.NewReader(tt.stdin), &out, &failure)
			if status != tt.status || out.Len() > 0 {
				t.Errorf("exit status %d, want %d; printed %q", status, tt.status, &out)
			}
			said := failure.String()
			if !strings.HasPrefix(said, "error: "+tt.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("said %q, want %q", said, tt.want)
			}
		})
	}
}

// What takes no names completes to nothing, not to the files that are here.
func TestNothingCompletesToFiles(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	for _, cmd := range rootCommand().Commands() {
		if cmd.HasSubCommands() {
			continue
		}
		var out bytes.Buffer
		if status := execute(t.Context(), []string{cobra.ShellCompRequestCmd, cmd.Name(), ""}, nil, &out, io.Discard); status != 0 || !strings.HasSuffix(out.String(), ":4\n") {
			t.Errorf("%s: exit status %d, %q", cmd.Name(), status, &out)
		}
	}
}

func TestHelpFitsTheTerminal(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		var out bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[2:], "--help")
		if status := execute(t.Context(), args, nil, &out, io.Discard); status != 0 {
			t.Errorf("%v: exit status %d", args, status)
		}
		for line := range strings.Lines(out.String()) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%v: wider than 80 columns: %s", args, line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(rootCommand())
}
