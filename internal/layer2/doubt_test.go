package layer2

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A node whose watchers are lost with it is missed by nobody but gossip, seconds later: who comes after them asks.
func TestWhoWasWatchedByTheLostIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers bool
		lost    []string
	}{
		{"it answers, and nothing has happened", true, nil},
		{"it is gone too", false, []string{"b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, now := NewHealth(15*time.Second), time.Unix(0, 0)
			for _, name := range []string{"b", "c"} {
				h.Serves(name, 1)
				h.Askable(name, true)
			}
			h.Doubt("b", now)
			if !h.Serving("b") {
				t.Error("it does not count as heard while it is asked")
			}
			var lost, silent []string
			asked := 0
			for range 40 {
				now = now.Add(5 * time.Millisecond)
				h.Heard(now) // somebody else
				f := h.Decide(now, 0)
				if asked += len(f.Ask); tt.answers && len(f.Ask) > 0 {
					h.Answered("b", now.Add(time.Millisecond))
				}
				lost, silent = append(lost, f.Lost...), append(silent, f.Silent...)
			}
			if !slices.Equal(lost, tt.lost) || !slices.Equal(silent, tt.lost) || h.Serving("b") != tt.answers {
				t.Errorf("lost %v, told the others of %v, want %v; counts as heard: %v", lost, silent, tt.lost, h.Serving("b"))
			}
			if want := asks + moreAsks; asked > want || (!tt.answers && asked < want) {
				t.Errorf("asked %d times, want %d", asked, want)
			}
		})
	}
}

// Each packet has this node look; of thousands of nodes that are well none is to cost a look anything.
func TestALookAtHealthyNodesCostsNothing(t *testing.T) {
	h, e := NewHealth(15*time.Second), crowd(nodeName(0), 2_000, 10)
	for i := range 2_000 {
		h.Serves(nodeName(i), 1)
	}
	now := time.Unix(1, 0)
	if n := testing.AllocsPerRun(10, func() { h.Decide(now, 0) }); n > 2 { // 15 and 0.8 ms when all were sorted
		t.Errorf("a look at healthy nodes allocates %v times", n)
	}
	e.Decide(now)
	e.nodes = nil // who counts them again finds none
	if e.Decide(now); !e.majority() {
		t.Error("nodes are counted at each look")
	}
}

// heirs are sessions that are told who is lost, and give this node somebody to watch in its place.
type heirs struct {
	noSessions
	lost  string
	fresh []string
}

func (h *heirs) SetMembers(_ map[string]netip.Addr, lost func(string) bool) []string {
	if lost(h.lost) {
		return h.fresh
	}
	return nil
}

func TestWhoIsWatchedInPlaceOfALostOneIsDoubtedAtOnce(t *testing.T) {
	s := newEther(t, 1, 5, 12)
	e := s.hosts["n0"].engine
	e.sessions = &heirs{lost: "n1", fresh: []string{"n2"}}
	owned := len(ownedIn(s.owners(), "n2"))
	// Sessions with n2 say nothing: who had them is lost as well.
	s.cable["n2"] = 9
	s.cut("n1")
	s.run(450 * time.Millisecond)
	if owned == 0 || e.elector.takesPart("n2") {
		t.Errorf("n2, which owned %d addresses, takes part still", owned)
	}
}
