package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// hyperkubeVariable names a binary to be used instead of the one that would be built.
const hyperkubeVariable = "FAIRLEAD_HYPERKUBE"

// Root is the directory of Fairlead's repository: that of the go.mod above the working directory.
func Root() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for at := directory; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module github.com/fairlead-lb/fairlead\n")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not in Fairlead's repository: no go.mod of github.com/fairlead-lb/fairlead above it", directory)
		}
	}
}

// CacheDirectory is where the lab keeps what outlives it: .cache in the repository, which git ignores.
func CacheDirectory() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(root, ".cache")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", fmt.Errorf("preparing the cache: %w", err)
	}
	return directory, nil
}

// Hyperkube finds the binary with the Kubernetes programs, or builds it: four minutes on two cores the first
// time, seconds when Go's build cache has it, nothing as long as e2e/hyperkube has not changed.
func Hyperkube(ctx context.Context, progress func(string)) (string, error) {
	if path := os.Getenv(hyperkubeVariable); path != "" {
		return path, nil
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	source := filepath.Join(filepath.Dir(cache), "e2e", "hyperkube")
	sum := sha256.New()
	var module []byte
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("reading the source of hyperkube: %w", err)
		}
		if name == "go.mod" {
			module = text
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	path := filepath.Join(cache, fmt.Sprintf("hyperkube-%x", sum.Sum(nil)[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Two test binaries that start together would both build for minutes.
	lock, err := os.OpenFile(filepath.Join(cache, "hyperkube.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("locking the build of hyperkube: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the build of hyperkube: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, _ := filepath.Glob(filepath.Join(cache, "hyperkube-*"))
	if err := buildHyperkube(ctx, source, path, module, progress); err != nil {
		return "", err
	}
	for _, p := range old {
		_ = os.Remove(p) // 140 MB each; a lab that runs from it keeps the file
	}
	return path, nil
}

var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)$`)

func buildHyperkube(ctx context.Context, source, path string, module []byte, progress func(string)) error {
	version := kubernetesVersion.FindSubmatch(module)
	if version == nil {
		return errors.New("building hyperkube: its go.mod names no version of k8s.io/kubernetes")
	}
	// Without these kubectl, and every client's user agent, would call itself v0.0.0-master.
	flags := []string{"-s", "-w"}
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			fmt.Sprintf("-X %s.gitVersion=%s", p, version[1]), fmt.Sprintf("-X %s.gitMajor=%s", p, version[2]),
			fmt.Sprintf("-X %s.gitMinor=%s", p, version[3]), fmt.Sprintf("-X %s.gitTreeState=clean", p))
	}
	progress(fmt.Sprintf("building Kubernetes %s from its Go modules (about four minutes on two cores the first time)", version[1]))
	partial := fmt.Sprintf("%s.%d.part", path, os.Getpid())
	defer os.Remove(partial)
	command := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", strings.Join(flags, " "), "-o", partial, ".")
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, feed := io.Pipe()
	command.Stdout, command.Stderr = feed, feed
	command.WaitDelay = 5 * time.Second

	var compiled atomic.Int64
	var rest bytes.Buffer // what is no package name: errors
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if line := lines.Text(); strings.ContainsAny(line, " \t") {
				fmt.Fprintln(&rest, line)
			} else {
				compiled.Add(1)
			}
		}
		_, _ = io.Copy(io.Discard, output)
	}()
	start := time.Now()
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	built := make(chan error, 1)
	go func() { built <- command.Run() }()
	for {
		select {
		case <-ticker.C:
			progress(fmt.Sprintf("building Kubernetes: %d packages compiled, %s", compiled.Load(), time.Since(start).Round(time.Second)))
		case err := <-built:
			feed.Close()
			<-read
			if err != nil {
				return fmt.Errorf("building hyperkube in %s: %w\n%s", source, err, lastLines(rest.Bytes(), 20))
			}
			if err := os.Rename(partial, path); err != nil {
				return fmt.Errorf("keeping hyperkube: %w", err)
			}
			progress(fmt.Sprintf("built Kubernetes %s in %s", version[1], time.Since(start).Round(time.Second)))
			return nil
		}
	}
}
