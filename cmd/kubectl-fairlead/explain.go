package main

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/spf13/cobra"
)

func explainCommand(o *plugin.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain", Short: "Explain why something is as it is",
		Example: `  kubectl fairlead explain service web`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q cannot be explained: write kubectl fairlead explain service NAME", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(explainServiceCommand(o))
	return cmd
}

func explainServiceCommand(o *plugin.Options) *cobra.Command {
	// What it prints is for people: there is no -o.
	var out output
	cmd := &cobra.Command{
		Use: "service [NAMESPACE/]NAME", Aliases: []string{"svc", "services"}, Short: "Explain a Service: every pool with why or why not",
		Long: `Explain a Service: what it asks for, what it has, and for each family every
pool in the order in which the controller tries them, with why it serves the
Service or why not.`,
		Example: `  kubectl fairlead explain service web
  kubectl fairlead explain service shop/web
  kubectl fairlead explain service -n shop web`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one Service: kubectl fairlead explain service NAMESPACE/NAME")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return serviceNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f, _, err := out.format()
			if err != nil {
				return err
			}
			key, err := serviceKey(o, args[0])
			if err != nil {
				return err
			}
			cluster, err := o.Connect(daemon.Current())
			if err != nil {
				return err
			}
			e, notes, err := plugin.LoadExplanation(cmd.Context(), cluster, o.LoadBalancerClass, key)
			if err != nil {
				return err
			}
			note(cmd, notes...)
			return plugin.WriteExplanation(cmd.OutOrStdout(), e, f)
		},
	}
	return cmd
}

// serviceKey reads NAMESPACE/NAME, or NAME in the current namespace.
func serviceKey(o *plugin.Options, arg string) (lb.Key, error) {
	if !strings.Contains(arg, "/") {
		namespace, err := o.CurrentNamespace()
		return lb.Key{Namespace: namespace, Name: arg}, err
	}
	key, err := lb.ParseKey(arg)
	if err == nil && o.Namespace != "" && o.Namespace != key.Namespace {
		err = fmt.Errorf("%s is not in namespace %s, which -n names", arg, o.Namespace)
	}
	return key, err
}

// serviceNames completes the name of a Service: in the current namespace, or behind "NAMESPACE/" in that.
func serviceNames(cmd *cobra.Command, o *plugin.Options, typed string) (names []string) {
	namespace, _, qualified := strings.Cut(typed, "/")
	prefix := namespace + "/"
	if !qualified {
		var err error
		if namespace, err = o.CurrentNamespace(); err != nil {
			return nil
		}
		prefix = ""
	}
	cluster, err := o.Connect(daemon.Current())
	if err != nil {
		return nil
	}
	services, err := plugin.LoadServices(cmd.Context(), cluster, namespace)
	if err != nil {
		return nil
	}
	for _, svc := range services {
		if name := prefix + svc.Name; strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names
}
