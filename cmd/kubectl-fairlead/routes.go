package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/spf13/cobra"
)

func routesCommand(o *plugin.Options) *cobra.Command {
	var out output
	var want plugin.Selection
	cmd := &cobra.Command{
		Use: "routes [PREFIX | SERVICE]", Aliases: []string{"route"}, Short: "List which node advertises what to which peer, and why not",
		Long: `List which prefixes nodes advertise to which BGP peers and with which
attributes, or why they do not: all that a BGPAdvertisement covers, or what
overlaps with a prefix or an address, or the addresses of a Service.

Nodes that do the same are in one row. The routes are worked out by the
speakers' rule from the cluster's objects; which sessions are up is the
speakers' own word. LOCAL-PREF goes to internal peers alone. -o wide adds next
hops, in the order of the nodes, and Services.`,
		Example: `  kubectl fairlead routes
  kubectl fairlead routes shop/web
  kubectl fairlead routes 192.0.2.0/24 --peer tor1 --node node1 -o wide
  kubectl fairlead routes -w`,
		Args: atMostOne("prefix or Service", "routes [PREFIX | SERVICE]"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(addressNames(cmd, o, typed), serviceNames(cmd, o, typed)...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				if err := choose(o, &want, args[0]); err != nil {
					return err
				}
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			s, err := plugin.LoadRoutes(cmd.Context(), cluster, o.LoadBalancerClass, want)
			if err != nil {
				return err
			}
			note(cmd, s.Notes...)
			if out.watch {
				return follow(cmd, cluster, s, plugin.RoutesListing(f, want))
			}
			rows := plugin.Routes(s, want)
			switch {
			case data != "":
				return plugin.WriteData(cmd.OutOrStdout(), data, rows)
			case len(rows) > 0:
				return plugin.WriteRoutes(cmd.OutOrStdout(), rows, f)
			case len(args) > 0:
				if want.Service != (lb.Key{}) {
					if err := s.Absent("", []lb.Key{want.Service}); err != nil {
						return err
					}
					return fmt.Errorf("no route is listed for %s; kubectl fairlead explain service %[1]s says why", want.Service)
				}
				return fmt.Errorf("no route is listed for %s; kubectl fairlead routes lists all, and explain address those of one address", args[0])
			case want.Node != "" || want.Peer != "":
				fmt.Fprintln(cmd.ErrOrStderr(), "There is no such route.")
			default:
				fmt.Fprintln(cmd.ErrOrStderr(), "No BGPAdvertisement covers an address of a Service.")
			}
			return nil
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, watchRows+", one for each node")
	addNode(cmd, o, &want.Node, "only what this `NODE` advertises")
	cmd.Flags().StringVar(&want.Peer, "peer", "", "only what this `PEER` is told")
	_ = cmd.RegisterFlagCompletionFunc("peer", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return peerNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// choose reads a prefix, an address or the name of a Service.
func choose(o *plugin.Options, want *plugin.Selection, arg string) (err error) {
	if a, err := lb.ParseAddr(arg); err == nil {
		want.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	if p, err := netip.ParsePrefix(arg); err == nil {
		want.Prefix = p.Masked()
		return nil
	}
	if before, _, _ := strings.Cut(arg, "/"); before != arg {
		if _, err := lb.ParseAddr(before); err == nil { // which no namespace is called
			return fmt.Errorf("%q is not a prefix", arg)
		}
	}
	want.Service, err = serviceKey(o, arg)
	return err
}
