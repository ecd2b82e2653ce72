// Command lab keeps a lab running in the background and lets a person look around in it.
//
//	lab up [--nodes 3] [--clients 1]     start it and say how to use it
//	lab exec HOST -- COMMAND             run a command on a host: cp, node1, client1, ...
//	lab status                           say it again
//	lab down                             end it
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "lab",
		Short:         "A Kubernetes cluster in network namespaces, with clients outside it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), execCommand(), daemonCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		os.Exit(1)
	}
}
