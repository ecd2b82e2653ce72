package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits are what processes may use together, as a container's limits are. Zero is without a limit.
type Limits struct {
	CPU     float64 // in processors: 0.02 is 2 ms in each 100, 0.002 is 1 ms in each 500
	Memory  int64   // in bytes. What they use already does not count: it was not taken under the limit
	Threads int     // of all of them
}

// cpuPeriod is what a share of the processor is a share of: whoever has used up his stands still for the rest of it. It is
// longer for a share of less than the least that the kernel gives.
const cpuPeriod, leastCPU = 100 * time.Millisecond, time.Millisecond

// knob is a limit in the kernel's words: the controller, its files in control groups of version 1 and of 2, and what to
// write there.
type knob struct {
	controller string
	v1, v2     map[string]string
}

func (x Limits) knobs() (list []knob) {
	if x.CPU > 0 {
		period, quota := cpuPeriod, time.Duration(x.CPU*float64(cpuPeriod))
		if quota < leastCPU {
			period, quota = time.Duration(float64(leastCPU)/x.CPU), leastCPU
		}
		q, p := strconv.FormatInt(quota.Microseconds(), 10), strconv.FormatInt(period.Microseconds(), 10)
		list = append(list, knob{"cpu", map[string]string{"cpu.cfs_quota_us": q, "cpu.cfs_period_us": p}, map[string]string{"cpu.max": q + " " + p}})
	}
	if x.Memory > 0 {
		bytes := strconv.FormatInt(x.Memory, 10)
		list = append(list, knob{"memory", map[string]string{"memory.limit_in_bytes": bytes}, map[string]string{"memory.max": bytes}})
	}
	if x.Threads > 0 {
		most := map[string]string{"pids.max": strconv.Itoa(x.Threads)}
		list = append(list, knob{"pids", most, most})
	}
	return list
}

// group is a control group that a limit is written to: of one controller (version 1), or of all (version 2).
type group struct {
	home      string // the group that its members come from, and go back to
	directory string
	files     map[string]string // to be written before the members enter
}

// groupPrefix begins the names of the lab's control groups. One that no process is in is nobody's: it may be removed at
// any time, and is made again when a process is to enter it.
const groupPrefix = "fairlead-lab-"

// groups are those for limits, where controllers are in these directories.
func (x Limits) groups(homes map[string]string, name string) ([]*group, error) {
	var list []*group
	by := map[string]*group{}
	for _, k := range x.knobs() {
		home, files := homes[k.controller], k.v1
		if home == "" {
			home, files = homes[unified], k.v2
		}
		if home == "" {
			return nil, fmt.Errorf("the machine has no control groups for %s", k.controller)
		}
		g := by[home]
		if g == nil {
			g = &group{home: home, directory: filepath.Join(home, name), files: map[string]string{}}
			if home == homes[unified] {
				// Members of a group cannot have neighbours that are groups with controllers, but at the root.
				g.directory = filepath.Join(homes[unifiedRoot], name)
			}
			by[home], list = g, append(list, g)
		}
		maps.Copy(g.files, files)
	}
	return list, nil
}

// unified and unifiedRoot stand for version 2 among the names of controllers: this process's group, and the root.
const unified, unifiedRoot = "", "/"

// controllerHomes are the directories of this process's control groups, by controller.
func controllerHomes(mountinfo, cgroup string) (map[string]string, error) {
	type mount struct{ root, point string }
	mounts := map[string]mount{}
	for line := range strings.Lines(mountinfo) {
		// proc_pid_mountinfo(5): the fourth field is what of the file system is mounted, the fifth where; behind a dash
		// are its type, source and options, of which version 1 has the controllers.
		before, after, _ := strings.Cut(line, " - ")
		fields, behind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(behind) < 3 {
			continue
		}
		switch m := (mount{fields[3], fields[4]}); behind[0] {
		case "cgroup2":
			mounts[unified] = m
		case "cgroup":
			for option := range strings.SplitSeq(behind[2], ",") {
				mounts[option] = m
			}
		}
	}
	homes := map[string]string{unifiedRoot: mounts[unified].point}
	for line := range strings.Lines(cgroup) {
		// cgroups(7): the number of the hierarchy, its controllers, and the group's path in it.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("reading this process's control groups: %q", line)
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if m, ok := mounts[controller]; ok {
				// A container may have its own group alone mounted.
				homes[controller] = filepath.Join(m.point, strings.TrimPrefix(fields[2], strings.TrimSuffix(m.root, "/")))
			}
		}
	}
	return homes, nil
}

