package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs on a host, with its output in a log file. It can be started, ended, frozen
// and started again; the log goes on.
type Process struct {
	Name string // unique in the lab, such as kube-proxy-node1
	Host *Host

	path      string
	arguments []string
	directory string
	log       string
	died      func(string) // told when it ends without having been asked to

	mu       sync.Mutex
	command  *exec.Cmd
	ended    chan struct{} // closed when command has been waited for
	expected bool          // the end of command is wanted
	clock    time.Duration // see MoveClock
	groups   []*group      // see Limit
}

// newProcess describes a process of the lab; it does not start it. The first argument is its argv[0].
func (l *Lab) newProcess(name string, host *Host, path string, arguments ...string) *Process {
	p := &Process{
		Name: name, Host: host, path: path, arguments: arguments,
		directory: l.Directory, log: l.logPath(name), died: l.progress,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
	return p
}

// Use has the process run another program from its next start on, as an update of a Pod's image does.
func (p *Process) Use(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path = path
}

// Start starts the process. It fails if it is running.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runningLocked() {
		return fmt.Errorf("starting %s: it is running", p.Name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: opening its log: %w", p.Name, err)
	}
	defer log.Close()
	command := &exec.Cmd{Path: p.path, Args: p.arguments, Dir: p.directory, Stdout: log, Stderr: log}
	// The process has its own group: a Ctrl-C at the terminal is for whoever drives the lab.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := command.Start
	if p.clock != 0 {
		start = func() error { return startMoved(command, p.clock) }
	}
	if err := p.Host.ns.do(start); err != nil {
		return fmt.Errorf("starting %s on %s: %w", p.Name, p.Host.Name, err)
	}
	if err := enterAll(p.groups, command.Process.Pid); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return fmt.Errorf("starting %s under its limits: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.command, p.ended, p.expected = command, ended, false
	go func() {
		err := command.Wait()
		p.mu.Lock()
		expected := p.expected
		p.mu.Unlock()
		if !expected {
			p.died(fmt.Sprintf("%s ended by itself: %v; its log ends:\n%s", p.Name, outcome(err), p.Tail(15)))
		}
		close(ended)
	}()
	return nil
}

func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// Program is the name of the program, the same for all processes that run it.
func (p *Process) Program() string { return p.arguments[0] }

// Running tells whether the process has been started and has not ended. A frozen process is running.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runningLocked()
}

func (p *Process) runningLocked() bool {
	if p.command == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID is the process ID inside the lab, 0 if the process is not running.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runningLocked() {
		return 0
	}
	return p.command.Process.Pid
}

// Signal sends a signal. What ends the process by it counts as unexpected; see Kill and Stop.
func (p *Process) Signal(s syscall.Signal) error { return p.signal(s, false) }

func (p *Process) signal(s syscall.Signal, ends bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runningLocked() {
		return fmt.Errorf("sending %s to %s: it is not running", s, p.Name)
	}
	p.expected = p.expected || ends
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Freeze stops the process where it is (SIGSTOP): its sockets stay open and nobody serves them.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on (SIGCONT).
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Kill ends the process at once (SIGKILL) and waits until it is gone. It does nothing if it is not running.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	if err := p.signal(syscall.SIGKILL, true); err != nil && p.Running() {
		return err
	}
	<-p.Ended()
	return nil
}

// Stop asks the process to end (SIGTERM) and waits. When ctx is done first, it kills the process and says so.
func (p *Process) Stop(ctx context.Context) error {
	if !p.Running() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM, true); err != nil && p.Running() {
		return err
	}
	select {
	case <-p.Ended():
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not end on SIGTERM and was killed: %w", p.Name, context.Cause(ctx)), p.Kill())
	}
}

// Ended is closed when the present run of the process has ended. It is nil, and never ready, if the process
// has never been started.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// ExitCode is the status with which the last run ended, as a shell gives it.
func (p *Process) ExitCode() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.command == nil || p.runningLocked() {
		return 0, fmt.Errorf("reading the exit status of %s: it has not ended", p.Name)
	}
	return exitCode(p.command.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// CPUTime is what the present run of the process has used, user and system, in steps of 10 ms; of the last
// run if it has ended.
func (p *Process) CPUTime() (time.Duration, error) {
	pid := p.PID()
	if pid == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.command == nil || p.command.ProcessState == nil {
			return 0, fmt.Errorf("reading the CPU time of %s: it was never started", p.Name)
		}
		return p.command.ProcessState.UserTime() + p.command.ProcessState.SystemTime(), nil
	}
	// proc_pid_stat(5): utime and stime are fields 14 and 15, in ticks of which Linux shows 100 per second
	// whatever its own clock does. The second field may hold blanks, hence the cut behind its parenthesis.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of %s: %w", p.Name, err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of %s: %w", p.Name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// RSS is the memory that the process holds, in bytes.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.Name, err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.Name, err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// LogPath is the file with the output of all runs.
func (p *Process) LogPath() string { return p.log }

// Log is the output of all runs.
func (p *Process) Log() (string, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return "", fmt.Errorf("reading the log of %s: %w", p.Name, err)
	}
	return string(text), nil
}

// Tail is the end of the log, or what keeps it from being read.
func (p *Process) Tail(lines int) string {
	text, err := p.Log()
	if err != nil {
		return err.Error()
	}
	return string(lastLines([]byte(text), lines))
}

// Program describes a process of the caller's own on a host; Start starts it. It is ended with the lab. The first argument
// is its argv[0]; the name is unique in the lab.
func (l *Lab) Program(name string, host *Host, path string, arguments ...string) *Process {
	return l.newProcess(name, host, path, arguments...)
}

// Threads is how many threads the process has.
func (p *Process) Threads() (int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("counting the threads of %s: %w", p.Name, err)
	}
	return len(tasks), nil
}
