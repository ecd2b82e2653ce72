package migrate

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"golang.org/x/sys/unix"
)

// builtVariable names the directory with MetalLB's binaries and its manifest.
const builtVariable = "FAIRLEAD_METALLB"

// metallbModule is MetalLB's name as a Go module.
const metallbModule = "go.universe.tf/metallb"

// buildMetalLB returns a directory with MetalLB's controller, speaker and manifest, which it builds from Go modules
// unless it is there: a minute and a half on two cores, seconds with a warm build cache.
func buildMetalLB() (string, error) {
	cache, err := lab.CacheDirectory()
	if err != nil {
		return "", err
	}
	source := filepath.Join(filepath.Dir(cache), "e2e", "migrate", "metallb")
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("building MetalLB: %w", err)
		}
		sum.Write(text)
	}
	path := filepath.Join(cache, fmt.Sprintf("metallb-%x", sum.Sum(nil)[:6]))
	lock, err := os.OpenFile(filepath.Join(cache, "metallb.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("building MetalLB: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("building MetalLB: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, _ := filepath.Glob(filepath.Join(cache, "metallb-*"))
	for _, p := range old {
		_ = os.RemoveAll(p)
	}
	begin := time.Now()
	fmt.Fprintln(os.Stderr, "building MetalLB from its Go modules (about a minute and a half on two cores the first time)")
	partial := fmt.Sprintf("%s.%d.part", path, os.Getpid())
	defer os.RemoveAll(partial)
	run := func(arguments ...string) (string, error) {
		var failure bytes.Buffer
		command := exec.Command("go", arguments...)
		command.Dir, command.Stderr = source, &failure
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod")
		output, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("building MetalLB: go %s: %w\n%s", strings.Join(arguments, " "), err, &failure)
		}
		return strings.TrimSpace(string(output)), nil
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", fmt.Errorf("building MetalLB: %w", err)
	}
	if _, err := run("build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", partial+"/", metallbModule+"/controller", metallbModule+"/speaker"); err != nil {
		return "", err
	}
	module, err := run("list", "-m", "-f", "{{.Dir}}", metallbModule)
	if err != nil {
		return "", err
	}
	manifest, err := os.ReadFile(filepath.Join(module, "config", "manifests", "metallb-native.yaml"))
	err = errors.Join(err, os.WriteFile(filepath.Join(partial, "metallb-native.yaml"), manifest, 0o644), os.Rename(partial, path))
	if err != nil {
		return "", fmt.Errorf("building MetalLB: %w", err)
	}
	fmt.Fprintf(os.Stderr, "built MetalLB in %s\n", time.Since(begin).Round(time.Second))
	return path, nil
}
