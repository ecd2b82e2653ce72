package main

import (
	"fmt"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func poolsCommand(o *plugin.Options) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use: "pools", Aliases: []string{"pool"}, Short: "List the pools: how full, for whom, what is wrong", Args: noNames("kubectl describe ipaddresspool %s tells all of one"),
		Long: `List the pools: how full they are, for whom they are, and what is wrong.

USED is assigned of all; FREE does not count addresses that wait for the
return of a deleted Service. 2^64 and 1.8e+19 stand for large numbers, which
-o wide prints in full, with the ranges and all rules of each pool.`,
		Example: `  kubectl fairlead pools
  kubectl fairlead pools -o wide
  kubectl fairlead pools -w`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			pools, err := plugin.LoadPools(cmd.Context(), cluster)
			if err != nil {
				return err
			}
			switch {
			case out.watch:
				return follow(cmd, cluster, &plugin.Snapshot{Pools: pools}, plugin.PoolsListing(f))
			case data != "":
				return plugin.WriteData(cmd.OutOrStdout(), data, plugin.Pools(pools))
			case len(pools) == 0:
				fmt.Fprintln(cmd.ErrOrStderr(), "There is no IPAddressPool.")
				return nil
			}
			return plugin.WritePools(cmd.OutOrStdout(), plugin.Pools(pools), f)
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, watchRows)
	return cmd
}

func servicesCommand(o *plugin.Options) *cobra.Command {
	var out output
	var all, pending bool
	cmd := &cobra.Command{
		Use: "services", Aliases: []string{"service", "svc"}, Short: "List Fairlead's Services: addresses, pools, what is missing", Args: noNames("kubectl fairlead explain service %s tells all of one"),
		Long: `List the Services of type LoadBalancer that are Fairlead's: their addresses,
the pools these are from, and what is missing and why.

Where a terminal is too narrow for the messages they are beneath the table;
-o wide keeps each in its row.`,
		Example: `  # In the current namespace
  kubectl fairlead services

  # All that miss something
  kubectl fairlead services -A --pending -o wide

  # What changes, as it does
  kubectl fairlead services -A -w`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			namespace := ""
			if !all {
				if namespace, err = o.CurrentNamespace(); err != nil {
					return err
				}
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			s, err := plugin.LoadServicesOf(cmd.Context(), cluster, o.LoadBalancerClass, namespace)
			if err != nil {
				return err
			}
			note(cmd, s.Notes...)
			kind := "Service"
			choose := func(rows []plugin.ServiceRow) []plugin.ServiceRow { return plugin.ServicesIn(rows, namespace) }
			if pending {
				kind = "pending Service"
				choose = func(rows []plugin.ServiceRow) []plugin.ServiceRow {
					return plugin.OnlyPending(plugin.ServicesIn(rows, namespace))
				}
			}
			if out.watch {
				return follow(cmd, cluster, s, plugin.ServicesListing(f, choose))
			}
			rows := choose(plugin.Services(s))
			switch {
			case data != "":
				return plugin.WriteData(cmd.OutOrStdout(), data, rows)
			case len(rows) > 0:
				return plugin.WriteServices(cmd.OutOrStdout(), rows, f)
			case namespace == "":
				fmt.Fprintf(cmd.ErrOrStderr(), "Fairlead has no %s.\n", kind)
			default:
				fmt.Fprintf(cmd.ErrOrStderr(), "Fairlead has no %s in namespace %s; -A shows all namespaces.\n", kind, namespace)
			}
			return nil
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, watchRows)
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "Services of all namespaces")
	cmd.Flags().BoolVar(&pending, "pending", false, "only Services that miss something")
	return cmd
}
