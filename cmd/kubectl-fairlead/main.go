// Command kubectl-fairlead is `kubectl fairlead`: it tells what Fairlead decides about addresses, and why, and has
// nodes drained.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	klog.SetLogger(klog.Logger{}) // what client-go logs comes back as an error
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs the command and returns the exit status: 1 after an error, 2 after one of plan, as of kubectl
// diff.
func execute(ctx context.Context, args []string, in io.Reader, out, failure io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(failure)
	cmd, err := root.ExecuteContextC(ctx)
	var moves movesError
	var wrong wrongError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &moves):
		return plugin.ExitMoves
	case errors.As(err, &wrong):
		return 1
	}
	for line := range strings.SplitSeq(oneLine(err.Error()), "\n") {
		saying(failure)("error: %s", line)
	}
	if cmd.Name() == "plan" || errors.As(err, new(checkError)) {
		return plugin.ExitError
	}
	return 1
}

// oneLine is what cobra says of a command that there is not, in a line, and with what to do if it knows nothing better.
func oneLine(text string) string {
	what, instead, found := strings.Cut(text, "\n\nDid you mean this?\n")
	switch {
	case found:
		return what + "; did you mean " + strings.Join(strings.Fields(instead), ", or ") + "?"
	case strings.HasPrefix(text, "unknown command "):
		return what + "; kubectl fairlead --help lists those that there are"
	}
	return text
}

// movesError makes plan exit with plugin.ExitMoves.
type movesError struct{}

func (movesError) Error() string { return "Services would move or be lost" }

// wrongError makes status --check exit with 1: what is wrong was said.
type wrongError struct{}

func (wrongError) Error() string { return "something is wrong" }

func rootCommand() *cobra.Command {
	var o plugin.Options
	root := &cobra.Command{
		Use:         "kubectl-fairlead",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fairlead"},
		Short:       "What Fairlead decides about addresses, and why",
		Long: `What Fairlead decides about addresses, and why: which Service gets which, which
node answers for it, and which routers are told of it.

It works with your own rights, and says what it could not see for want of some.
Only drain, undrain and rebalance write: an annotation on a Node or an
L2Advertisement.`,
		Example: `  kubectl fairlead status
  kubectl fairlead pools
  kubectl fairlead services -A --pending
  kubectl fairlead owners --node node1
  kubectl fairlead peers
  kubectl fairlead routes shop/web
  kubectl fairlead explain service web
  kubectl fairlead explain address 192.0.2.200
  kubectl fairlead plan -f pools.yaml
  kubectl fairlead drain node1
  kubectl fairlead ui`,
		SilenceErrors: true, SilenceUsage: true,
	}
	// kubectl completes plugins by a program of its own, which calls the hidden command __complete.
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), " for more information about a command.", " tells more.", 1)) // 80 columns
	flags := root.PersistentFlags()
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig `FILE` instead of\n$KUBECONFIG or ~/.kube/config")
	flags.StringVar(&o.Context, "context", "", "`NAME` of the kubeconfig's context to use")
	flags.StringVarP(&o.Namespace, "namespace", "n", "", "`NAMESPACE` instead of the context's")
	flags.StringVar(&o.RequestTimeout, "request-timeout", "", "`TIME` that one answer may take, such\nas 5s; without it, any")
	flags.StringVar(&o.LoadBalancerClass, "load-balancer-class", "", "`CLASS` that the controller serves, if\nit was started with this flag")
	flags.StringVar(&o.FairleadNamespace, "fairlead-namespace", "fairlead-system", "`NAME` of the namespace that Fairlead\nruns in")
	completeFlags(root, &o)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help tells of its flags", err, cmd.CommandPath())
	})
	root.AddCommand(statusCommand(&o), poolsCommand(&o), servicesCommand(&o), ownersCommand(&o), peersCommand(&o), routesCommand(&o), explainCommand(&o),
		planCommand(&o), importCommand(&o), drainCommand(&o), undrainCommand(&o), rebalanceCommand(&o), uiCommand(&o), bundleCommand(&o), versionCommand())
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() { // or a shell would offer files
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this plugin", Args: noNames(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "kubectl-fairlead", daemon.Current())
			return err
		},
	}
}
