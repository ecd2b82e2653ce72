package daemon

import (
	"fmt"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RaiseCapabilities makes effective what this process is permitted. Kubernetes sets no ambient capabilities: what
// a Pod adds reaches a user other than root only through the capabilities of the program's file, which in our
// image are permitted, and not effective at once: the kernel would refuse to start a program that lacks one of
// those, where we can say which is missing and what for.
func RaiseCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // the lower and the upper 32 capabilities
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("reading the capabilities of this process: %w", err)
	}
	if sets[0].Effective == sets[0].Permitted && sets[1].Effective == sets[1].Permitted {
		return nil
	}
	// A program that has capabilities by its file shows no stack when it panics, as it might run for somebody
	// who is not to see it. This one runs for who wrote the Pod.
	debug.SetTraceback("single")
	for i := range sets {
		sets[i].Effective = sets[i].Permitted
	}
	// Each thread has its own.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if errno != 0 {
		return fmt.Errorf("raising the capabilities of this process: %w", errno)
	}
	return nil
}
