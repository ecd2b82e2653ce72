package lab

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where the lab keeps its things: on a tmpfs that only the lab's mount namespace has.
const (
	runDirectory   = "/run"
	netnsDirectory = "/run/netns" // where ip netns looks
	labDirectory   = "/run/fairlead-lab"
)

// runInit is the first process of the new PID namespace. It prepares the mounts, starts the process inside,
// reaps every orphan and ends when the process inside ends: the kernel then kills what is left.
//
// It is a process of its own because an init has to wait for any child, and doing so in the process inside
// would take away the children that os/exec waits for there.
func runInit() int {
	// The other end is held open outside. A parent death signal alone would miss a parent that dies between
	// fork and prctl.
	syscall.CloseOnExec(lifelineFD)
	go func() {
		lifeline := os.NewFile(lifelineFD, "lifeline")
		for {
			if _, err := lifeline.Read(make([]byte, 1)); err != nil {
				os.Exit(128 + int(syscall.SIGKILL))
			}
		}
	}()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	if err := prepareNamespaces(); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 1
	}
	_ = os.Setenv(stageVariable, stageInside)
	listener := os.NewFile(listenerFD, "listener")
	child, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, listener},
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: starting the process inside: %v\n", err)
		return 1
	}
	listener.Close()
	go func() {
		for s := range signals {
			_ = unix.Kill(child.Pid, s.(syscall.Signal))
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintf(os.Stderr, "lab: waiting for the process inside: %v\n", err)
			return 1
		case pid == child.Pid:
			return exitCode(status)
		}
	}
}

// prepareNamespaces makes the mounts private, shows the new PID namespace in /proc, and puts an empty /run
// over the host's: with it go the host's Docker socket, its xtables lock and its named network namespaces.
func prepareNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc of the new PID namespace: %w", err)
	}
	if err := unix.Mount("tmpfs", runDirectory, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", runDirectory, err)
	}
	for _, directory := range []string{"/run/lock", netnsDirectory, labDirectory} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return fmt.Errorf("preparing %s: %w", runDirectory, err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo of the new network namespace: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting lo of the new network namespace up: %w", err)
	}
	return nil
}
