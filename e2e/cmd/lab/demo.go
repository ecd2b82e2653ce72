package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
)

// demoTimeout bounds the demo once everything is built.
const demoTimeout = 2 * time.Minute

func demoCommand() *cobra.Command {
	var o labOptions
	command := &cobra.Command{
		Use:   "demo",
		Short: "Start a lab, tell what Fairlead does in it, end it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return lab.Preflight(c.Context(), printLine)
			}
			if err := o.findProduct(); err != nil {
				return err
			}
			// Behind Isolate this function goes on three times: outside, as the lab's init, and inside.
			var left *leftovers
			code := lab.Isolate(lab.Isolation{
				Progress: printLine,
				Started:  func(initPID int) { left = watchLeftovers(initPID) },
			}, func() int { return runDemo(o) })
			if left != nil {
				code = left.conclude(newTeller(os.Stdout), code)
			}
			os.Exit(code)
			return nil
		},
	}
	o.productFlags(command)
	return command
}

func printLine(line string) { fmt.Println(line) }

// runDemo is the process inside.
func runDemo(o labOptions) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	err := demo(ctx, o)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\nlab: the demo was interrupted; its lab is stopped.")
		return 130
	default:
		fmt.Fprintf(os.Stderr, "\nlab: the demo did not come true: %v", err)
		return 1
	}
}

func demo(interrupted context.Context, o labOptions) error {
	ctx, cancel := context.WithTimeoutCause(interrupted, demoTimeout, fmt.Errorf("it took more than %s", demoTimeout))
	defer cancel()
	tell := newTeller(os.Stdout)
	tell.chapter("Fairlead on a real Kubernetes control plane")
	tell.say("Everything runs on this machine, in network namespaces of its own: nothing reaches your network, and " +
		"nothing stays. Every figure and every table below is of this run.")
	l, err := lab.Start(ctx, lab.Config{
		Nodes: 3, Scheduler: true, ControllerBinary: o.controller, SpeakerBinary: o.speaker, Progress: tell.progress,
	})
	if err != nil {
		return fmt.Errorf("starting the lab: %w", err)
	}
	s, err := newStory(l, tell)
	if err == nil {
		err = s.tellAll(ctx)
	}
	if err != nil && interrupted.Err() == nil {
		err = errors.Join(err, keepLogs())
	}
	processes := len(l.Processes())
	l.Stop()
	if err == nil {
		tell.fact("the lab's %d processes were ended", processes)
	}
	return err
}

// keepLogs makes the lab leave its logs where a person can read them when it stops. It returns the sentence
// that says where.
func keepLogs() error {
	cache, err := lab.CacheDirectory()
	if err != nil {
		return err
	}
	directory := filepath.Join(cache, "demo-logs")
	if err := os.Setenv(lab.LogsVariable, directory); err != nil {
		return err
	}
	return fmt.Errorf("the logs of all processes are below %s", directory)
}

// newStory prepares kubectl and the clients.
func newStory(l *lab.Lab, tell *teller) (*story, error) {
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	// The commands that are shown are the ones that run, and name files as a reader finds them.
	if err := os.Chdir(root); err != nil {
		return nil, err
	}
	bin := filepath.Join(root, ".cache", "bin")
	hyperkube, err := lab.Hyperkube(context.Background(), tell.progress)
	if err == nil {
		err = link(hyperkube, filepath.Join(bin, "kubectl"))
	}
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(l.Directory, "demo.kubeconfig")
	if err := l.WriteKubeconfig(kubeconfig); err != nil {
		return nil, err
	}
	// That one is for outside. From a host of the lab the API server is where it really is.
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = l.RESTConfig().Host
	}
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"PATH": bin + ":" + os.Getenv("PATH"), "KUBECONFIG": kubeconfig,
		"KUBECACHEDIR": filepath.Join(l.Directory, "kubectl"), "KUBERC": "off", // leave the user's home alone
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	client, err := versioned.NewForConfig(l.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("making a client for Fairlead's resources: %w", err)
	}
	return &story{Lab: l, teller: tell, fairlead: client, client: l.Client(1)}, nil
}
