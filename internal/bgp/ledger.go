package bgp

import (
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// ledger is what GoBGP has been told to advertise to a peer.
type ledger struct {
	paths map[netip.Prefix]path
	// without are the prefixes that are not advertised since the node has no next hop for them.
	without map[netip.Prefix]struct{}
	hopless int
	// excess are the prefixes that were not advertised since they have too many communities, since it was last emptied.
	excess []netip.Prefix
}

// hopContext is what a path depends on besides its route.
type hopContext struct {
	peer     Peer
	local    netip.Addr
	families []lb.Family
	internal bool
}

func (l *ledger) size() int { return len(l.paths) }

// all brings the ledger in line with all the routes that a peer is to have. It returns what to do for that, sorted by
// prefix.
func (l *ledger) all(c hopContext, routes []Route) (advertise []path, withdraw []netip.Prefix) {
	wanted := make(map[netip.Prefix]struct{}, len(routes))
	for _, r := range routes {
		wanted[r.Prefix] = struct{}{}
		l.put(c, r, true, &advertise, &withdraw)
	}
	for _, m := range []map[netip.Prefix]struct{}{keys(l.paths), l.without} {
		for p := range m {
			if _, ok := wanted[p]; !ok {
				l.put(c, Route{Prefix: p}, false, &advertise, &withdraw)
			}
		}
	}
	slices.SortFunc(withdraw, netip.Prefix.Compare)
	return advertise, withdraw
}

// some does the same for some prefixes alone.
func (l *ledger) some(c hopContext, dirty map[netip.Prefix]struct{}, route func(netip.Prefix) (Route, bool)) (advertise []path, withdraw []netip.Prefix) {
	for p := range dirty {
		r, ok := route(p)
		r.Prefix = p
		l.put(c, r, ok, &advertise, &withdraw)
	}
	slices.SortFunc(advertise, func(a, b path) int { return a.Prefix.Compare(b.Prefix) })
	slices.SortFunc(withdraw, netip.Prefix.Compare)
	return advertise, withdraw
}

// put enters what a prefix is to be advertised with, or that it is not to be.
func (l *ledger) put(c hopContext, r Route, wanted bool, advertise *[]path, withdraw *[]netip.Prefix) {
	if l.paths == nil {
		l.paths, l.without = map[netip.Prefix]path{}, map[netip.Prefix]struct{}{}
	}
	delete(l.without, r.Prefix)
	if wanted = wanted && slices.Contains(c.families, lb.FamilyOf(r.Prefix.Addr())); wanted {
		hop, ok := NextHop(r.Prefix, c.local, c.peer)
		if !ok {
			wanted, l.without[r.Prefix] = false, struct{}{}
		} else if p := (path{r, hop, c.internal}); !p.fits() {
			wanted, l.excess = false, append(l.excess, r.Prefix)
		} else if !l.paths[r.Prefix].equal(p) {
			l.paths[r.Prefix] = p
			*advertise = append(*advertise, p)
		}
	}
	if _, is := l.paths[r.Prefix]; is && !wanted {
		delete(l.paths, r.Prefix)
		*withdraw = append(*withdraw, r.Prefix)
	}
	l.hopless = len(l.without)
}

func keys[V any](m map[netip.Prefix]V) map[netip.Prefix]struct{} {
	set := make(map[netip.Prefix]struct{}, len(m))
	for k := range m {
		set[k] = struct{}{}
	}
	return set
}
