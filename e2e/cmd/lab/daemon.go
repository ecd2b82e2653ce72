package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// labOptions are the flags of `lab up`, handed on to `lab daemon`.
type labOptions struct {
	nodes, clients      int
	controller, speaker string
}

func (o *labOptions) flags(c *cobra.Command) {
	c.Flags().IntVar(&o.nodes, "nodes", 3, "how many nodes")
	c.Flags().IntVar(&o.clients, "clients", 1, "how many clients outside the cluster")
	c.Flags().StringVar(&o.controller, "controller", "", "Fairlead's controller (default .cache/bin/controller, if both are built)")
	c.Flags().StringVar(&o.speaker, "speaker", "", "Fairlead's speaker (default .cache/bin/speaker, if both are built)")
}

func (o *labOptions) arguments() []string {
	return []string{
		"--nodes", strconv.Itoa(o.nodes), "--clients", strconv.Itoa(o.clients),
		"--controller", o.controller, "--speaker", o.speaker,
	}
}

// findProduct takes the built binaries unless others were named: both or none.
func (o *labOptions) findProduct(f files) error {
	if (o.controller == "") != (o.speaker == "") {
		return errors.New("--controller and --speaker go together")
	}
	if o.controller == "" {
		bin := filepath.Dir(f.kubectl)
		controller, speaker := filepath.Join(bin, "controller"), filepath.Join(bin, "speaker")
		_, errController := os.Stat(controller)
		_, errSpeaker := os.Stat(speaker)
		if errors.Join(errController, errSpeaker) == nil {
			o.controller, o.speaker = controller, speaker
		}
		return nil
	}
	var err error
	if o.controller, err = filepath.Abs(o.controller); err != nil {
		return fmt.Errorf("finding the controller: %w", err)
	}
	if o.speaker, err = filepath.Abs(o.speaker); err != nil {
		return fmt.Errorf("finding the speaker: %w", err)
	}
	return nil
}

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
	o.flags(command)
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
	if err := writeJSON(f.description, describe(l, o)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func describe(l *lab.Lab, o labOptions) description {
	d := description{Version: l.Version, Product: o.controller != "", Logs: filepath.Join(l.Directory, "logs"), Scheduler: true}
	add := func(h *lab.Host, roles ...string) {
		for _, p := range l.Processes() {
			if p.Host == h {
				roles = append(roles, p.Program())
			}
		}
		d.Hosts = append(d.Hosts, host{Name: h.Name, V4: h.V4.String(), V6: h.V6.String(), Roles: roles})
	}
	add(l.CP)
	for _, n := range l.Nodes {
		add(n.Host)
	}
	for _, c := range l.Clients {
		add(c, "a client outside the cluster")
	}
	return d
}
