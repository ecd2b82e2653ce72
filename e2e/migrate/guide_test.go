package migrate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// guide are the commands of docs/migrate.md, by the name that a comment gives the block that follows it.
func guide(t *testing.T) map[string][]string {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "migrate.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string][]string{}
	parts := strings.Split(string(text), "<!-- e2e/migrate: ")
	for _, part := range parts[1:] {
		name, after, marked := strings.Cut(part, " -->\n")
		block, fenced := strings.CutPrefix(after, "```sh\n")
		block, _, ended := strings.Cut(block, "```")
		if !marked || !fenced || !ended || steps[name] != nil {
			t.Fatalf("docs/migrate.md: no block of sh follows the mark %q, or it is there twice", name)
		}
		for line := range strings.Lines(block) {
			if last := len(steps[name]) - 1; last >= 0 && strings.HasPrefix(line, " ") {
				steps[name][last] += line // a command goes on where lines are indented
			} else {
				steps[name] = append(steps[name], line)
			}
		}
	}
	return steps
}

// follow runs the commands of a step of the guide, and holds each to an exit status of 0. It returns what they print.
func (w *world) follow(ctx context.Context, t *testing.T, steps map[string][]string, name string) string {
	t.Helper()
	if len(steps[name]) == 0 {
		t.Fatalf("docs/migrate.md has no step %q", name)
	}
	var all strings.Builder
	for _, line := range steps[name] {
		all.WriteString(w.sh(ctx, t, line))
	}
	return all.String()
}

// sh runs a command as somebody at the terminal does.
func (w *world) sh(ctx context.Context, t *testing.T, line string) string {
	t.Helper()
	begin := time.Now()
	var output bytes.Buffer
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	command.Dir, command.Stdout, command.Stderr = w.directory, &output, &output
	command.Env = append(os.Environ(), "PATH="+filepath.Join(w.directory, "bin")+":"+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(w.directory, "kubeconfig"))
	err := w.CP.Do(command.Start)
	if err == nil {
		err = command.Wait()
	}
	t.Logf("$ %s   (%.1f s)\n%s", line, time.Since(begin).Seconds(), &output)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return output.String()
}

// documents decodes the documents of a manifest.
func documents(t *testing.T, manifest []byte) (list []map[string]any) {
	t.Helper()
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return list
		}
		var o map[string]any
		if err == nil {
			err = yaml.Unmarshal(document, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o) > 0 {
			list = append(list, o)
		}
	}
}
