package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// stopTimeout is how long a lab may take to stop before it is killed.
const stopTimeout = 15 * time.Second

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the lab",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := stateFiles()
			if err != nil {
				return err
			}
			if err := f.lock(); err != nil {
				return err
			}
			d, alive, err := f.running()
			if err != nil {
				return err
			}
			if !alive {
				fmt.Println("No lab is up.")
				return f.clear()
			}
			if err := end(f, d); err != nil {
				return err
			}
			fmt.Println("The lab is down. Its processes and namespaces are gone.")
			return nil
		},
	}
}

// end stops the daemon, at the worst by killing it, which the kernel extends to everything in the lab.
func end(f files, d daemon) error {
	gone := func(limit time.Duration) bool {
		for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			started, err := startTime(d.PID)
			// The lab's init is the last to go: it has waited for every process inside.
			_, errInit := startTime(d.Init)
			if (err != nil || started != d.Started) && (d.Init == 0 || errInit != nil) {
				return true
			}
		}
		return false
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(d.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending the lab (pid %d): %w", d.PID, err)
		}
		if gone(stopTimeout) {
			return f.clear()
		}
	}
	return fmt.Errorf("ending the lab: process %d does not die", d.PID)
}

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST [--] COMMAND...",
		Short: "Run a command on a host of the lab",
		Args:  cobra.MinimumNArgs(2),
		// Everything behind the host is the command's.
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, arguments []string) error {
			if arguments[0] == "-h" || arguments[0] == "--help" {
				return c.Help()
			}
			f, err := stateFiles()
			if err != nil {
				return err
			}
			d, alive, err := f.running()
			if err != nil {
				return err
			}
			if !alive {
				return errors.New("no lab is up: start one with `lab up`")
			}
			command := arguments[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return errors.New("exec: no command")
			}
			return enter(d, arguments[0], command)
		},
	}
}

// enter becomes the command, in the lab's mounts and processes and the host's network.
func enter(d daemon, host string, command []string) error {
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("entering %s: %w", host, err)
	}
	directory, err := os.Getwd()
	if err != nil {
		directory = "/"
	}
	arguments := []string{"nsenter", "-t", strconv.Itoa(d.Init), "-m", "-p", "--wd=" + directory, "ip", "netns", "exec", host}
	if err := syscall.Exec(path, append(arguments, command...), os.Environ()); err != nil {
		return fmt.Errorf("entering %s: %w", host, err)
	}
	return nil
}
