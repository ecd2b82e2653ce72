// Command controller assigns external addresses to Services of type LoadBalancer.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/controller"
	"github.com/spf13/cobra"
)

// MetalLB has 7472 and 7473.
const defaultHTTPAddress = ":7572"

func main() { os.Exit(daemon.Execute(command())) }

func command() *cobra.Command {
	var options daemon.Options
	var leaderElect bool
	cmd := &cobra.Command{
		Use:   k8s.ControllerName,
		Short: "Assign external addresses to Services of type LoadBalancer",
		Long: `Assign external addresses to Services of type LoadBalancer.

The addresses come from the cluster's IPAddressPools. What a Service was
given, or why it was given nothing, is in its status, in its condition
fairlead.dev/Assigned and in events. Any number of controllers may run; one
of them decides, and another takes over when it is gone.

Each serves a status page at /ui/, to who reaches it over the loopback
address: kubectl fairlead ui does.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return err
			}
			log, level := options.Logger(os.Stderr)
			slog.SetDefault(log)
			k8s.CaptureLogs(log)
			log.Info("starting", "version", daemon.Current())

			metrics := daemon.NewRegistry()
			cluster, err := k8s.Connect(options.Kubeconfig, cmd.Name(), daemon.Current(), log, metrics)
			if err != nil {
				return err
			}
			http, watchdog := options.HTTP(metrics, log, level), &daemon.Watchdog{Log: log}
			http.Alive = watchdog.Alive
			http.Authorize = k8s.NewGate(cluster, "/metrics", log).Allow
			listening, err := http.Listen()
			if err != nil {
				return err
			}
			// In a Pod the name of the host is the Pod's. On one host, no two processes have one address.
			hostname, err := os.Hostname()
			if err != nil {
				return fmt.Errorf("asking for the host's name: %w", err)
			}
			c, err := controller.New(controller.Config{
				Cluster:           cluster,
				Namespace:         options.Namespace,
				LoadBalancerClass: options.LoadBalancerClass,
				LeaderElect:       leaderElect,
				Identity:          hostname + "_" + listening.String(),
				Log:               log,
				Metrics:           metrics,
				Busy:              watchdog.Watch("decider").Busy,
			})
			if err != nil {
				return err
			}
			page, err := c.Page(daemon.Current())
			if err != nil {
				return err
			}
			http.Page = page
			http.Ready = c.Ready
			return daemon.Run(cmd.Context(), c, http, page, watchdog)
		},
	}
	options.AddFlags(cmd.Flags(), defaultHTTPAddress)
	cmd.Flags().BoolVar(&leaderElect, "leader-elect", true, "decide only while holding the Lease; false\nif no other controller runs")
	return cmd
}
