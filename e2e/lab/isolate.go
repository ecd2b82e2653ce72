package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
)

// The three lives of a binary that calls Isolate: outside, as the init of the new namespaces, and inside.
const (
	stageVariable = "FAIRLEAD_LAB_STAGE"
	stageInit     = "init"
	stageInside   = "inside"
)

// Descriptors that are handed in. Only init sees the lifeline.
const (
	listenerFD = 3
	lifelineFD = 4
)

// forwarded are the signals that the outer process and init pass on to the process inside.
var forwarded = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}

// isolated is set in the process inside.
var isolated bool

// Isolation is how Isolate prepares and reports.
type Isolation struct {
	// Progress receives lines for a person to read. Standard error if nil.
	Progress func(line string)
	// Started is called outside once the namespaces exist, with the process ID, as seen outside, of their init.
	Started func(pid int)
	// Routers is for labs with routers: FRR and BIRD are installed too where they are missing.
	Routers bool
}

// Main is the body of a TestMain: it runs the tests inside the lab's namespaces, stops the lab they have
// started, and exits with their status. When tests fail it prints the end of every log of that lab.
func Main(m *testing.M) {
	os.Exit(Isolate(Isolation{Routers: true}, func() int {
		code := m.Run()
		if l := current.Load(); l != nil {
			if code != 0 {
				l.WriteLogs(os.Stderr, 25)
			}
			l.Stop()
		}
		return code
	}))
}

// MainBuilt is Main for tests of what has to be built first, outside the lab, where there is a network. Inside, the
// environment variable has what build returned.
func MainBuilt(m *testing.M, variable string, build func() (string, error)) {
	if os.Getenv(variable) == "" {
		built, err := build()
		if err == nil {
			err = os.Setenv(variable, built)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
			os.Exit(1)
		}
	}
	Main(m)
}

// Isolate runs inside in new mount, PID and network namespaces and returns its result, by executing this
// binary again with the same arguments. Everything that is started there dies with the calling process,
// even if that is killed. Signals reach the process inside; standard input, output and error are shared.
//
// It checks the machine first and builds the Kubernetes binary, since neither can be done inside. A data race in one of
// the lab's programs makes a failure of a success.
func Isolate(options Isolation, inside func() int) int {
	switch os.Getenv(stageVariable) {
	case stageInit:
		return runInit()
	case stageInside:
		// What runs inside may isolate again: the lab's own tests do.
		_ = os.Unsetenv(stageVariable)
		syscall.CloseOnExec(listenerFD)
		isolated = true
		if code := inside(); code != 0 || !raced.Load() {
			return code
		}
		return raceStatus
	}
	code, err := runOutside(options)
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
	}
	return code
}

// runOutside prepares the machine, starts init and stays with it.
func runOutside(options Isolation) (int, error) {
	if options.Progress == nil {
		options.Progress = printProgress
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := Preflight(ctx, options.Progress); err != nil {
		return 1, err
	}
	if options.Routers {
		if err := need(ctx, routerPrograms, options.Progress); err != nil {
			return 1, err
		}
	}
	hyperkube, err := Hyperkube(ctx, options.Progress)
	if err != nil {
		return 1, err
	}
	cancel()

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 1, fmt.Errorf("listening for the kubeconfig of this machine: %w", err)
	}
	listenerFile, err := listener.(*net.TCPListener).File()
	if err != nil {
		return 1, fmt.Errorf("taking the listener's descriptor: %w", err)
	}
	defer listenerFile.Close()
	listener.Close() // the duplicate keeps it open
	lifeline, hold, err := os.Pipe()
	if err != nil {
		return 1, fmt.Errorf("making the lifeline: %w", err)
	}
	defer hold.Close()

	// The parent death signal is sent when the thread that forked dies: it has to stay until the end.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	command := exec.Command("/proc/self/exe")
	command.Args = os.Args
	command.Env = append(os.Environ(), stageVariable+"="+stageInit, hyperkubeVariable+"="+hyperkube)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{listenerFile, lifeline} // listenerFD, lifelineFD
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := command.Start(); err != nil {
		return 1, fmt.Errorf("starting the lab in new mount, PID and network namespaces: %w", err)
	}
	lifeline.Close()
	if options.Started != nil {
		options.Started(command.Process.Pid)
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = command.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	err = command.Wait()
	close(ended)
	sweepGroups() // of a lab that was killed
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("waiting for the lab: %w", err)
	}
	return exitCode(command.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// exitCode is the status of a process as a shell gives it: 128 and the signal for one that was killed.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func printProgress(line string) { fmt.Fprintln(os.Stderr, "lab: "+line) }
