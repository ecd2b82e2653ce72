package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/labels"
)

// l2Advertisements are what each L2Advertisement lets a node own.
func (x *nodeView) l2Advertisements(name string) (list []NodeAdvertisement) {
	var links []string
	interfaces := linksOf(cmp.Or(x.speakers[name], &v1alpha1.Speaker{}))
	for _, i := range interfaces {
		links = append(links, i.Name)
	}
	barred := cmp.Or(x.view.Barred[name], x.absent(name))
	for _, object := range x.s.Advertisements {
		row := NodeAdvertisement{Kind: "L2Advertisement", Name: object.Name}
		scope, known := x.view.Scopes[object.Name]
		row.Selects = scope.Nodes[name]
		far, local := 0, 0
		var example netip.Addr
		for a, vip := range x.view.VIPs {
			if !slices.Contains(vip.Scopes, object.Name) {
				continue
			}
			row.All++
			switch {
			case !scope.Reaches(a, interfaces):
				far++
				if !example.IsValid() || a.Less(example) {
					example = a
				}
			case vip.Endpoints != nil && !vip.Endpoints[name]:
				local++
			default:
				row.May++
			}
		}
		var why []string
		switch {
		case !known:
			row.Selects, why = false, []string{"it cannot be read: see its conditions"}
		case !row.Selects:
			row.May, why = 0, []string{"its nodeSelectors do not match the node"}
		case barred != "":
			row.May, why = 0, []string{barred}
		default:
			if far > 0 && len(scope.Interfaces) > 0 {
				why = append(why, fmt.Sprintf("none of the node's interfaces (%s) matches %s", enumerate(links), enumerate(scope.Interfaces)))
			} else if far > 0 {
				why = append(why, fmt.Sprintf("no interface of the node is in the subnet of %s", few("address", exampleOf(example, far))))
			}
			if local > 0 {
				why = append(why, fmt.Sprintf("for %s no endpoint of the Service is ready on the node (externalTrafficPolicy: Local)", counting(local, "address", "addresses")))
			}
		}
		row.Why = strings.Join(why, "; ")
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b NodeAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// exampleOf is one of some addresses, and how many more there are.
func exampleOf(a netip.Addr, n int) []string {
	if n == 1 {
		return []string{a.String()}
	}
	return []string{a.String(), fmt.Sprintf("%d more", n-1)}
}

// bgpAdvertisements are whether each BGPAdvertisement is for a node.
func (x *nodeView) bgpAdvertisements(name string) (list []NodeAdvertisement) {
	object := x.nodes[name]
	if object == nil {
		return nil
	}
	for _, a := range x.advertising.adverts {
		row := NodeAdvertisement{Kind: "BGPAdvertisement", Name: a.Name, Selects: a.Allows(labels.Set(object.Labels))}
		if !row.Selects {
			row.Why = "its nodeSelectors do not match the node"
		} else if barred := x.view.Barred[name]; barred != "" {
			row.Why = "the node advertises nothing: " + barred
		}
		list = append(list, row)
	}
	return list
}

// onlyHere are the prefixes that a peer has from this node alone: without it they are withdrawn there. As a rule the
// first other node advertises them all, and no more need be looked at.
func (x *nodeView) onlyHere(name string) (list []string) {
	if x.advertising.unknown() != "" || !x.advertising.tells(name) {
		return nil
	}
	alone := x.advertises(name)
	for _, other := range slices.Sorted(maps.Keys(x.nodes)) {
		if len(alone) == 0 {
			break
		}
		if other != name && x.advertising.tells(other) {
			for route := range x.advertises(other) {
				delete(alone, route)
			}
		}
	}
	return slices.Sorted(maps.Keys(alone))
}

// advertises are the prefixes that peers have from a node.
func (x *nodeView) advertises(name string) map[string]bool {
	routes := map[string]bool{}
	for _, r := range x.advertising.routes(Selection{Node: name}) {
		if r.Advertised {
			routes[r.Prefix+" to "+r.Peer] = true
		}
	}
	return routes
}
