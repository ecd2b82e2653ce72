package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func planCommand(o *plugin.Options) *cobra.Command {
	var out output
	var files, remove []string
	cmd := &cobra.Command{
		Use: "plan (-f FILE | --delete [KIND/]NAME)...", Short: "What a change of pools or advertisements would do", Args: noNames(""),
		Long: `What a change of pools or advertisements would do to living Services, before it
is applied: which keep their addresses, which get others, and which lose
theirs; which addresses another node answers for then, or none, and which
prefixes are withdrawn from which peers.

It reads IPAddressPools, L2Advertisements and BGPAdvertisements from files and
skips whatever else is in them. They count as they are in the files: what a
file leaves out of a pool that exists is taken from it. Nothing is changed in
the cluster. Services that wait as before are only counted; -o wide lists them.
Of those that began to wait in the same second, the cluster may serve another
first.

It exits with 0 if every Service keeps its addresses and these go on being
announced, with 1 if one is moved, lost, silent or withdrawn, and with 2 after
an error.`,
		Example: `  kubectl fairlead plan -f pools.yaml
  kubectl fairlead plan --delete old-pool
  kubectl fairlead plan -f advertisement.yaml
  kubectl fairlead plan --delete l2advertisement/main
  kustomize build . | kubectl fairlead plan -f - -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, data, err := out.format()
			if err != nil {
				return err
			}
			if len(files)+len(remove) == 0 {
				return errors.New("nothing to plan: give -f FILE or --delete NAME")
			}
			manifests, err := readFiles(cmd, files)
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			plan, notes, err := plugin.LoadPlan(cmd.Context(), cluster, o.LoadBalancerClass, manifests, remove)
			if err != nil {
				return err
			}
			note(cmd, notes...)
			if data != "" {
				err = plugin.WriteData(cmd.OutOrStdout(), data, plan)
			} else {
				err = plugin.WritePlan(cmd.OutOrStdout(), plan, f)
			}
			if err == nil && plan.ExitStatus() == plugin.ExitMoves {
				return movesError{}
			}
			return err
		},
	}
	out.add(cmd, "wide", "json", "yaml")
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "`FILE` or directory with pools and\nadvertisements to apply; - reads from\nstandard input")
	cmd.Flags().StringArrayVar(&remove, "delete", nil, "`NAME` of a pool to delete, or\nl2advertisement/NAME, bgpadvertisement/NAME")
	_ = cmd.RegisterFlagCompletionFunc("delete", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
			pools, err := plugin.LoadPools(cmd.Context(), c)
			for _, p := range pools {
				names = append(names, p.Name)
			}
			return names, err
		}), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func readFiles(cmd *cobra.Command, files []string) (all []plugin.Manifest, err error) {
	read := func(name string, r io.Reader) error {
		manifests, notes, err := plugin.ReadManifests(name, r)
		all = append(all, manifests...)
		note(cmd, notes...)
		return err
	}
	var names []string
	for _, name := range files {
		info, err := os.Stat(name)
		if name == "-" || err != nil || !info.IsDir() {
			names = append(names, name)
			continue
		}
		inside, err := manifestsIn(name)
		if err != nil {
			return nil, err
		}
		names = append(names, inside...)
	}
	for _, name := range names {
		if name == "-" {
			err = read("standard input", cmd.InOrStdin())
		} else {
			var file *os.File
			if file, err = os.Open(name); err == nil {
				err = read(name, file)
				file.Close()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if len(files) > 0 && len(all) == 0 {
		note(cmd, fmt.Sprintf("there is no IPAddressPool and no advertisement in %s", strings.Join(files, ", ")))
	}
	return all, nil
}

// manifestsIn are the files of a directory that kubectl apply -f would read.
func manifestsIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".yaml", ".yml", ".json":
			if !e.IsDir() {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no .yaml, .yml or .json file in %s", dir)
	}
	return names, nil
}
