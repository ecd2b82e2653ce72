package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Task is a long-lived part of a process. Run returns nil when its context ends; an error ends the
// process.
type Task interface {
	Run(ctx context.Context) error
}

// TaskFunc is a function as a Task.
type TaskFunc func(ctx context.Context) error

// Run calls the function.
func (f TaskFunc) Run(ctx context.Context) error { return f(ctx) }

// Run runs tasks until one fails or ctx ends, and waits for all of them.
func Run(ctx context.Context, tasks ...Task) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		group.Go(func() error { return t.Run(ctx) })
	}
	return group.Wait()
}

// UsageError is a mistake on the command line.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Execute runs a command with a context that SIGTERM and SIGINT end, and returns the process's exit
// status: 0 after a signal, 2 for a mistake on the command line, else 1. A failure is one line: on
// standard error in plain words for a mistake of usage, else through the default logger.
func Execute(cmd *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A second signal kills: whoever sends it does not want to wait.
	context.AfterFunc(ctx, stop)

	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if cmd.Args == nil {
		cmd.Args = noArguments
	}
	cmd.Version = Describe()
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{err} })
	cmd.CompletionOptions.DisableDefaultCmd = true

	err := cmd.ExecuteContext(ctx)
	var usage UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "%s: %v (see --help)\n", cmd.Name(), usage)
		return 2
	default:
		slog.Error(cmd.Name()+" stopped", "error", err)
		return 1
	}
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError{fmt.Errorf("%q is not understood: there are only flags", args[0])}
	}
	return nil
}
