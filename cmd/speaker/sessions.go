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
	node    string
	timing  bfd.Timing
	watched map[string]bool
}

// SetMembers has a session with each node that this one watches, and with those that watch it. Sessions with who is lost
// go on, to notice at once that it is back; who was watched by it is watched by the next in line as well. It returns those
// that this node did not watch before.
func (s *sessions) SetMembers(members map[string]netip.Addr, lost func(string) bool) (fresh []string) {
	peers := map[string]netip.Addr{}
	all := append(slices.Collect(maps.Keys(members)), s.node)
	left := slices.DeleteFunc(slices.Clone(all), lost)
	watched := map[string]bool{}
	for _, names := range [][]string{all, left} {
		for _, name := range bfd.Watched(s.node, names, watchersOfEach) {
			watched[name] = true
			peers[name] = members[name]
		}
		for _, name := range bfd.Watchers(s.node, names, watchersOfEach) {
			peers[name] = members[name]
		}
	}
	s.SetPeers(peers)
	for name := range watched {
		if !s.watched[name] && !lost(name) {
			fresh = append(fresh, name)
		}
	}
	s.watched = watched
	return fresh
}

// Status returns the timing in words, and the sessions by node.
func (s *sessions) Status() (detection string, list []layer2.SessionStatus) {
	for _, x := range s.Sessions() {
		list = append(list, layer2.SessionStatus{Node: x.Peer, Up: x.State == bfd.Up, Since: x.Since})
	}
	slices.SortFunc(list, func(a, b layer2.SessionStatus) int { return strings.Compare(a.Node, b.Node) })
	return fmt.Sprintf("%s: %d ms x %d", s.timing, s.timing.Interval.Milliseconds(), s.timing.Multiplier), list
}
