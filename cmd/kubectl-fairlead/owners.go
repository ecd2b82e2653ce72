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

func ownersCommand(o *plugin.Options) *cobra.Command {
	var out output
	var node string
	cmd := &cobra.Command{
		Use: "owners [ADDRESS | SERVICE]...", Aliases: []string{"owner"}, Short: "List who answers for which address, and why nobody does",
		Long: `List which node answers for which address on the local segment, and on which
interface: of all namespaces, or of the addresses and Services named.

A note says who answers while the owner's speaker is away, who else uses the
address, or why nobody owns it. Where a terminal is too narrow for the notes
they are beneath the table. A speaker lists 256 addresses at most; ? is an
owner that is not in such a list. (BGP) is in place of an owner where BGP alone
advertises the address: see kubectl fairlead routes. -o wide adds hardware
addresses.`,
		Example: `  kubectl fairlead owners
  kubectl fairlead owners --node node1
  kubectl fairlead owners 192.0.2.200 shop/web -o wide
  kubectl fairlead owners -w`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return append(addressNames(cmd, o, typed), serviceNames(cmd, o, typed)...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			addresses, services, err := addressesAndServices(o, args)
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			s, err := plugin.LoadSegment(cmd.Context(), cluster, o.LoadBalancerClass)
			if err != nil {
				return err
			}
			if err := s.Absent(node, services); err != nil {
				return err
			}
			note(cmd, s.Notes...)
			if out.watch {
				return follow(cmd, cluster, s, plugin.OwnersListing(f, func(all *plugin.Ownership) *plugin.Ownership {
					chosen, _ := all.Select(node, addresses, services)
					return chosen
				}))
			}
			owners, missing := plugin.Owners(s).Select(node, addresses, services)
			switch {
			case data != "":
				err = plugin.WriteData(cmd.OutOrStdout(), data, owners)
			case len(owners.Rows) > 0:
				err = plugin.WriteOwners(cmd.OutOrStdout(), owners, f)
			case len(missing) > 0:
			case node != "":
				fmt.Fprintf(cmd.ErrOrStderr(), "Node %s owns no such address.\n", node)
			default:
				fmt.Fprintln(cmd.ErrOrStderr(), "No Service has an address.")
			}
			if err == nil && len(missing) > 0 {
				kind := "service "
				if _, bad := lb.ParseAddr(missing[0]); bad == nil {
					kind = "address "
				}
				err = fmt.Errorf("no address is listed for %s; kubectl fairlead explain %s says why", strings.Join(missing, ", "), kind+missing[0])
			}
			return err
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, watchRows)
	addNode(cmd, o, &node, "only what this `NODE` owns or answers for")
	return cmd
}

// addNode adds the flag --node, which the names of nodes complete.
func addNode(cmd *cobra.Command, o *plugin.Options, node *string, usage string) {
	cmd.Flags().StringVar(node, "node", "", usage)
	_ = cmd.RegisterFlagCompletionFunc("node", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return nodeNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
	})
}

// addressesAndServices tells arguments apart: what is no address is a Service.
func addressesAndServices(o *plugin.Options, args []string) (addresses []netip.Addr, services []lb.Key, err error) {
	for _, arg := range args {
		if a, err := lb.ParseAddr(arg); err == nil {
			addresses = append(addresses, a)
			continue
		}
		key, err := serviceKey(o, arg)
		if err != nil {
			return nil, nil, err
		}
		services = append(services, key)
	}
	return addresses, services, nil
}
