package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
	"k8s.io/client-go/metadata"
)

func bundleCommand(o *plugin.Options) *cobra.Command {
	var file string
	var lines int64
	cmd := &cobra.Command{
		Use: "support-bundle", Aliases: []string{"bundle"}, Short: "Collect what somebody needs who is to help, without secrets", Args: noNames(""),
		Long: `Collect in one .tar.gz what somebody needs who is to help from afar: Fairlead's
objects, Services of type LoadBalancer with their EndpointSlices, Nodes, Events
about these, how Fairlead runs, its logs and metrics, and what status, pools,
services, owners, peers and routes say. Its README.txt lists what is in it, and
what could not be read and why.

Secrets are listed by name: what is in them is never read. Values of environment
variables, and what looks like a password, a token or a key, is replaced by
REDACTED. Names and addresses are not: look through it before you hand it on.`,
		Example: `  kubectl fairlead support-bundle
  kubectl fairlead support-bundle -f fairlead.tar.gz --log-lines 1000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := plugin.Bundle{Options: o, Version: daemon.Current(), LogLines: lines}
			b.Say = saying(cmd.ErrOrStderr())
			config, err := o.REST(daemon.Current())
			if err != nil {
				return err
			}
			if b.Cluster, err = o.Connect(daemon.Current()); err != nil {
				return err
			}
			if b.Metadata, err = metadata.NewForConfig(config); err != nil {
				return fmt.Errorf("preparing the client of %s: %w", config.Host, err)
			}
			forwarder, err := o.Forwarder(daemon.Current())
			if err != nil {
				return err
			}
			b.Fetch = forwarder.Fetch
			folder := "fairlead-support-" + time.Now().UTC().Format("20060102-150405")
			if file == "-" {
				return b.Write(cmd.Context(), cmd.OutOrStdout(), folder)
			}
			if file == "" {
				file = folder + ".tar.gz"
			}
			if err := writeFile(file, func(w io.Writer) error { return b.Write(cmd.Context(), w, folder) }); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), file)
			saying(cmd.ErrOrStderr())("Look through it before you hand it on: names and addresses are in it.")
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` to write, - for standard output; without\nit, a name with the time in this directory")
	cmd.Flags().Int64Var(&lines, "log-lines", 10000, "take at most so many `LINES` of each log, the\nlast ones")
	_ = cmd.RegisterFlagCompletionFunc("log-lines", cobra.NoFileCompletions)
	return cmd
}

// writeFile writes a file for nobody else to read, which is there only if it is complete.
func writeFile(name string, write func(io.Writer) error) error {
	draft, err := os.CreateTemp(filepath.Dir(name), ".fairlead-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, errors.Unwrap(err)) // the draft's name is nobody's
	}
	defer os.Remove(draft.Name())
	if err := errors.Join(write(draft), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), name); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
