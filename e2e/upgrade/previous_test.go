package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// release is a build of Fairlead with the manifest that installs it.
type release struct {
	name                          string
	controller, speaker, manifest string
}

const (
	// refVariable names the commit, or tag, that counts as the previous release.
	refVariable = "FAIRLEAD_PREVIOUS"
	// builtVariable hands the directory of its build to the process inside the lab's namespaces, where there is no
	// network and so nothing can be built.
	builtVariable = "FAIRLEAD_PREVIOUS_BUILT"
)

// releases are the previous one, as buildPrevious has left it, and this one, as `make build` has.
func releases() (old, now release, err error) {
	root, err := lab.Root()
	if err != nil {
		return old, now, err
	}
	at := func(name, binaries, manifests string) (release, error) {
		r := release{name, filepath.Join(binaries, "controller"), filepath.Join(binaries, "speaker"), filepath.Join(manifests, "fairlead.yaml")}
		for _, path := range []string{r.controller, r.speaker, r.manifest} {
			if _, err := os.Stat(path); err != nil {
				return r, fmt.Errorf("%w: run `make build` first", err)
			}
		}
		return r, nil
	}
	built := os.Getenv(builtVariable)
	old, oldErr := at("previous", built, filepath.Join(built, "manifests"))
	now, nowErr := at("present", filepath.Join(root, "build"), filepath.Join(root, "manifests"))
	return old, now, errors.Join(oldErr, nowErr)
}

// buildPrevious builds the previous release out of git's history into .cache, unless it is there, and returns where.
func buildPrevious() (string, error) {
	root, err := lab.Root()
	if err != nil {
		return "", err
	}
	sha, ref, err := previousCommit(root)
	if err != nil {
		return "", fmt.Errorf("the previous release is needed to test the upgrade from it. It is built from git's history, which a shallow "+
			"clone lacks (git fetch --unshallow --tags gets it); %s names another commit. %w", refVariable, err)
	}
	cache, err := lab.CacheDirectory()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(cache, "previous-"+sha[:12])
	if _, err := os.Stat(directory); err == nil {
		return directory, nil
	}
	fmt.Fprintf(os.Stderr, "upgrade: building the previous release, %s (%s)\n", ref, sha[:12])
	stale, _ := filepath.Glob(filepath.Join(cache, "previous-*"))
	work, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", fmt.Errorf("building the previous release: %w", err)
	}
	defer os.RemoveAll(work)
	source := filepath.Join(work, "source")
	archive := filepath.Join(work, "source.tar")
	steps := [][]string{
		{"git", "-C", root, "archive", "--format=tar", "--prefix=source/", "--output=" + archive, sha},
		{"tar", "-C", work, "-xf", archive},
	}
	result := filepath.Join(work, "result")
	for _, program := range []string{"controller", "speaker"} {
		steps = append(steps, []string{"go", "-C", source, "build", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -X github.com/fairlead-lb/fairlead/internal/daemon.Version=" + versionOf(sha),
			"-o", filepath.Join(result, program), "./cmd/" + program})
	}
	steps = append(steps, []string{"cp", "-r", filepath.Join(source, "manifests"), result})
	for _, step := range steps {
		command := exec.Command(step[0], step[1:]...)
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if output, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building the previous release, %s: %s: %w\n%s", ref, strings.Join(step, " "), err, output)
		}
	}
	// Another test binary may have been faster.
	if err := os.Rename(result, directory); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("keeping the previous release: %w", err)
	}
	for _, path := range stale {
		_ = os.RemoveAll(path) // 100 MB each
	}
	return directory, nil
}

// versionOf is what the previous release calls itself here.
func versionOf(sha string) string { return "previous-" + sha[:12] }

// previousCommit is the commit that is asked for, else that of the newest tag before HEAD, else the one before HEAD.
func previousCommit(root string) (sha, ref string, err error) {
	if ref = os.Getenv(refVariable); ref == "" {
		if ref, err = git(root, "describe", "--tags", "--abbrev=0", "HEAD~1"); err != nil {
			ref = "HEAD~1"
		}
	}
	sha, err = git(root, "rev-parse", "--verify", "--quiet", ref+"^{commit}")
	if err != nil {
		return "", ref, fmt.Errorf("there is no commit %s here: %w", ref, err)
	}
	return sha, ref, nil
}

func git(root string, arguments ...string) (string, error) {
	var complaint bytes.Buffer
	command := exec.Command("git", append([]string{"-C", root}, arguments...)...)
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		err = fmt.Errorf("git %s: %w %s", strings.Join(arguments, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(output)), err
}
