package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/migrate"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

func importCommand(o *plugin.Options) *cobra.Command {
	var from, out string
	var files []string
	var check bool
	formats := []string{"yaml", "json", "report"}
	cmd := &cobra.Command{
		Use: "import --from SYSTEM [-f FILE]...", Short: "Convert the configuration of MetalLB, OpenELB or kube-vip", Args: noNames("write --from %s"),
		Long: `Convert the configuration of MetalLB, OpenELB or kube-vip.

It reads that system's objects from the cluster, or from files, and prints
Fairlead's objects for kubectl apply. What became of each field goes to standard
error: carried over, changed, or without a counterpart, why, and what to do
about it. Nothing is changed in the cluster, and no password is printed.

Of objects of several namespaces that have one name, those of the system's own
keep it: the namespace where it runs, or metallb-system, openelb-system and
kube-system. Where you may not read all namespaces, -n names that one.

With --check it prints no objects, but every Service with the address that it
has and the one that it will have once Fairlead serves it with these objects.
It then exits with 0 if every address stays, with 1 if one is moved or lost,
and with 2 after an error.`,
		Example: `  # What would become of what the cluster has
  kubectl fairlead import --from metallb -o report

  # The objects, to look through and to apply
  kubectl fairlead import --from metallb >fairlead.yaml
  kubectl apply -f fairlead.yaml

  # Whether each Service keeps its address
  kubectl fairlead import --from metallb --check

  # From files
  kubectl fairlead import --from openelb -f eips.yaml -f bgp/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			system := migrate.System(from)
			switch {
			case from == "":
				return errors.New("say what to come from: --from " + systems(", --from "))
			case !slices.Contains(migrate.Systems, system):
				return fmt.Errorf("--from %q is none of %s", from, systems(", "))
			case out != "" && !slices.Contains(formats, out):
				return fmt.Errorf("-o %q is none of %s", out, strings.Join(formats, ", "))
			}
			sources, unread, err := loadSources(cmd, o, system, files)
			if err != nil {
				return checkFailed(check, err)
			}
			if len(sources) == 0 && unread != nil {
				return checkFailed(check, unread)
			}
			result := migrate.Convert(system, sources)
			if result.Nothing() {
				nothing := "nothing of " + system.Name() + "'s is in these files"
				if len(files) == 0 {
					nothing = "nothing of " + system.Name() + "'s was found in the cluster; its own namespace is looked for at " + system.Namespace() + ", -n names another"
				}
				if check {
					return checkError{errors.Join(errors.New(nothing+": there is nothing to compare with"), unread)}
				}
				note(cmd, nothing)
			}
			if check {
				var written []migrate.Source // the cluster is asked itself: it has namespaces and pools of Fairlead's besides
				if len(files) > 0 {
					written = sources
				}
				err := checkSwitch(cmd, o, result, written, out)
				if unread != nil { // it says no more than what was read does
					return checkError{unread}
				}
				return err
			}
			return errors.Join(writeImport(cmd, result, out), unread)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`SYSTEM` to come from: "+systems(", "))
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "`FILE` or directory to read in place of the cluster;\n- reads from standard input")
	cmd.Flags().BoolVar(&check, "check", false, "compare each Service's address now and then")
	cmd.Flags().StringVarP(&out, "output", "o", "", "output `FORMAT`: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(strings.Split(systems(" "), " "), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func systems(between string) string {
	var names []string
	for _, s := range migrate.Systems {
		names = append(names, string(s))
	}
	return strings.Join(names, between)
}

func loadSources(cmd *cobra.Command, o *plugin.Options, system migrate.System, files []string) (sources []migrate.Source, unread, err error) {
	if len(files) == 0 {
		return plugin.LoadSources(cmd.Context(), o, daemon.Current(), system)
	}
	for _, name := range files {
		some, err := readSources(cmd, name)
		sources = append(sources, some...)
		unread = errors.Join(unread, err)
	}
	return sources, unread, nil
}

// checkError makes import --check exit with plugin.ExitError.
type checkError struct{ error }

func (e checkError) Unwrap() error { return e.error }

func checkFailed(check bool, err error) error {
	if check && err != nil {
		return checkError{err}
	}
	return err
}

// checkSwitch compares the addresses. The Services, with their namespaces, are those of the files, or of the cluster if these
// have none.
func checkSwitch(cmd *cobra.Command, o *plugin.Options, r *migrate.Result, files []migrate.Source, format string) error {
	pools, err := r.Pools()
	if err != nil {
		return checkError{err}
	}
	s := plugin.SnapshotOf(files)
	if len(s.Services) == 0 {
		cluster, err := o.Connect(daemon.Current())
		if err != nil {
			return checkError{err}
		}
		if s, err = plugin.LoadForSwitch(cmd.Context(), cluster, pools); err != nil {
			return checkError{err}
		}
	}
	if s.Class = o.LoadBalancerClass; s.Class == "" && r.Class != "" {
		s.Class = r.Class
		s.Notes = append(s.Notes, "Fairlead is taken to be installed with loadBalancerClass: "+r.Class+", which "+r.System.Name()+" serves")
	}
	s.Notes = append(s.Notes, r.Coexistence()...)
	sw, err := plugin.MakeSwitch(s, pools, r.Class)
	if err != nil {
		return checkError{err}
	}
	switch format {
	case "yaml", "json":
		err = plugin.WriteData(cmd.OutOrStdout(), format, sw)
	default:
		f, _, _ := new(output).format() // the terminal's width
		err = plugin.WriteSwitch(cmd.OutOrStdout(), sw, f)
	}
	if err != nil {
		return checkError{err}
	}
	if sw.ExitStatus() == plugin.ExitMoves {
		return movesError{}
	}
	return nil
}

func readSources(cmd *cobra.Command, name string) (sources []migrate.Source, err error) {
	if name == "-" {
		return migrate.Read("standard input", cmd.InOrStdin())
	}
	names := []string{name}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		if names, err = manifestsIn(name); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return sources, err
		}
		some, err := migrate.Read(name, file)
		file.Close()
		sources = append(sources, some...)
		if err != nil {
			return sources, err
		}
	}
	return sources, nil
}

// writeImport prints the objects, and what became of the fields where it is in nobody's way.
func writeImport(cmd *cobra.Command, r *migrate.Result, format string) error {
	switch format {
	case "report":
		return r.WriteReport(cmd.OutOrStdout())
	case "yaml":
		return r.WriteObjects(cmd.OutOrStdout())
	case "json":
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), string(data))
		return err
	}
	if err := r.WriteObjects(cmd.OutOrStdout()); err != nil {
		return err
	}
	if len(r.Objects) > 0 { // a terminal shows it below them
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	return r.WriteReport(cmd.ErrOrStderr())
}
