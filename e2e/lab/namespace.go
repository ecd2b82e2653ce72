package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace that lives as long as it is bound below netnsDirectory, a process is in
// it, or a socket was made in it.
type namespace struct {
	name string
	fd   netns.NsHandle
	home netns.NsHandle // where threads return to
	nl   *netlink.Handle
}

// newNamespace makes a network namespace with lo up, bound where `ip netns exec NAME` finds it.
func newNamespace(name string) (_ *namespace, err error) {
	n := &namespace{name: name, fd: netns.None(), home: netns.None()}
	defer func() {
		if err != nil {
			err = fmt.Errorf("making the network namespace %s: %w", name, err)
			_ = n.close()
		}
	}()
	path := filepath.Join(netnsDirectory, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, err
	}
	file.Close()
	if n.home, err = netns.GetFromPath("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if err := inNewNetwork(n.home, func() error {
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}); err != nil {
		return nil, err
	}
	if n.fd, err = netns.GetFromPath(path); err != nil {
		return nil, err
	}
	if n.nl, err = netlink.NewHandleAt(n.fd, unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	lo, err := n.nl.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	return n, n.nl.LinkSetUp(lo)
}

// inNewNetwork runs f on a thread that is in a new network namespace.
func inNewNetwork(home netns.NsHandle, f func() error) error {
	return onThread(home, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		return f()
	})
}

// do runs f on a thread that is in the namespace. Sockets and processes made by f stay there; goroutines
// started by f do not.
func (n *namespace) do(f func() error) error {
	return onThread(n.home, func() error {
		if err := netns.Set(n.fd); err != nil {
			return fmt.Errorf("entering the network namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own and takes the thread home afterwards. Letting the thread end with
// the goroutine instead would be simpler, but the runtime cannot end the main thread: it would stay in
// whatever namespace it was left in, and be what /proc/self shows.
func onThread(home netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	err := f()
	if back := netns.Set(home); back != nil {
		// The thread stays locked, so that it serves nobody else from there.
		return errors.Join(err, fmt.Errorf("leaving a network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// sysctls writes kernel settings, given as "net/ipv4/ip_forward=1". /proc/sys/net shows the settings of the
// namespace of the thread that looks.
func (n *namespace) sysctls(settings ...string) error {
	return n.do(func() error {
		for _, s := range settings {
			key, value, _ := strings.Cut(s, "=")
			if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
				return fmt.Errorf("setting %s in the network namespace %s: %w", s, n.name, err)
			}
		}
		return nil
	})
}

// close lets the kernel destroy the namespace.
func (n *namespace) close() error {
	if n.nl != nil {
		n.nl.Close()
	}
	for _, fd := range []*netns.NsHandle{&n.fd, &n.home} {
		if fd.IsOpen() {
			_ = fd.Close()
		}
	}
	path := filepath.Join(netnsDirectory, n.name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the network namespace %s: %w", n.name, err)
	}
	return nil
}
