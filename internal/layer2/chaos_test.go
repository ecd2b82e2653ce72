package layer2

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever happens one after the other: no two hardware addresses answer for longer than a second, and in the end
// one does. One node at a time is without a cable, since clients of both sides cannot both be served.
func TestSegmentInDisorder(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newEther(t, seed, 2+int(seed%3), 6, func(s *ether) { s.beside = networks[seed%4] })
			var history []string
			note := func(format string, a ...any) {
				history = append(history, fmt.Sprintf("%v ", s.now.Sub(s.began))+fmt.Sprintf(format, a...))
			}
			cut, dead, frozen := "", map[string]bool{}, map[string]bool{}
			pause := func() {
				longest := []time.Duration{20, 100, 200, 400, 1000, 3000, 8000, 20000}
				s.run(time.Duration(s.rand.Int64N(int64(longest[s.rand.IntN(len(longest))] * time.Millisecond))))
			}
			for range 12 {
				name := s.names[s.rand.IntN(len(s.names))]
				switch s.rand.IntN(6) {
				case 0:
					if cut == "" {
						cut = name
						note("cut %s", name)
						s.cut(name)
					}
				case 1:
					if cut != "" {
						note("mend %s", cut)
						s.mend(cut)
						cut = ""
					}
				case 2:
					if !dead[name] && !frozen[name] {
						note("kill %s", name)
						s.kill(name)
						dead[name] = true
					}
				case 3:
					for _, n := range slices.Sorted(maps.Keys(dead)) {
						note("restart %s", n)
						s.restart(n)
						delete(dead, n)
					}
				case 4:
					if !dead[name] && !frozen[name] {
						note("freeze %s", name)
						s.freeze(name)
						frozen[name] = true
					}
				case 5:
					for _, n := range slices.Sorted(maps.Keys(frozen)) {
						note("wake %s", n)
						s.wake(n)
						delete(frozen, n)
					}
				}
				pause()
			}
			if cut != "" {
				note("mend %s", cut)
				s.mend(cut)
			}
			for _, n := range slices.Sorted(maps.Keys(dead)) {
				note("restart %s", n)
				s.restart(n)
			}
			for _, n := range slices.Sorted(maps.Keys(frozen)) {
				note("wake %s", n)
				s.wake(n)
			}
			s.run(30 * time.Second)
			_, doubled, _, _ := s.result()
			if doubled > time.Second {
				t.Errorf("two answered for %s", doubled)
			}
			for _, a := range s.vips {
				var all []string
				for _, name := range s.names {
					if as, ok := s.hosts[name].answers(a); ok {
						all = append(all, name+" as "+as)
					}
				}
				if len(all) != 1 {
					t.Errorf("%s: %v answer", a, all)
				}
			}
			if t.Failed() {
				t.Log(strings.Join(history, "\n"))
			}
		})
	}
}
