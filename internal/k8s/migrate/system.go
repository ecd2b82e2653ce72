package migrate

import (
	"fmt"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// Owns tells whether an API group is the system's.
func (s System) Owns(group string) bool {
	switch s {
	case MetalLB:
		return group == "metallb.io" || group == "frrk8s.metallb.io"
	case OpenELB:
		return group == "network.kubesphere.io"
	}
	return group == "kube-vip.io"
}

// ConfigMaps are the names of those that configure the system.
func (s System) ConfigMaps() []string {
	switch s {
	case MetalLB:
		return []string{"config", "metallb-config"}
	case OpenELB:
		return nil
	}
	return []string{"kubevip"}
}

// StatusOnly tells whether objects of a kind are written by the system, one or more for each Service or node, and
// configure nothing.
func StatusOnly(kind string) bool {
	switch kind {
	case "ServiceL2Status", "ServiceBGPStatus", "ConfigurationState", "FRRNodeState", "BGPSessionState":
		return true
	}
	return false
}

// Runs tells whether a workload runs the system.
func Runs(s System, object map[string]any) bool {
	e := newEntry(Source{Object: object})
	return isWorkload(e) && (&conversion{system: s}).runs(e)
}

// ofSystem tells whether an object is of a kind that the system has defined.
func (e *entry) ofSystem(s System) bool {
	group, _, found := strings.Cut(e.APIVersion, "/")
	return found && s.Owns(group)
}

// Nothing tells whether there was nothing of the system's: no object of its kinds, none that became one of ours, and
// nothing that runs it.
func (r *Result) Nothing() bool { return r.nothing }

// Pools are the pools that were made.
func (r *Result) Pools() (pools []*v1alpha1.IPAddressPool, err error) {
	for _, o := range r.Objects {
		if o.Kind != "IPAddressPool" {
			continue
		}
		pool := &v1alpha1.IPAddressPool{}
		if err := decodeStrictly(o.Body, pool); err != nil {
			return nil, fmt.Errorf("IPAddressPool %s: %w", o.Name, err)
		}
		pools = append(pools, pool)
	}
	return pools, nil
}

// Coexistence says what to mind while both systems are there.
func (r *Result) Coexistence() (notes []string) {
	if len(r.Running) == 0 {
		return nil
	}
	served := "Services without a class"
	if r.Class != "" {
		served = "Services of class " + r.Class
	}
	notes = append(notes, fmt.Sprintf("%s is running (%s) and serves %s: two systems that announce one address fight over it, so stop it as you start Fairlead",
		r.System.Name(), strings.Join(r.Running, ", "), served))
	for _, o := range r.Objects {
		if spec, _ := o.Body["spec"].(map[string]any); o.Kind == "BGPPeer" && spec["passive"] == true {
			notes = append(notes, "BGPPeer "+o.Name+" waits on port 179 of the nodes, which no other BGP speaker of the node may have")
		}
	}
	return notes
}
