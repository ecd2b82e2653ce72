package layer2

import (
	"fmt"
	"testing"
	"time"
)

// A node with Pods has a bridge, which has a carrier and hosts that answer whatever becomes of the node's cable.
func TestSegmentOfNodesWithPods(t *testing.T) {
	const second = time.Second
	// as a virtual machine that moves to another host
	still := func(s *ether) { s.freeze("n1"); s.cut("n1") }
	goesOn := func(s *ether) { s.mend("n1"); s.wake("n1") }
	tests := []struct {
		name  string
		nodes int
		do    func(s *ether)
	}{
		{"a cable is cut and mended", 3, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }},
		{"a cable is cut for a moment", 3, func(s *ether) { s.cut("n1"); s.run(second / 2); s.mend("n1"); s.run(20 * second) }},
		{"one of two is cut and mended", 2, func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }},
		{"one of two is cut for a moment", 2, func(s *ether) { s.cut("n1"); s.run(second / 2); s.mend("n1"); s.run(20 * second) }},
		{"a whole machine stands still for a second", 3, func(s *ether) { still(s); s.run(second); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for a moment", 2, func(s *ether) { still(s); s.run(400 * time.Millisecond); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for a second", 2, func(s *ether) { still(s); s.run(second); goesOn(s); s.run(20 * second) }},
		{"one of two machines stands still for long", 2, func(s *ether) { still(s); s.run(20 * second); goesOn(s); s.run(20 * second) }},
		{"a node loses its carrier and has it again", 3, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}},
		{"one of two loses its carrier and has it again", 2, func(s *ether) {
			s.unplug("n1", true)
			s.run(20 * second)
			s.unplug("n1", false)
			s.run(20 * second)
		}},
	}
	for _, tt := range tests {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(tt.name, "/seed ", seed), func(t *testing.T) {
				s := newEther(t, seed, tt.nodes, 12, func(s *ether) { s.bridged = true })
				before := s.owners()
				tt.do(s)
				want := 0
				for _, o := range before {
					if o == "n1" {
						want++
					}
				}
				longest, doubled, moves, movesOf := s.result()
				if moves != want {
					t.Errorf("%d moves, want %d: %s", moves, want, s.describe(movesOf))
				}
				if longest > 250*time.Millisecond || doubled > 150*time.Millisecond {
					t.Errorf("without service for %s, two answered for %s", longest, doubled)
				}
				s.owners()
			})
		}
	}
}
