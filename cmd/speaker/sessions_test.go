package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/prometheus/client_golang/prometheus"
)

// Of a third of the cluster that is lost, each node is given new watchers among those that are left, and sessions with who
// is lost go on.
func TestTheLostAreReplacedAsWatchers(t *testing.T) {
	members, lost := map[string]netip.Addr{}, map[string]bool{}
	var all, left []string
	for i := range 60 {
		name := fmt.Sprint("n", i)
		members[name] = netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)})
		all = append(all, name)
		if lost[name] = i%3 == 0; !lost[name] {
			left = append(left, name)
		}
	}
	asked := map[string]int{}
	for _, node := range left {
		mesh, err := bfd.NewMesh(bfd.Config{Local: netip.AddrPortFrom(members[node], 7957), Key: []byte("k"), Timing: bfd.Fast, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		s := &sessions{Mesh: mesh, node: node}
		s.SetMembers(members, func(string) bool { return false })
		before := len(mesh.Sessions())
		for _, name := range s.SetMembers(members, func(name string) bool { return lost[name] }) {
			asked[name]++
			if slices.Contains(bfd.Watchers(name, all, watchersOfEach), node) || lost[name] {
				t.Errorf("%s is news to %s", name, node)
			}
		}
		if len(mesh.Sessions()) < before {
			t.Errorf("%s gave sessions up", node)
		}
	}
	for _, name := range left {
		gone := 0
		for _, w := range bfd.Watchers(name, all, watchersOfEach) {
			if lost[w] {
				gone++
			}
		}
		if asked[name] != gone {
			t.Errorf("%d took the place of %d watchers of %s", asked[name], gone, name)
		}
	}
}
