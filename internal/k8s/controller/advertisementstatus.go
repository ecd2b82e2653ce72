package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/labels"
)

// Reasons of an advertisement's condition Ready.
const (
	reasonUnknownPool      = "UnknownPool"
	reasonUnknownPeer      = "UnknownPeer"
	reasonUnknownCommunity = "UnknownCommunity"
	reasonAggregate        = "AggregateExceedsPool"
)

// unreadable begins what is said of an advertisement that cannot be read.
const unreadable = "cannot be read: speakers go on by its last form that could be, if there was one since they started: "

// surroundings are the objects that an advertisement may name.
type surroundings struct {
	pools   []*v1alpha1.IPAddressPool
	peers   map[string]bool
	aliases k8s.Aliases
}

// judgePools says of the pools that an advertisement names which do not exist. Nothing is wrong with one that
// names none, and is for all there are and will be.
func (v *verdict) judgePools(names []string, selectors int, selection k8s.PoolSelection, pools []*v1alpha1.IPAddressPool) {
	var missing []string
	for _, name := range names {
		if !slices.ContainsFunc(pools, func(p *v1alpha1.IPAddressPool) bool { return p.Name == name }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		v.complain(reasonUnknownPool, "there is no "+counted("IPAddressPool", missing))
	} else if selectors > 0 && len(names) == 0 && !slices.ContainsFunc(pools, func(p *v1alpha1.IPAddressPool) bool {
		return selection.Selects(p.Name, labels.Set(p.Labels))
	}) {
		v.complain(reasonUnknownPool, "spec.ipAddressPoolSelectors match no IPAddressPool")
	}
}

// judgeL2Advertisement says how an L2Advertisement stands.
func judgeL2Advertisement(a *v1alpha1.L2Advertisement, pools []*v1alpha1.IPAddressPool) (v verdict) {
	selection, err := k8s.SelectPools(a)
	if err == nil {
		_, err = k8s.CompileSelectors("serviceSelectors", a.Spec.ServiceSelectors)
	}
	if err == nil {
		_, err = k8s.CompileSelectors("nodeSelectors", a.Spec.NodeSelectors)
	}
	if err == nil {
		var preferred []v1alpha1.LabelSelector
		for _, p := range a.Spec.PreferredNodeSelectors {
			preferred = append(preferred, p.Preference)
		}
		_, err = k8s.CompileSelectors("preferredNodeSelectors", preferred)
	}
	if err != nil {
		v.complain(reasonInvalidSpec, unreadable+err.Error())
		return v
	}
	v.judgePools(a.Spec.IPAddressPools, len(a.Spec.IPAddressPoolSelectors), selection, pools)
	v.conclude()
	return v
}

// judgeBGPAdvertisement says how a BGPAdvertisement stands: what it names and is not there, and which aggregates it
// asks for that a pool has only a part of. The rest of it is in force all the same.
func judgeBGPAdvertisement(object *v1alpha1.BGPAdvertisement, s surroundings) (v verdict) {
	a, err := k8s.ReadBGPAdvertisement(object)
	if err != nil {
		v.complain(reasonInvalidSpec, unreadable+err.Error())
		return v
	}
	v.judgePools(object.Spec.IPAddressPools, len(object.Spec.IPAddressPoolSelectors), a.Pools, s.pools)
	var missing []string
	for _, name := range a.Peers {
		if !s.peers[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		v.complain(reasonUnknownPeer, "there is no "+counted("BGPPeer", missing))
	}
	if _, unknown := a.Attributes(s.aliases); len(unknown) > 0 {
		slices.Sort(unknown)
		v.complain(reasonUnknownCommunity, fmt.Sprintf("%s: neither a well-known community nor an alias of a Community; routes go without", quoted(unknown)))
	}
	for _, object := range slices.SortedFunc(slices.Values(s.pools), func(x, y *v1alpha1.IPAddressPool) int { return strings.Compare(x.Name, y.Name) }) {
		if !a.Pools.Selects(object.Name, labels.Set(object.Labels)) || a.Length[lb.IPv4] == 32 && a.Length[lb.IPv6] == 128 {
			continue
		}
		pool, _ := k8s.Pool(object)
		if prefix, ok := a.Misfit(k8s.PoolSpace(pool)); ok {
			v.complain(reasonAggregate, fmt.Sprintf("pool %s has only a part of %s: its addresses there are advertised each by itself", object.Name, prefix))
		}
	}
	v.conclude()
	return v
}

// judgeCommunity says which aliases of a Community do not count.
func judgeCommunity(problems []string) (v verdict) {
	if len(problems) > 0 {
		v.complain(reasonConflicting, "does not count: "+strings.Join(problems, "; "))
	}
	v.conclude()
	return v
}

// conclude ends a verdict on an object that is in force, except for what is wrong with it.
func (v *verdict) conclude() {
	if v.wrong == "" {
		v.ready, v.reason, v.message = true, reasonReady, inForce
	} else {
		v.message = "the rest is in force"
	}
}

// counted is a kind with the names of some objects of it.
func counted(kind string, names []string) string { return kind + " " + quoted(names) }

func quoted(names []string) string {
	var list []string
	for _, name := range names {
		list = append(list, fmt.Sprintf("%q", name))
	}
	return enumerate(list)
}
