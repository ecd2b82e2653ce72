package main

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/spf13/cobra"
)

func explainCommand(o *plugin.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain", Short: "Explain why something is as it is",
		Example: `  kubectl fairlead explain service web
  kubectl fairlead explain address 192.0.2.200
  kubectl fairlead explain node node1
  kubectl fairlead explain node`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q cannot be explained: write kubectl fairlead explain service NAME, address IP, or node [NAME]", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(explainServiceCommand(o), explainAddressCommand(o), explainNodeCommand(o))
	return cmd
}

func explainAddressCommand(o *plugin.Options) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use: "address IP", Aliases: []string{"addr", "addresses", "ip"}, Short: "Explain an address: who answers for it, and why not others",
		Long: `Explain an address: the pool it is of, the Services that have it, and which
node answers for it on the local segment. Of every other node it says in which
order they would be chosen, or why a node may not own the address. If it is for
BGP it says which nodes advertise it to which peers, or why not. It says since
when the owner has it and why, from whom, and who had it before: the speakers
remember their last 32 takeovers.

Who owns the address, and which sessions are up, is the speakers' own word. The
rest is worked out by the speakers' rule from the cluster's objects.`,
		Example: `  kubectl fairlead explain address 192.0.2.200
  kubectl fairlead explain address 2001:db8::200`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one address: kubectl fairlead explain address IP")
			}
			_, err := lb.ParseAddr(args[0])
			return err
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return addressNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			address, err := lb.ParseAddr(args[0])
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			e, notes, err := plugin.LoadAddressExplanation(cmd.Context(), cluster, o.LoadBalancerClass, address)
			if err != nil {
				return err
			}
			note(cmd, notes...)
			if data != "" {
				return plugin.WriteData(cmd.OutOrStdout(), data, e)
			}
			return plugin.WriteAddressExplanation(cmd.OutOrStdout(), e, f)
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	return cmd
}

func explainNodeCommand(o *plugin.Options) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use: "node [NODE]", Aliases: []string{"nodes", "no"}, Short: "Explain a node: what it owns and why, and whether it may own more",
		Long: `Explain a node: whether it may own addresses, and if not why not; what it owns,
since when and why; what each advertisement lets it own; its BGP sessions; and
where its addresses go if it is lost or drained.

Without a name it lists the nodes with their standing: serving, draining or
drained (kubectl fairlead drain), excluded (a label, a taint or a condition of
the Node), suppressed (lost too often, with until when), unselected (no
advertisement is for it), away (its speaker does not take part) or gone.

What it owns is its speaker's own word. Where addresses go is worked out by the
speakers' rule, as if it were now.`,
		Example: `  # What is draining, drained or suppressed
  kubectl fairlead explain node

  kubectl fairlead explain node node1
  kubectl fairlead explain node node1 -o yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("name one node, or none to list them: kubectl fairlead explain node [NODE]")
			}
			return nil
		},
		ValidArgsFunction: oneNodeName(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return explainNodes(cmd, o, cluster, f, data)
			}
			e, notes, err := plugin.LoadNodeExplanation(cmd.Context(), cluster, o.LoadBalancerClass, args[0])
			if err != nil {
				return err
			}
			note(cmd, notes...)
			if data != "" {
				return plugin.WriteData(cmd.OutOrStdout(), data, e)
			}
			return plugin.WriteNodeExplanation(cmd.OutOrStdout(), e, f)
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	return cmd
}

// explainNodes lists the nodes with their standing.
func explainNodes(cmd *cobra.Command, o *plugin.Options, cluster *k8s.Cluster, f plugin.Format, data string) error {
	rows, notes, err := plugin.LoadNodeRows(cmd.Context(), cluster, o.LoadBalancerClass)
	if err != nil {
		return err
	}
	note(cmd, notes...)
	if data != "" {
		return plugin.WriteData(cmd.OutOrStdout(), data, rows)
	}
	return plugin.WriteNodes(cmd.OutOrStdout(), rows, f)
}

func explainServiceCommand(o *plugin.Options) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use: "service [NAMESPACE/]NAME", Aliases: []string{"svc", "services"}, Short: "Explain a Service: every pool with why or why not",
		Long: `Explain a Service: what it asks for, what it has, and for each family every
pool in the order in which the controller tries them, with why it serves the
Service or why not. It ends with who answers for its addresses, since when and
why, and why not others, and with what BGP does with them.`,
		Example: `  kubectl fairlead explain service web
  kubectl fairlead explain service shop/web
  kubectl fairlead explain service -n shop web`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one Service: kubectl fairlead explain service NAMESPACE/NAME")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return serviceNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			key, err := serviceKey(o, args[0])
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			e, notes, err := plugin.LoadExplanation(cmd.Context(), cluster, o.LoadBalancerClass, key)
			if err != nil {
				return err
			}
			note(cmd, notes...)
			if data != "" {
				return plugin.WriteData(cmd.OutOrStdout(), data, e)
			}
			return plugin.WriteExplanation(cmd.OutOrStdout(), e, f)
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	return cmd
}

// serviceKey reads NAMESPACE/NAME, or NAME in the current namespace.
func serviceKey(o *plugin.Options, arg string) (lb.Key, error) {
	if !strings.Contains(arg, "/") {
		namespace, err := o.CurrentNamespace()
		return lb.Key{Namespace: namespace, Name: arg}, err
	}
	key, err := lb.ParseKey(arg)
	if err == nil && o.Namespace != "" && o.Namespace != key.Namespace {
		err = fmt.Errorf("%s is not in namespace %s, which -n names", arg, o.Namespace)
	}
	return key, err
}
