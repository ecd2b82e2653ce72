package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// files are where the command finds what it has started, below the repository's .cache.
type files struct {
	root, directory                      string
	kubeconfig, log, daemon, description string
	bin, kubectl                         string
	pool                                 string // an example
}

func stateFiles() (files, error) {
	cache, err := lab.CacheDirectory()
	if err != nil {
		return files{}, err
	}
	directory := filepath.Join(cache, "lab")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return files{}, fmt.Errorf("preparing %s: %w", directory, err)
	}
	return files{
		root:        filepath.Dir(cache),
		directory:   directory,
		kubeconfig:  filepath.Join(directory, "kubeconfig"),
		log:         filepath.Join(directory, "log"),
		daemon:      filepath.Join(directory, "daemon.json"),
		description: filepath.Join(directory, "description.json"),
		bin:         filepath.Join(cache, "bin"),
		kubectl:     filepath.Join(cache, "bin", "kubectl"),
		pool:        filepath.Join(filepath.Dir(cache), examples, "pool.yaml"),
	}, nil
}

// lock keeps two commands from starting or ending a lab at the same time, for as long as this process lives.
func (f files) lock() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab belongs to root: run this as root")
	}
	file, err := os.OpenFile(filepath.Join(f.directory, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("waiting for another lab command: %w", err)
	}
	held = file
	return nil
}

// held keeps the locked file from being collected, and so closed.
var held *os.File

// clear removes what belongs to a lab that runs. The log stays.
func (f files) clear() error {
	var errs []error
	for _, path := range []string{f.kubeconfig, f.daemon, f.description} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// daemon is the process outside the namespaces and the init inside them. A process ID alone may have been
// given to another process since: the time at which it started tells.
type daemon struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since boot
	Init    int    `json:"init"`    // as seen outside; in all of the lab's namespaces but the hosts' networks
}

// description is what runs, written once all of it does.
type description struct {
	Version string `json:"version"`
	Hosts   []host `json:"hosts"`
	Logs    string `json:"logs"` // inside the lab's mount namespace
}

type host struct {
	Name  string   `json:"name"`
	V4    string   `json:"v4"`
	V6    string   `json:"v6"`
	Roles []string `json:"roles"`
}

// running is the daemon that the state file names, if it lives.
func (f files) running() (daemon, bool, error) {
	var d daemon
	if err := readJSON(f.daemon, &d); errors.Is(err, os.ErrNotExist) {
		return d, false, nil
	} else if err != nil {
		return d, false, err
	}
	started, err := startTime(d.PID)
	return d, err == nil && started == d.Started, nil
}

// startTime is field 22 of proc_pid_stat(5). The second field may hold blanks, hence the cut behind its
// parenthesis. A zombie has ended for our purposes.
func startTime(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading when process %d started: %w", pid, err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if fields[0] == "Z" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces the file in one step: it is there as a whole or not at all.
func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(path+".new", path)
}
