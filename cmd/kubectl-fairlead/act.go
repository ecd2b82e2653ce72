package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func drainCommand(o *plugin.Options) *cobra.Command {
	w := plugin.Waiting{Wait: true}
	cmd := &cobra.Command{
		Use: "drain NODE", Short: "Move a node's addresses away, before it is taken down",
		Long: `Move the addresses that a node owns to other nodes, and have it own none until
kubectl fairlead undrain. It sets the annotation fairlead.dev/drain on the
Node and waits until the node owns nothing, and advertises nothing over BGP.

The next owner announces first, routers are asked to go elsewhere for 10 s
before routes are withdrawn (RFC 8326), and the node goes on forwarding, so that
no new connection fails. Pods are not touched: kubectl drain is for these.

It exits with 1 if addresses are left when the time is up, or if all that are
left may be owned by no other node: these stay until one may, or the node goes.`,
		Example: `  kubectl fairlead drain node1 && kubectl drain node1 --ignore-daemonsets
  kubectl fairlead drain node1 --wait=false`,
		Args: oneNode("drain"), ValidArgsFunction: oneNodeName(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			w.Say = saying(cmd.OutOrStdout())
			return plugin.Drain(cmd.Context(), cluster, o.LoadBalancerClass, args[0], w)
		},
	}
	cmd.Flags().BoolVar(&w.Wait, "wait", true, "wait until the node owns nothing")
	cmd.Flags().DurationVar(&w.Timeout, "timeout", 30*time.Second, "wait at most `TIME`; 0 for ever")
	return cmd
}

func undrainCommand(o *plugin.Options) *cobra.Command {
	return &cobra.Command{
		Use: "undrain NODE", Short: "Let a drained node own addresses again",
		Long: `Let a drained node own addresses again, by taking the annotation
fairlead.dev/drain from the Node. Nothing moves back by itself, since a move
breaks connections: kubectl fairlead rebalance spreads the addresses anew. Over
BGP the node advertises its routes again at once.`,
		Example: `  kubectl fairlead undrain node1`,
		Args:    oneNode("undrain"), ValidArgsFunction: oneNodeName(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			return plugin.Undrain(cmd.Context(), cluster, args[0], plugin.Waiting{Say: saying(cmd.OutOrStdout())})
		},
	}
}

func rebalanceCommand(o *plugin.Options) *cobra.Command {
	var w plugin.Waiting
	cmd := &cobra.Command{
		Use: "rebalance [L2ADVERTISEMENT]...", Short: "Spread addresses over the nodes anew",
		Long: `Spread the addresses of L2Advertisements, or of all, evenly over the nodes that
may own them, those of the greatest weight by preferredNodeSelectors. It sets
the annotation fairlead.dev/rebalance; the nodes do the rest.

A node that joins gets no address that another one owns already: each move
breaks the connections through the address. So this is for quiet hours, and a
node gives away only about one address a second.`,
		Example: `  kubectl fairlead rebalance
  kubectl fairlead rebalance main --wait`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return advertisementNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			w.Say = saying(cmd.OutOrStdout())
			return plugin.Rebalance(cmd.Context(), cluster, o.LoadBalancerClass, args, w)
		},
	}
	cmd.Flags().BoolVar(&w.Wait, "wait", false, "wait until they are spread, or nothing moves for 10 s")
	cmd.Flags().DurationVar(&w.Timeout, "timeout", 0, "wait at most `TIME`; 0 for ever")
	return cmd
}

// oneNode takes the name of one node.
func oneNode(verb string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) != 1:
			return fmt.Errorf("name one node: kubectl fairlead %s NODE", verb)
		case args[0] == "":
			return errors.New("the name of the node is empty")
		}
		return nil
	}
}

func oneNodeName(o *plugin.Options) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nodeNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
	}
}
