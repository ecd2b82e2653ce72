package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output is the flag -o, and -w where a command has it.
type output struct {
	value   string
	allowed []string
	watch   bool
}

func (o *output) add(cmd *cobra.Command, allowed ...string) {
	o.allowed = allowed
	cmd.Flags().StringVarP(&o.value, "output", "o", "", "output `FORMAT`: "+strings.Join(allowed, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) addWatch(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, usage)
}

// watchRows is what -w of a table does.
const watchRows = "go on, and print rows again as they\nchange"

// format returns how to print, and "json" or "yaml" if it is for a program.
func (o *output) format() (f plugin.Format, data string, err error) {
	f = terminal()
	switch {
	case o.value == "wide":
		f.Wide = true
	case slices.Contains(o.allowed, o.value):
		data = o.value
	case o.value != "":
		return f, "", fmt.Errorf("-o %q is none of %s", o.value, strings.Join(o.allowed, ", "))
	}
	if o.watch && data != "" {
		return f, "", fmt.Errorf("-w is for people: leave -o %s out, or -w", data)
	}
	return f, data, nil
}

// terminal is how standard output shows things. Colours are for a terminal that knows them, and that nobody asked to be
// without (https://no-color.org).
func terminal() (f plugin.Format) {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return f
	}
	f.Width = width
	f.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && (runtime.GOOS != "windows" || os.Getenv("WT_SESSION") != "")
	return f
}

// note tells the user something that is not part of the output.
func note(cmd *cobra.Command, notes ...string) {
	for _, n := range notes {
		saying(cmd.ErrOrStderr())("note: %s", n)
	}
}

// saying tells the user things, wrapped where a terminal shows them.
func saying(w io.Writer) func(format string, args ...any) {
	width := 0
	if file, is := w.(*os.File); is {
		width, _, _ = term.GetSize(int(file.Fd())) // 0 if it is no terminal
	}
	return plugin.Saying(w, width)
}

// noNames is for a command that takes flags alone. Instead says what to ask if one was named, where it is the name that
// %s stands for.
func noNames(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("%s takes no names, and was given %q", cmd.CommandPath(), args[0])
		if instead != "" {
			text += fmt.Sprintf("; "+instead, args[0])
		}
		return errors.New(text)
	}
}

// follow is what -w of a table does.
func follow(cmd *cobra.Command, cluster *k8s.Cluster, s *plugin.Snapshot, l plugin.Listing) error {
	return plugin.Watch(cmd.Context(), cluster, s, l, cmd.OutOrStdout(), func(text string) { note(cmd, text) })
}