// ownHomes are those of this process.
func ownHomes() (map[string]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("looking for control groups: %w", err)
	}
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("looking for control groups: %w", err)
	}
	return controllerHomes(string(mountinfo), string(cgroup))
}

// Limit puts processes under limits that they share, now and from their next start on, until end takes them out. A
// process is under the limits of one call at a time.
func (l *Lab) Limit(limits Limits, processes ...*Process) (end func() error, err error) {
	homes, err := ownHomes()
	if err != nil {
		return nil, err
	}
	groups, err := limits.groups(homes, groupPrefix+rand.Text())
	if err != nil {
		return nil, fmt.Errorf("limiting %s: %w", names(processes), err)
	}
	end = func() error {
		var errs []error
		for _, p := range processes {
			errs = append(errs, p.enter(nil))
		}
		for _, g := range groups {
			errs = append(errs, g.dissolve())
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("ending the limits of %s: %w", names(processes), err)
		}
		return nil
	}
	for _, p := range processes {
		if err := p.enter(groups); err != nil {
			return nil, errors.Join(fmt.Errorf("limiting %s: %w", names(processes), err), end())
		}
	}
	return end, nil
}

// SpareDescriptors leaves a process so many file descriptors more than it has, until end. A further run has all again.
func (p *Process) SpareDescriptors(n int) (end func() error, err error) {
	pid := p.PID()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, fmt.Errorf("counting the descriptors of %s: %w", p.Name, err)
	}
	// The limit is on their numbers, of which a new one gets the lowest that is free. Those above it stay usable.
	taken := map[string]bool{}
	for _, f := range files {
		taken[f.Name()] = true
	}
	limit := 0
	for ; n > 0 || taken[strconv.Itoa(limit)]; limit++ {
		if !taken[strconv.Itoa(limit)] {
			n--
		}
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, fmt.Errorf("reading how many descriptors %s may have: %w", p.Name, err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: before.Max}, nil); err != nil {
		return nil, fmt.Errorf("limiting the descriptors of %s: %w", p.Name, err)
	}
	return func() error {
		if p.PID() != pid {
			return nil
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
			return fmt.Errorf("ending the limit to the descriptors of %s: %w", p.Name, err)
		}
		return nil
	}, nil
}

func names(processes []*Process) string {
	var list []string
	for _, p := range processes {
		list = append(list, p.Name)
	}
	return strings.Join(list, ", ")
}

// enter moves a process into control groups, now and at its next starts.
func (p *Process) enter(groups []*group) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = groups
	if !p.runningLocked() {
		return nil
	}
	return enterAll(groups, p.command.Process.Pid)
}

func enterAll(groups []*group, pid int) error {
	for _, g := range groups {
		if err := g.enter(pid); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the group if it is not there, and moves a process into it.
func (g *group) enter(pid int) error {
	if err := os.Mkdir(g.directory, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for file, value := range g.files {
		path := filepath.Join(g.directory, file)
		// Version 2 gives a group the files of a controller that its parent has handed down.
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			controller, _, _ := strings.Cut(file, ".")
			if err := put(filepath.Join(filepath.Dir(g.directory), "cgroup.subtree_control"), "+"+controller); err != nil {
				return err
			}
		}
		if err := put(path, value); err != nil {
			return err
		}
	}
	return moveTo(g.directory, strconv.Itoa(pid))
}

// moveTo moves a process with all its threads into a control group. One that has ended is nobody to move.
func moveTo(directory, pid string) error {
	if err := put(filepath.Join(directory, "cgroup.procs"), pid); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// put writes to a file that is there: os.WriteFile would ask for it to be made.
func put(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// dissolve sends all members home, children that they have made among them, and removes the group. One that was killed
// takes a moment to be gone.
func (g *group) dissolve() (err error) {
	for range 100 {
		var members []byte
		members, err = os.ReadFile(filepath.Join(g.directory, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, pid := range strings.Fields(string(members)) {
			if err := moveTo(g.home, pid); err != nil {
				return err
			}
		}
		if err = os.Remove(g.directory); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(pollInterval)
	}
	return err
}

// sweepGroups removes the control groups that labs have left behind: those that no process is in.
func sweepGroups() {
	homes, err := ownHomes()
	if err != nil {
		return // nobody could have made any
	}
	for _, home := range homes {
		left, _ := filepath.Glob(filepath.Join(home, groupPrefix+"*"))
		for _, directory := range left {
			_ = os.Remove(directory) // the kernel refuses where a process is in it
		}
	}
}
