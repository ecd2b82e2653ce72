// Package monitoring holds what Prometheus and Grafana are given to what there is: a real Prometheus scrapes Fairlead in
// the lab by the rules of the chart, and what the rules and the dashboard ask for is to be there, with data.
package monitoring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// programsVariable names the directory with prometheus and promtool, for the processes inside the lab's namespaces: from
// there no package is reached.
const programsVariable = "FAIRLEAD_PROMETHEUS"

func TestMain(m *testing.M) {
	if os.Getenv(programsVariable) == "" {
		directory, err := findPrograms()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = os.Setenv(programsVariable, directory)
	}
	lab.Main(m)
}

func findPrograms() (string, error) {
	script, err := inRepository("hack", "prometheus.sh")
	if err != nil {
		return "", err
	}
	command := exec.Command(script)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("looking for Prometheus: %s: %w", script, err)
	}
	return strings.TrimSpace(string(output)), nil
}

func program(name string) string { return filepath.Join(os.Getenv(programsVariable), name) }

// inRepository is the path of a file of the repository.
func inRepository(elements ...string) (string, error) {
	root, err := lab.Root()
	return filepath.Join(append([]string{root}, elements...)...), err
}

// file reads a file of the repository.
func file(t *testing.T, elements ...string) []byte {
	t.Helper()
	path, err := inRepository(elements...)
	text, readErr := os.ReadFile(path)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	return text
}
