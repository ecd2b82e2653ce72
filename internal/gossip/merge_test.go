package gossip

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	gocmp "github.com/google/go-cmp/cmp"
)

// What the table promises: who heard the same knows the same, in whatever order and how often it came. And what has been passed on says all of it: who hears only that, and not what led to it,
// knows as much.
func TestMergingKnowsNoOrder(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		var said []content
		for range 1 + random.IntN(4) {
			said = append(said, someContent(random))
		}
		want, _ := hear(said)
		for range 4 {
			other := slices.Clone(said)
			random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			for range random.IntN(3) {
				other = append(other, said[random.IntN(len(said))])
			}
			got, passed := hear(other)
			if diff := gocmp.Diff(want, got, contents); diff != "" {
				t.Fatalf("seed %d: after %+v, not after %+v (-first +second):\n%s", seed, said, other, diff)
			}
			if relayed, _ := hear(passed); gocmp.Diff(want, relayed, contents) != "" {
				t.Fatalf("seed %d: of %+v was passed on %+v, which says less", seed, other, passed)
			}
		}
	}
}

// Of any two claims to an address that differ one beats the other, and of three there is a first.
func TestBeatsIsAnOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		a, b, c := someClaim(random), someClaim(random), someClaim(random)
		b.Address, c.Address = a.Address, a.Address
		if a.Beats(b) == b.Beats(a) && a != b || a.Beats(a) {
			t.Fatalf("%+v and %+v: %v, %v", a, b, a.Beats(b), b.Beats(a))
		}
		if a.Beats(b) && b.Beats(c) && !a.Beats(c) {
			t.Fatalf("%+v beats %+v, which beats %+v, which the first does not", a, b, c)
		}
	}
}

var contents = gocmp.Options{gocmp.AllowUnexported(content{}), gocmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// hear has a speaker that sees all nodes hear something, and returns what it knows then, in order, and what it passed
// on.
func hear(said []content) (knows content, passed []content) {
	tab := newTable("n0", 1)
	for i := range nodesOfContents {
		tab.join(nodeOfContent(i))
	}
	for _, c := range said {
		fresh, _ := tab.merge(c)
		passed = append(passed, fresh)
	}
	knows = tab.all()
	slices.SortFunc(knows.states, func(a, b lb.NodeState) int { return cmp.Compare(a.Node, b.Node) })
	slices.SortFunc(knows.claims, func(a, b lb.Claim) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(knows.suspicions, func(a, b lb.Suspicion) int { return cmp.Compare(a.Node, b.Node) })
	return knows, passed
}

const nodesOfContents = 3

func nodeOfContent(i int) string { return fmt.Sprint("n", i+1) }

// someContent says something of few nodes and few addresses, so that much of it contradicts.
func someContent(random *rand.Rand) (c content) {
	node := func() string { return nodeOfContent(random.IntN(nodesOfContents)) }
	for range random.IntN(4) {
		version := uint64(random.IntN(4))
		name := node()
		// A node's states of one version are alike.
		c.states = append(c.states, lb.NodeState{Node: name, Version: version, Starting: version%2 == 0, Interfaces: []lb.Interface{{Name: fmt.Sprint(name, version)}}})
	}
	for range random.IntN(4) {
		c.claims = append(c.claims, someClaim(random))
	}
	for range random.IntN(4) {
		c.suspicions = append(c.suspicions, lb.Suspicion{
			Node: node(), Version: uint64(random.IntN(4)), Silent: random.IntN(2) == 0, Unheard: time.Duration(random.IntN(2)) * time.Second,
		})
	}
	return c
}

func someClaim(random *rand.Rand) lb.Claim {
	c := lb.Claim{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(2))}), Epoch: uint64(1 + random.IntN(3))}
	if random.IntN(3) == 0 { // let go of
		c.Of = lb.Key{Namespace: "default", Name: string(rune('a' + random.IntN(3)))}
		return c
	}
	c.Node, c.Standing, c.Asking = nodeOfContent(random.IntN(nodesOfContents)), lb.Standing(random.IntN(3)), random.IntN(3) == 0
	return c
}
