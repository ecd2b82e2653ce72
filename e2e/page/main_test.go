// Package page looks at the status page as people do: in Chromium, once with a made-up state, and once served by a real
// controller in the lab while a node is lost. The browser is inside the lab's namespaces, from where nothing leads out.
//
// With -update the tests also write the screenshots of docs/page.md.
package page

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

var update = flag.Bool("update", false, "write docs/images/page-*.png")

// axeVariable names the file with axe-core, for the processes inside the lab's namespaces: from there no package is
// reached.
const axeVariable = "FAIRLEAD_AXE"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(axeVariable) == "" {
		script, err := prepare()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = os.Setenv(axeVariable, script)
	}
	lab.Main(m)
}

// prepare installs what is missing: Chromium, and axe-core, whose path it returns.
func prepare() (string, error) {
	root, err := lab.Root()
	if err != nil {
		return "", err
	}
	commands := []*exec.Cmd{exec.Command("hack/need.sh", "chromium"), exec.Command("hack/axe.sh")}
	if *update { // the fonts of the pictures
		commands = slices.Insert(commands, 1, exec.Command("apt-get", "install", "-qq", "--no-install-recommends", "fonts-inter", "fonts-noto-cjk"))
	}
	for _, command := range commands {
		command.Dir, command.Stderr = root, os.Stderr
		output, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("running %s: %w", command, err)
		}
		if path := strings.TrimSpace(string(output)); filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("hack/axe.sh names no file")
}

// startLab starts a lab with the product, which ends with the test.
func startLab(t *testing.T, config lab.Config) *lab.Lab {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	config.ControllerBinary, config.SpeakerBinary = filepath.Join(root, "build", "controller"), filepath.Join(root, "build", "speaker")
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make build` first", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l, err := lab.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.WriteLogs(os.Stderr, 25)
		}
		l.Stop()
	})
	return l
}
