package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/fairlead-lb/fairlead/internal/layer2"
)

// watchersOfEach is how many others watch each node: one may be lost with it.
const watchersOfEach = 2

// sessions are the failure detection that the engine needs, on a BFD mesh.
type sessions struct {
	*bfd.Mesh
	node   string
	timing bfd.Timing
}

// SetMembers has a session with each node that this one watches, and with those that watch it.
func (s sessions) SetMembers(members map[string]netip.Addr) {
	names := append(slices.Collect(maps.Keys(members)), s.node)
	peers := map[string]netip.Addr{}
	for _, name := range append(bfd.Watchers(s.node, names, watchersOfEach), bfd.Watched(s.node, names, watchersOfEach)...) {
		peers[name] = members[name]
	}
	s.SetPeers(peers)
}

// Status returns the timing in words, and the sessions by node.
func (s sessions) Status() (detection string, list []layer2.SessionStatus) {
	for _, x := range s.Sessions() {
		list = append(list, layer2.SessionStatus{Node: x.Peer, Up: x.State == bfd.Up, Since: x.Since})
	}
	slices.SortFunc(list, func(a, b layer2.SessionStatus) int { return strings.Compare(a.Node, b.Node) })
	return fmt.Sprintf("%s: %d ms x %d", s.timing, s.timing.Interval.Milliseconds(), s.timing.Multiplier), list
}
