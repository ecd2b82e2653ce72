package main

import (
	"errors"
	"fmt"
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
