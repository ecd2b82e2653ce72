package bfd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func nodeNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("node-%d.example", i)
	}
	return list
}

func TestWatchers(t *testing.T) {
	nodes := nodeNames(50)
	for _, node := range nodes {
		want := Watchers(node, nodes, 2)
		if len(want) != 2 || want[0] == want[1] || slices.Contains(want, node) {
			t.Fatalf("%s is watched by %v", node, want)
		}
		shuffled := slices.Clone(nodes)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := Watchers(node, append(shuffled, shuffled[0]), 2); !slices.Equal(got, want) {
			t.Errorf("%s is watched by %v, in another order by %v", node, want, got)
		}
		without := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == want[0] })
		if got := Watchers(node, without, 2); got[0] != want[1] {
			t.Errorf("%s is watched by %v without %s", node, got, want[0])
		}
		for _, w := range want {
			if !slices.Contains(Watched(w, nodes, 2), node) {
				t.Errorf("%s does not watch %s", w, node)
			}
		}
	}
	for _, n := range []int{-1, 0} {
		if w := Watchers("a", nodes, n); len(w) > 0 {
			t.Errorf("%d watchers are %v", n, w)
		}
	}
	if w := Watchers("a", []string{"a", "b"}, 2); !slices.Equal(w, []string{"b"}) {
		t.Errorf("of two nodes, a is watched by %v", w)
	}
}

func TestWatchersSpread(t *testing.T) {
	nodes := nodeNames(500)
	watches := map[string]int{}
	for _, node := range nodes {
		for _, w := range Watchers(node, nodes, 2) {
			watches[w]++
		}
	}
	most := 0
	for _, n := range watches {
		most = max(most, n)
	}
	t.Logf("of 500 nodes one watches %d at most", most)
	if most > 10 {
		t.Errorf("one watches %d", most)
	}
	// A node that goes changes the watchers of those that it watched.
	gone, rest := nodes[7], slices.Delete(slices.Clone(nodes), 7, 8)
	watched := Watched(gone, nodes, 2)
	for _, node := range rest {
		same := slices.Equal(Watchers(node, nodes, 2), Watchers(node, rest, 2))
		if same == slices.Contains(watched, node) {
			t.Errorf("watchers of %s: same %v", node, same)
		}
	}
}

// A node's sessions are chosen anew at each change of the members, and a third of them may change in a second.
func TestWatchedOfManyIsCheap(t *testing.T) {
	nodes := nodeNames(2_000)
	least := time.Hour
	for range 10 {
		began := time.Now()
		Watched(nodes[0], nodes, 2)
		least = min(least, time.Since(began))
	}
	if least > 20*time.Millisecond { // 119 ms when each node's watchers were all found; 1 ms now
		t.Errorf("it takes %v to find what one of %d nodes watches", least, len(nodes))
	}
}

func TestWatchedAreThoseWhomOneIsAWatcherOf(t *testing.T) {
	nodes := nodeNames(60)
	for _, n := range []int{0, 1, 2, 3, 59, 60} {
		for _, node := range append(nodes, "a stranger") {
			var want []string
			for _, other := range nodes {
				if other != node && slices.Contains(Watchers(other, nodes, n), node) {
					want = append(want, other)
				}
			}
			slices.Sort(want)
			if got := Watched(node, append(nodes, nodes[3]), n); !slices.Equal(got, want) {
				t.Errorf("%s watches %v, and with %d watchers each is one of %v", node, got, n, want)
			}
		}
	}
}
