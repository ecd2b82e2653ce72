package picture

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// conflictsOf are those that a node's speaker tells of, by their keys.
func conflictsOf(node string, l2 *v1alpha1.Layer2Status) map[string]*page.Conflict {
	conflicts := map[string]*page.Conflict{}
	for _, c := range l2.Conflicts {
		conflicts[c.Address+"@"+node] = &page.Conflict{
			Address: c.Address, Node: node, Interface: c.Interface, HardwareAddress: c.HardwareAddress, Service: c.Service,
			Since: millis(c.Since.Time), Detected: c.Detected,
		}
	}
	return conflicts
}

// takeovers are the newest of all speakers', by their keys. Reports are what each speaker tells, by its node.
func takeovers(reports map[string][]v1alpha1.Takeover) map[string]*page.Takeover {
	type told struct {
		node string
		*v1alpha1.Takeover
	}
	var all []told
	for node, list := range reports {
		for i := range list {
			all = append(all, told{node, &list[i]})
		}
	}
	slices.SortFunc(all, func(x, y told) int {
		return cmp.Or(y.Time.Compare(x.Time.Time), cmp.Compare(x.node, y.node), cmp.Compare(x.From, y.From), cmp.Compare(x.Cause, y.Cause))
	})
	newest := map[string]*page.Takeover{}
	for _, t := range all[:min(len(all), page.MostTakeovers)] {
		newest[fmt.Sprintf("%d/%s/%s/%s", t.Time.UnixMicro(), t.node, t.From, t.Cause)] = &page.Takeover{
			Time: millis(t.Time.Time), Node: t.node, From: t.From, Cause: string(t.Cause), Reason: t.Reason,
			Count: int(t.Count), Addresses: t.Addresses, Duration: int(t.Duration),
		}
	}
	return newest
}
