// Command lab keeps a lab running in the background and lets a person look around in it, or shows in one go
// what Fairlead does.
//
//	lab demo                             start a lab, tell what happens in it, end it
//	lab up [--nodes 3] [--clients 1]     start one and say how to use it
//	lab exec HOST -- COMMAND             run a command on a host: cp, node1, client1, switch, ...
//	lab status                           say again what `lab up` said
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
		// Shells that are to complete its arguments would be more to read than its commands.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(upCommand(), downCommand(), statusCommand(), execCommand(), demoCommand(), daemonCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		os.Exit(1)
	}
}
