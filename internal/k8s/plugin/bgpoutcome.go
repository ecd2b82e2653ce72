package plugin

import (
	"fmt"
	"net/netip"
	"slices"
)

// covered are the addresses that a BGPAdvertisement is for.
func (v *advertising) covered(addresses []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return len(v.covering(a)) == 0 })
}

// outcome says in sentences what BGP does with addresses, given the rows of those that are covered. It says nothing
// where nothing is for BGP.
func (v *advertising) outcome(addresses []netip.Addr, rows []RouteRow) (sentences []string) {
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	switch lacking := v.unknown(); {
	case len(addresses) == 0:
		return nil
	case lacking != "" && (len(v.adverts) > 0 || v.lacks("BGPAdvertisements")):
		say("What BGP does with %s is unknown, without the %s.", enumerate(texts(addresses)), lacking)
		return sentences
	case len(v.adverts) == 0:
		return nil
	}
	var uncovered []string
	for _, a := range addresses {
		var prefixes, peers, nodes []string
		for _, r := range rows {
			if r.Advertised && r.prefix.Contains(a) {
				prefixes, peers = append(prefixes, r.Prefix), append(peers, r.Peer)
				for _, n := range r.Nodes {
					nodes = append(nodes, n.Name)
				}
			}
		}
		switch prefixes = unique(prefixes); {
		case len(v.covering(a)) == 0:
			uncovered = append(uncovered, a.String())
		case len(prefixes) == 0:
			say("BGP advertises %s to nobody: the table says why.", a)
		default:
			say("BGP advertises %s in %s to %s from %s.", a, enumerate(prefixes), enumerate(unique(peers)), few("node", unique(nodes)))
		}
	}
	if len(uncovered) > 0 {
		say("No BGPAdvertisement covers %s.", enumerate(uncovered))
	}
	return sentences
}

// unique sorts a list, each element once.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// few is "a and b", and with many of them "12 nodes".
func few(noun string, names []string) string {
	if len(names) > 5 {
		return count(len(names), noun)
	}
	return enumerate(names)
}
