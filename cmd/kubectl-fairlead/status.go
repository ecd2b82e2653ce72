package main

import (
	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func statusCommand(o *plugin.Options) *cobra.Command {
	var out output
	var check bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the whole, what is wrong, and what to do", Args: noNames(""),
		Long: `Show the whole on one screen: who runs and leads, how full the pools are, which
node owns how many addresses, the BGP sessions, the Services. It ends with what
is wrong, the worst first, and what to do or to ask next; and with what could
not be seen for want of rights, which may be wrong too.

It exits with 0 whatever it finds. With --check it exits with 0 only if all
could be seen and nothing is wrong, else with 1. Of more than 10 nodes or pools
it lists those that have something to say; -o wide lists all.`,
		Example: `  kubectl fairlead status
  kubectl fairlead status -w
  kubectl fairlead status --check -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			s, err := plugin.LoadAll(cmd.Context(), cluster, o)
			if err != nil {
				return err
			}
			if out.watch {
				now := func() plugin.Format {
					now := terminal() // it may be another size than before
					now.Wide = f.Wide
					return now
				}
				return plugin.WatchStatus(cmd.Context(), cluster, s, cmd.OutOrStdout(), now, func(text string) { note(cmd, text) })
			}
			st := plugin.MakeStatus(s)
			if data != "" {
				err = plugin.WriteData(cmd.OutOrStdout(), data, st)
			} else {
				err = plugin.WriteStatus(cmd.OutOrStdout(), st, f)
			}
			if err == nil && check && !st.Fine() {
				err = wrongError{}
			}
			return err
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, "go on, and show it anew whenever it\nchanges")
	cmd.Flags().BoolVar(&check, "check", false, "exit with 1 unless all could be seen and\nnothing is wrong")
	return cmd
}
