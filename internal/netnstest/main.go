//go:build linux

// Package netnstest runs the tests of a package in a network namespace of their own.
package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const insideVariable = "NETNSTEST_INSIDE"

// Main is what a package's TestMain calls, and does not return. Tests run in a network namespace of their own, and
// without root in a user namespace too: the whole process, since goroutines do not follow a thread into a namespace.
// The kernel removes both at the end. What is to be there before the tests, furnish makes, inside; it may be nil.
// Fuzzing, which starts processes of its own, stays outside.
func Main(m *testing.M, furnish func() error) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz=") }) {
		os.Exit(m.Run())
	}
	if os.Getenv(insideVariable) != "" {
		if furnish != nil {
			if err := furnish(); err != nil {
				fmt.Fprintln(os.Stderr, "cannot set the namespace up:", err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "cannot make a namespace for the tests:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}
