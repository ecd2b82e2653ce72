package layer2

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestSegment(t *testing.T) {
	const (
		second      = time.Second
		movesOfLost = -1 // as many as n1 had addresses
		anyMoves    = -2
	)
	ownedBy := func(owners map[netip.Addr]string, name string) (n int) {
		for _, o := range owners {
			if o == name {
				n++
			}
		}
		return n
	}
	// What happens among several nodes, and of two, alike.
	cutAndMended := func(s *ether) { s.cut("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }
	carrierLost := func(s *ether) {
		s.unplug("n1", true)
		s.run(20 * second)
		s.unplug("n1", false)
		s.run(20 * second)
	}
	flaps := func(s *ether) {
		for range 10 {
			s.cut("n1")
			s.run(15 * second)
			s.mend("n1")
			s.run(15 * second)
		}
	}
	// Each case: what happens, how long the client may be without service, how often an address may move in
	// all, and for how long two may answer.
	tests := []struct {
		name    string
		nodes   int
		do      func(s *ether)
		longest time.Duration
		moves   int
		doubled time.Duration
	}{
		{"nothing happens", 3, func(s *ether) { s.run(60 * second) }, 2 * time.Millisecond, 0, 0},
		{"a cable is cut", 3, func(s *ether) { s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a cable is cut and mended", 3, cutAndMended, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable is cut for a moment", 3, func(s *ether) { s.cut("n1"); s.run(500 * time.Millisecond); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable is cut for too short a time to matter", 3, func(s *ether) { s.cut("n1"); s.run(80 * time.Millisecond); s.mend("n1"); s.run(20 * second) }, 100 * time.Millisecond, 0, 0},
		{"a node loses its carrier", 3, func(s *ether) { s.unplug("n1", true); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a node loses its carrier and has it again", 3, carrierLost, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two loses its carrier and has it again", 2, carrierLost, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node loses its carrier for a moment", 3, func(s *ether) {
			s.unplug("n1", true)
			s.run(60 * time.Millisecond)
			s.unplug("n1", false)
			s.run(20 * second)
		}, 250 * time.Millisecond, 0, 0},
		{"one of ten is cut", 10, func(s *ether) { s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"one of two is cut and mended", 2, cutAndMended, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a cable flaps ten times", 3, flaps, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one cable after another is cut for a moment", 3, func(s *ether) {
			for i := range 9 {
				s.cut(s.names[i%3])
				s.run(800 * time.Millisecond)
				s.mend(s.names[i%3])
				s.run(1200 * time.Millisecond)
			}
		}, 330 * time.Millisecond, anyMoves, 250 * time.Millisecond},
		{"the cable of one of two flaps ten times", 2, flaps, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"the cable of one of two flaps quickly, at either end", 2, func(s *ether) {
			for i := range 10 {
				if i%2 == 0 {
					s.cut("n1")
				} else {
					s.unplug("n1", true)
				}
				s.run(1500 * time.Millisecond)
				if i%2 == 0 {
					s.mend("n1")
				} else {
					s.unplug("n1", false)
				}
				s.run(2500 * time.Millisecond)
			}
		}, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a speaker is killed and comes back", 3, func(s *ether) { s.kill("n1"); s.run(3 * second); s.restart("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker is killed and comes back at once", 3, func(s *ether) { s.kill("n1"); s.run(100 * time.Millisecond); s.restart("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker says good-bye and comes back", 3, func(s *ether) {
			for _, name := range s.names {
				if name != "n1" {
					delete(s.hosts[name].table.alive, "n1")
					s.hosts[name].table.news.Left = append(s.hosts[name].table.news.Left, "n1")
					s.kick(s.hosts[name])
				}
			}
			s.hosts["n1"].engine = nil
			s.run(5 * second)
			s.restart("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"all speakers are restarted one after another", 3, func(s *ether) {
			for _, name := range s.names {
				s.kill(name)
				s.run(2 * second)
				s.restart(name)
				s.run(3 * second)
			}
		}, 2 * time.Millisecond, 0, 0},
		{"a speaker starts while another is away", 3, func(s *ether) {
			s.kill("n0")
			s.run(500 * time.Millisecond)
			s.kill("n1")
			s.run(2 * second)
			s.restart("n0")
			s.run(6 * second)
			s.restart("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"a speaker is killed and does not come back", 3, func(s *ether) { s.kill("n1"); s.run(30 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a node dies while its speaker is away", 3, func(s *ether) { s.kill("n1"); s.run(3 * second); s.cut("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 0},
		{"a speaker is frozen and wakes", 3, func(s *ether) { s.freeze("n1"); s.run(5 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, 0, 0},
		{"a speaker is frozen for a moment", 3, func(s *ether) {
			s.freeze("n1")
			s.run(500 * time.Millisecond)
			s.wake("n1")
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"a zombie wakes", 3, func(s *ether) { s.freeze("n1"); s.run(30 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a zombie wakes of two", 2, func(s *ether) { s.freeze("n1"); s.run(30 * second); s.wake("n1"); s.run(20 * second) }, 2 * time.Millisecond, movesOfLost, 0},
		{"a node is heard by nobody, and heard again", 3, func(s *ether) { s.muffle("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node is heard by nobody for some seconds", 3, func(s *ether) { s.muffle("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node hears nobody, and hears again", 3, func(s *ether) { s.deafen("n1"); s.run(20 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"a node hears nobody for some seconds", 3, func(s *ether) { s.deafen("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two is not heard", 2, func(s *ether) { s.muffle("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 250 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"one of two hears nobody", 2, func(s *ether) { s.deafen("n1"); s.run(8 * second); s.mend("n1"); s.run(20 * second) }, 300 * time.Millisecond, movesOfLost, 120 * time.Millisecond},
		{"gossip is cut, the segment is not", 4, func(s *ether) {
			s.change(func() { s.gossip["n1"], s.gossip["n2"] = 1, 1 })
			s.run(60 * second)
			s.change(func() { clear(s.gossip) })
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
		{"gossip of one of two is cut", 2, func(s *ether) {
			s.change(func() { s.gossip["n1"] = 1 })
			s.run(60 * second)
			s.change(func() { clear(s.gossip) })
			s.run(20 * second)
		}, 2 * time.Millisecond, 0, 0},
	}
	for _, tt := range tests {
		for seed := range uint64(8) {
			t.Run(fmt.Sprint(tt.name, "/seed ", seed), func(t *testing.T) {
				s := newEther(t, seed, tt.nodes, 12)
				before := s.owners()
				tt.do(s)
				longest, doubled, moves, movesOf := s.result()
				want := tt.moves
				if want == movesOfLost {
					want = ownedBy(before, "n1")
				}
				if want != anyMoves && moves != want {
					t.Errorf("%d moves, want %d: %s", moves, want, s.describe(movesOf))
				}
				if longest > tt.longest {
					t.Errorf("without service for %s, want at most %s", longest, tt.longest)
				}
				if doubled > tt.doubled {
					t.Errorf("two answered for %s, want at most %s", doubled, tt.doubled)
				}
				s.owners()
			})
		}
	}
}
