package layer2

import (
	"fmt"
	"testing"
	"time"
)

// A cable may be without contact for any time: what was taken over stays, what was not does too. Where it has
// contact again in the very moment of the takeover, an owner that did not miss anybody insists on what is its own.
func TestSegmentCutForAnyTime(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		for _, ms := range []time.Duration{10, 60, 120, 150, 170, 190, 200, 210, 220, 240, 280, 350, 500, 900, 1200, 1500, 2000, 2600, 4000, 7000, 14000, 60000} {
			for seed := range uint64(3) {
				t.Run(fmt.Sprintf("%d nodes, %d ms, seed %d", nodes, ms, seed), func(t *testing.T) {
					s := newEther(t, seed, nodes, 6, func(s *ether) { s.beside = networks[1+seed] })
					most := 0
					for _, o := range s.owners() {
						if o == "n1" {
							most++
						}
					}
					s.cut("n1")
					s.run(ms * time.Millisecond)
					s.mend("n1")
					s.run(20 * time.Second)
					longest, doubled, moves, movesOf := s.result()
					if moves > most && !(ms >= 120 && ms <= 240 && moves <= 2*most) {
						t.Errorf("%d moves of %d addresses: %s", moves, most, s.describe(movesOf))
					}
					if longest > 300*time.Millisecond || doubled > 150*time.Millisecond {
						t.Errorf("without service for %s, two answered for %s", longest, doubled)
					}
					s.owners()
				})
			}
		}
	}
}
