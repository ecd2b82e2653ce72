package main

import (
	"fmt"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func peersCommand(o *plugin.Options) *cobra.Command {
	var out output
	var node string
	cmd := &cobra.Command{
		Use: "peers [PEER]", Aliases: []string{"peer"}, Short: "List the BGP sessions: state, uptime, what is wrong",
		Long: `List the BGP sessions of each node with each BGPPeer that selects it, as the
nodes' speakers see them; of one BGPPeer, all there is to say of it.

PREFIXES is how many the router has from the node. ? is the state of a session
whose speaker is away, - that of one that no speaker knows of. The last error
of a session that has been Established for an hour is left to -o wide, which
adds the router's address and AS number, the negotiated hold time and families,
messages received and sent, and whether graceful restart was agreed on.`,
		Example: `  kubectl fairlead peers
  kubectl fairlead peers tor1
  kubectl fairlead peers --node node1 -o wide
  kubectl fairlead peers -w`,
		Args: atMostOne("peer", "peers [PEER]"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return peerNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			s, err := plugin.LoadPeers(cmd.Context(), cluster)
			if err != nil {
				return err
			}
			if err := s.Absent(node, nil); err != nil {
				return err
			}
			note(cmd, s.Notes...)
			peer := ""
			if len(args) > 0 {
				peer = args[0]
			}
			rows, err := plugin.SelectPeers(plugin.Peers(s), peer, node)
			if err != nil {
				return err
			}
			if out.watch {
				return follow(cmd, cluster, s, plugin.PeersListing(f, func(all []plugin.PeerRow) []plugin.PeerRow {
					chosen, _ := plugin.SelectPeers(all, peer, node) // none once the peer is gone
					return chosen
				}))
			}
			switch {
			case data != "":
				return plugin.WriteData(cmd.OutOrStdout(), data, rows)
			case len(rows) == 0 && node != "":
				fmt.Fprintf(cmd.ErrOrStderr(), "Node %s has no such session.\n", node)
			case len(rows) == 0:
				fmt.Fprintln(cmd.ErrOrStderr(), "There is no BGPPeer.")
			case peer != "" && !f.Wide:
				return plugin.WritePeer(cmd.OutOrStdout(), rows, f)
			default:
				return plugin.WritePeers(cmd.OutOrStdout(), rows, f)
			}
			return nil
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	out.addWatch(cmd, watchRows)
	addNode(cmd, o, &node, "only the sessions of this `NODE`")
	return cmd
}

// peerNames completes the name of a BGPPeer.
func peerNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
		peers, err := plugin.LoadBGPPeers(cmd.Context(), c)
		for _, p := range peers {
			names = append(names, p.Name)
		}
		return names, err
	})
}

// atMostOne takes one thing or nothing.
func atMostOne(what, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("name one %s at most: kubectl fairlead %s", what, usage)
		}
		return nil
	}
}
