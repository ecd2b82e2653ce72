package layer2

import (
	"fmt"
	"testing"
	"time"
)

// Each node is drained, powered off and on again, as for maintenance, after each cable was cut for a while: only a drain moves
// anything, and nobody is without service.
func TestSegmentUnderMaintenance(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newEther(t, seed, 3, 24, func(s *ether) { s.beside = networks[seed%4] })
			for _, name := range s.names {
				s.cut(name)
				s.run(5*time.Second + time.Duration(s.rand.IntN(500))*time.Millisecond)
				s.mend(name)
				s.run(6*time.Second + time.Duration(s.rand.IntN(500))*time.Millisecond)
			}
			drain := func(of, at, reason string) {
				s.at(s.soon(), func() {
					h := s.hosts[at]
					h.engine.Update(func(e *Elector) { e.bar(of, reason, reason != "") })
					s.kick(h)
				})
			}
			for _, name := range s.names {
				had := len(ownedIn(s.owners(), name))
				step := func(what string, want int, do func()) {
					t.Helper()
					s.watch()
					do()
					s.run(4*time.Second + time.Duration(s.rand.IntN(4000))*time.Millisecond)
					longest, doubled, moves, movesOf := s.result()
					if longest > 2*time.Millisecond || doubled > 120*time.Millisecond || moves != want {
						t.Errorf("%s %s: without service for %s, two answered for %s, %d moves, want %d: %s", name, what, longest, doubled, moves, want, s.describe(movesOf))
					}
				}
				step("is drained", had, func() {
					for _, at := range s.names {
						drain(name, at, "maintenance")
					}
				})
				step("is powered off", 0, func() { s.cut(name); s.kill(name) })
				step("is powered on", 0, func() {
					s.mend(name)
					s.restart(name)
					s.hosts[name].engine.Update(func(e *Elector) { e.Drain(name, "maintenance") })
				})
				step("is admitted", 0, func() {
					for _, at := range s.names {
						drain(name, at, "")
					}
				})
			}
		})
	}
}
