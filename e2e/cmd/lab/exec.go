package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
)

// switchHost is the namespace of the lab's switch, which is no host, but can be entered like one.
const switchHost = "switch"

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST [--] COMMAND...",
		Short: "Run a command on a host of the lab",
		// Everything behind the host is the command's.
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, arguments []string) error {
			if len(arguments) > 0 && (arguments[0] == "-h" || arguments[0] == "--help") {
				return c.Help()
			}
			if len(arguments) > 1 && arguments[1] == "--" {
				arguments = slices.Delete(arguments, 1, 2)
			}
			if len(arguments) < 2 {
				return errors.New("exec needs a host and a command: lab exec client1 -- ip address")
			}
			if os.Geteuid() != 0 {
				return errors.New("the lab belongs to root: run this as root")
			}
			f, err := stateFiles()
			if err != nil {
				return err
			}
			d, s, err := f.described()
			if err != nil {
				return err
			}
			names := []string{switchHost}
			for _, h := range s.Hosts {
				names = append(names, h.Name)
			}
			if !slices.Contains(names, arguments[0]) {
				return fmt.Errorf("the lab has no host %q; it has %s", arguments[0], enumerate(names))
			}
			return enter(d, arguments[0], arguments[1:])
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
