//go:build kind

package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"text/template"
	"time"
)

// commandTimeout bounds every kubectl and docker; the longest of them wait for a rollout or a deletion.
const commandTimeout = 2 * time.Minute

// command runs a program with some standard input and returns what it prints.
func command(ctx context.Context, input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, &complaints)
	}
	return strings.TrimSpace(string(out)), err
}

func must(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), input, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return must(t, "", "kubectl", args...)
}

func docker(t testing.TB, args ...string) string {
	t.Helper()
	return must(t, "", "docker", args...)
}

// get reads objects by kubectl.
func get[T any](t testing.TB, args ...string) (object T) {
	t.Helper()
	out := kubectl(t, append([]string{"get", "--output", "json"}, args...)...)
	if err := decode(out, &object); err != nil {
		t.Fatalf("kubectl get %s: %v", strings.Join(args, " "), err)
	}
	return object
}

func decode(text string, object any) error { return json.Unmarshal([]byte(text), object) }

// fill fills in a file of testdata.
func fill(t testing.TB, file string, values any) string {
	t.Helper()
	parsed, err := template.ParseFiles("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := parsed.Execute(&text, values); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// apply fills in a manifest of testdata and applies it.
func apply(t testing.TB, file string, values any) {
	t.Helper()
	must(t, fill(t, file, values), "kubectl", "apply", "--filename", "-")
}

// eventually asks until there is no error, and returns how long that took.
func eventually(t testing.TB, within time.Duration, what string, ask func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := ask()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
