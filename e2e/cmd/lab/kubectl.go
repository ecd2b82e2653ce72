package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// installTools puts kubectl, its plugin with what completes it, and this program, which may run from a directory that `go run` removes, where the
// user's PATH is told to find them.
func installTools(hyperkube string, f files) error {
	if err := link(hyperkube, f.kubectl); err != nil {
		return err
	}
	for _, plugin := range []string{"kubectl-fairlead", "kubectl_complete-fairlead"} {
		if err := link(filepath.Join(f.root, "build", plugin), filepath.Join(f.bin, plugin)); err != nil {
			return err
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("installing this program: %w", err)
	}
	path := filepath.Join(f.bin, "lab")
	// In one step, as one that runs cannot be written to.
	if err := errors.Join(os.WriteFile(path+".new", self, 0o755), os.Rename(path+".new", path)); err != nil {
		return fmt.Errorf("installing this program: %w", err)
	}
	return nil
}

// link makes path a name of a program.
func link(program, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	target, err := filepath.Rel(filepath.Dir(path), program)
	if err != nil {
		target = program
	}
	// In one step: whoever calls it at this moment finds the old one or the new one.
	name := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := errors.Join(os.Symlink(target, name), os.Rename(name, path)); err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	return nil
}

// kubectl runs kubectl on this machine, outside the lab, as the lab's user would.
func kubectl(ctx context.Context, f files, arguments ...string) error {
	command := exec.CommandContext(ctx, f.kubectl, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+f.kubeconfig)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
