package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// leftovers is what this machine, outside the lab, can tell about what the lab has left behind.
type leftovers struct {
	began time.Time
	// namespace is the lab's PID namespace. Held open, its number is given to no other.
	namespace *os.File
	before    []string // traces that were there already
}

// watchLeftovers remembers how things are before a lab. The process is the lab's init, as seen outside.
func watchLeftovers(initPID int) *leftovers {
	l := &leftovers{began: time.Now()}
	l.before, _ = traces() // if this fails, so will newTraces, and say why
	// Without it, processes says so.
	l.namespace, _ = os.Open(fmt.Sprintf("/proc/%d/ns/pid", initPID))
	return l
}

// conclude checks that nothing is left, says so, and returns the demo's exit status.
func (l *leftovers) conclude(tell *teller, code int) int {
	processes, err := l.processes()
	if err == nil && len(processes) > 0 {
		err = fmt.Errorf("processes of the lab are left: %v", processes)
	}
	if err == nil {
		err = l.newTraces()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v", err)
		return max(code, 1)
	}
	if code != 0 {
		return code
	}
	tell.fact("from outside: no process is left in the lab's PID namespace, this machine has no named network " +
		"namespace and no interface of the lab; its files were on a tmpfs that went with it")
	tell.say("All of it came true, in %.0f seconds.", time.Since(l.began).Seconds())
	tell.say("To look around yourself: make up")
	return 0
}

// processes are those in the lab's PID namespace, as seen outside.
func (l *leftovers) processes() ([]int, error) {
	if l.namespace == nil {
		return nil, fmt.Errorf("looking for processes that are left: the lab's PID namespace was not found")
	}
	want, err := l.namespace.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking for processes that are left: %w", err)
	}
	paths, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		return nil, fmt.Errorf("looking for processes that are left: %w", err)
	}
	var left []int
	for _, path := range paths {
		// One that has ended since has no namespace.
		if info, err := os.Stat(path); err == nil && os.SameFile(info, want) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			left = append(left, pid)
		}
	}
	return left, nil
}

// newTraces fails if there are traces that were not there before.
func (l *leftovers) newTraces() error {
	now, err := traces()
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(t string) bool { return slices.Contains(l.before, t) })
	if len(now) > 0 {
		return fmt.Errorf("%s is left", enumerate(now))
	}
	return nil
}

// traces are what this machine's own network shows of a lab: named network namespaces as the lab names its
// own, and addresses of its segment.
func traces() ([]string, error) {
	var found []string
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("looking for network namespaces: %w", err)
	}
	for _, e := range entries {
		if labNamespace.MatchString(e.Name()) {
			found = append(found, "the network namespace "+e.Name())
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("looking for interfaces: %w", err)
	}
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && (lab.Segment4.Contains(p.Addr()) || lab.Segment6.Contains(p.Addr())) {
			found = append(found, "an interface with the address "+p.String())
		}
	}
	return found, nil
}

var labNamespace = regexp.MustCompile(`^(switch|cp|client\d+|node\d+(-pods)?)$`)
