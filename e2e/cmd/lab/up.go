package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// upTimeout bounds the start once everything is built.
const upTimeout = 2 * time.Minute

func upCommand() *cobra.Command {
	var o labOptions
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a lab in the background and say how to use it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			return up(ctx, o)
		},
	}
	o.sizeFlags(command)
	o.productFlags(command)
	return command
}

func up(ctx context.Context, o labOptions) error {
	// First of all, for it says that root is needed before anything fails for want of it.
	if err := lab.Preflight(ctx, printLine); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	f, err := stateFiles()
	if err != nil {
		return err
	}
	if err := f.lock(); err != nil {
		return err
	}
	if _, alive, err := f.running(); err != nil {
		return err
	} else if alive {
		fmt.Println("The lab is already up.")
		return printStatus(f)
	}
	if err := f.clear(); err != nil {
		return err
	}
	hyperkube, err := lab.Hyperkube(ctx, printLine)
	if err != nil {
		return err
	}
	if err := installTools(hyperkube, f); err != nil {
		return err
	}
	d, err := startDaemon(f, o)
	if err != nil {
		return err
	}
	err = followStart(ctx, f, d)
	if err == nil {
		err = kubectl(ctx, f, "apply", "-f", f.pool)
	}
	if err != nil {
		return errors.Join(err, end(f, d))
	}
	return printStatus(f)
}

// startDaemon starts this program as `lab daemon` in a session of its own, so that it outlives the terminal.
func startDaemon(f files, o labOptions) (daemon, error) {
	log, err := os.Create(f.log)
	if err != nil {
		return daemon{}, fmt.Errorf("opening the lab's log: %w", err)
	}
	defer log.Close()
	command := exec.Command("/proc/self/exe", append([]string{"daemon"}, o.arguments()...)...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return daemon{}, fmt.Errorf("starting the lab in the background: %w", err)
	}
	started, err := startTime(command.Process.Pid)
	if err != nil {
		return daemon{}, err
	}
	d := daemon{PID: command.Process.Pid, Started: started}
	// Reaped here while this command lives, by the system's init afterwards.
	go func() { _ = command.Wait() }()
	return d, nil
}

// followStart shows the daemon's log until the lab is ready or the daemon has ended.
func followStart(ctx context.Context, f files, d daemon) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	log, err := os.Open(f.log)
	if err != nil {
		return fmt.Errorf("following the lab's log: %w", err)
	}
	defer log.Close()
	for {
		started, err := startTime(d.PID)
		alive := err == nil && started == d.Started
		if _, err := io.Copy(os.Stdout, log); err != nil {
			return fmt.Errorf("following the lab's log: %w", err)
		}
		if _, err := os.Stat(f.description); err == nil {
			return nil
		}
		if !alive {
			return fmt.Errorf("the lab has ended while starting; its log is %s", f.log)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the lab: %w; its log is %s", context.Cause(ctx), f.log)
		}
	}
}
