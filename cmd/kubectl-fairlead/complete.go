package main

import (
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/spf13/cobra"
)

// completing returns, of names that are read from the cluster, those that begin as typed. What cannot be read
// completes to nothing: there is no place to say so.
func completing(o *plugin.Options, typed string, read func(*k8s.Cluster) ([]string, error)) (names []string) {
	cluster, err := o.Connect(daemon.Current())
	if err != nil {
		return nil
	}
	all, err := read(cluster)
	if err != nil {
		return nil
	}
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		if strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names
}

// serviceNames completes the name of a Service: in the current namespace, or behind "NAMESPACE/" in that.
func serviceNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	namespace, _, qualified := strings.Cut(typed, "/")
	prefix := namespace + "/"
	if !qualified {
		var err error
		if namespace, err = o.CurrentNamespace(); err != nil {
			return nil
		}
		prefix = ""
	}
	return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
		services, err := plugin.LoadServices(cmd.Context(), c, namespace)
		for _, svc := range services {
			names = append(names, prefix+svc.Name)
		}
		return names, err
	})
}

// addressNames completes an address that a Service of any namespace shows.
func addressNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
		services, err := plugin.LoadServices(cmd.Context(), c, "")
		for _, svc := range services {
			if k8s.Ours(svc, o.LoadBalancerClass) {
				for _, a := range k8s.IngressIPs(svc) {
					names = append(names, a.String())
				}
			}
		}
		return names, err
	})
}

// nodeNames completes the name of a node that has a Speaker.
func nodeNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
		speakers, err := plugin.LoadSpeakers(cmd.Context(), c)
		for _, s := range speakers {
			names = append(names, s.Name)
		}
		return names, err
	})
}

// namespaceNames completes the name of a namespace.
func namespaceNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	return completing(o, typed, func(c *k8s.Cluster) ([]string, error) { return plugin.NamespaceNames(cmd.Context(), c) })
}

// completeFlags completes the values of the flags that all commands have.
func completeFlags(root *cobra.Command, o *plugin.Options) {
	for _, name := range []string{"namespace", "fairlead-namespace"} {
		_ = root.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return namespaceNames(cmd, o, typed), cobra.ShellCompDirectiveNoFileComp
		})
	}
	_ = root.RegisterFlagCompletionFunc("context", func(_ *cobra.Command, _ []string, typed string) (names []string, _ cobra.ShellCompDirective) {
		all, _ := o.Contexts()
		for _, name := range all {
			if strings.HasPrefix(name, typed) {
				names = append(names, name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	for _, name := range []string{"load-balancer-class", "request-timeout"} {
		_ = root.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// advertisementNames completes the name of an L2Advertisement.
func advertisementNames(cmd *cobra.Command, o *plugin.Options, typed string) []string {
	return completing(o, typed, func(c *k8s.Cluster) (names []string, err error) {
		advertisements, err := plugin.LoadL2Advertisements(cmd.Context(), c)
		for _, a := range advertisements {
			names = append(names, a.Name)
		}
		return names, err
	})
}
