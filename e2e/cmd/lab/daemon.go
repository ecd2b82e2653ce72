package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func daemonCommand() *cobra.Command {
	var o labOptions
	command := &cobra.Command{
		Use:    "daemon",
		Short:  "Run the lab until a signal",
		Hidden: true, // `lab up` is the way to start it
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := stateFiles()
			if err != nil {
				return err
			}
			os.Exit(lab.Isolate(lab.Isolation{
				Started: func(initPID int) { recordDaemon(f, initPID) },
			}, func() int { return runDaemon(f, o) }))
			return nil
		},
	}
	o.sizeFlags(command)
	o.productFlags(command)
	return command
}

// recordDaemon writes down, outside the namespaces, how `lab down` and `lab exec` find the lab.
func recordDaemon(f files, initPID int) {
	started, err := startTime(os.Getpid())
	if err == nil {
		err = writeJSON(f.daemon, daemon{PID: os.Getpid(), Started: started, Init: initPID})
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: recording the process: %v\n", err)
	}
}

// runDaemon is the process inside.
func runDaemon(f files, o labOptions) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := serveLab(ctx, f, o); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 1
	}
	return 0
}

func serveLab(ctx context.Context, f files, o labOptions) error {
	start, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	l, err := lab.Start(start, lab.Config{
		Nodes: o.nodes, Clients: o.clients, Scheduler: true,
		ControllerBinary: o.controller, SpeakerBinary: o.speaker,
		Progress: func(line string) { fmt.Println(line) },
	})
	if err != nil {
		return err
	}
	defer l.Stop()
	if err := l.WriteKubeconfig(f.kubeconfig); err != nil {
		return err
	}
	if err := writeJSON(f.description, describe(l)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func describe(l *lab.Lab) description {
	d := description{Version: l.Version, Logs: filepath.Join(l.Directory, "logs")}
	add := func(h *lab.Host, roles ...string) {
		for _, p := range l.Processes() {
			if p.Host == h {
				roles = append(roles, programName(l, p))
			}
		}
		d.Hosts = append(d.Hosts, host{Name: h.Name, V4: h.V4.String(), V6: h.V6.String(), Roles: roles})
	}
	add(l.CP)
	for _, n := range l.Nodes {
		add(n.Host)
	}
	for _, c := range l.Clients {
		add(c, "outside the cluster")
	}
	return d
}

// programName is how a process is called for a person: the names of Fairlead's own say too little.
func programName(l *lab.Lab, p *lab.Process) string {
	fairleads := slices.Contains(l.Controllers, p)
	for _, n := range l.Nodes {
		fairleads = fairleads || p == n.Speaker
	}
	if fairleads {
		return "Fairlead's " + p.Program()
	}
	return p.Program()
}
