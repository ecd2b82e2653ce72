package main

import (
	"os/exec"
	"runtime"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func uiCommand(o *plugin.Options) *cobra.Command {
	var port uint16
	var open bool
	cmd := &cobra.Command{
		Use: "ui", Short: "Make the controller's status page reachable from here", Args: noNames(""),
		Long: `Make the status page, which each controller serves, reachable from this machine,
as kubectl port-forward would, until Ctrl-C: the API server checks who you are.
It asks the controller that leads, and goes on with another one when that ends.

In Fairlead's namespace you have to be allowed to list pods, and to create
pods/portforward.`,
		Example: `  kubectl fairlead ui
  kubectl fairlead ui --port 8080 --open`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			forwarder, err := o.Forwarder(daemon.Current())
			if err != nil {
				return err
			}
			page := plugin.UI{Cluster: cluster, Forwarder: forwarder, Namespace: o.FairleadNamespace, Port: int(port), Say: saying(cmd.OutOrStdout())}
			if open {
				page.Open = func(address string) {
					if err := browse(address); err != nil {
						note(cmd, "no browser could be opened: "+err.Error())
					}
				}
			}
			return page.Run(cmd.Context())
		},
	}
	cmd.Flags().Uint16Var(&port, "port", 0, "`PORT` of this machine; any that is free for 0")
	cmd.Flags().BoolVar(&open, "open", false, "open it in a browser")
	_ = cmd.RegisterFlagCompletionFunc("port", cobra.NoFileCompletions)
	return cmd
}

// browse has the desktop open an address.
func browse(address string) error {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	opener := exec.Command(name, args...)
	if err := opener.Start(); err != nil {
		return err
	}
	go func() { _ = opener.Wait() }() // it may stay for as long as the browser does
	return nil
}
