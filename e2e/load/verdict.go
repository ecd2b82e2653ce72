package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// event is what happened to a node.
type event struct {
	name string
	node uint8 // 0 at rest

	down   bool // the node is lost: those who come through it notice
	leaves bool // its users are led elsewhere: new connections do not notice
	back   bool // it is there again
}

// taken is an event, and the stretch of time until the next one.
type taken struct {
	event
	stretch
}

// way is how users come to the Services.
type way struct {
	name string
	// spreads: routers divide connections among the nodes that there are, and move some of them when there are others.
	spreads bool
	// direct: there is no load balancer, each user asks one node.
	direct bool
}

// What is allowed.
const (
	// takeover is for how long after a node is lost new connections may be late or fail. Fairlead's nodes take over within 0.4 s,
	// BFD of 3 x 100 ms has a router forget a node in the same time; the rest is for a machine that does all of it at once.
	takeover = time.Second
	// recovery is how long after any event 99 of 100 requests have to be as fast as at rest again.
	recovery = time.Second
	// asFast is by how much they may be slower. TCP waits 200 ms at least before it repeats a packet: what is faster than that
	// has lost none.
	asFast = 100 * time.Millisecond
)

// faults are what users noticed that they should not have, in sentences.
func (w way) faults(n notes, events []taken) (list []string) {
	var normal time.Duration
	for _, e := range events {
		if e.node == 0 {
			normal = n.net99(e.stretch)
		}
	}
	for _, e := range events {
		f := n.figures(e.stretch)
		fault := func(format string, args ...any) {
			text := fmt.Sprintf("%s, node %d: ", e.name, e.node) + fmt.Sprintf(format, args...)
			if f.Behind > asFast {
				text += fmt.Sprintf("; the crowd itself was late by %s, so this machine had too much to do", f.Behind.Round(time.Millisecond))
			}
			list = append(list, text)
		}
		if w.direct {
			if e.down && (f.Broken[e.node] == 0 || f.Failed() == 0) {
				fault("%d of %d connections through the node broke, and %d new ones failed: the comparison shows nothing", f.Broken[e.node], f.Held[e.node], f.Failed())
			}
			if e.node == 0 && f.Failed()+sum(f.Broken) > 0 {
				fault("%d new connections failed, %d established broke", f.Failed(), sum(f.Broken))
			}
			continue
		}
		through, others := f.Broken[e.node], sum(f.Broken)-f.Broken[e.node]
		moves := e.down || e.leaves || e.back && w.spreads
		switch {
		case e.node == 0:
			through, others = 0, sum(f.Broken)
		case e.down && (f.Held[e.node] == 0 || through == 0):
			fault("%d of %d connections through the node broke: it was not lost, or nobody used it", through, f.Held[e.node])
		}
		if others > 0 && !(moves && w.spreads) {
			fault("%d connections broke that did not go through the node (%s; %s)", others, counts(f.Broken), inWords(f.Breaks))
		}
		if through > 0 && !moves {
			fault("%d connections through the node broke (%s)", through, inWords(f.Breaks))
		}
		// New connections that are under way in the moment in which packets to their address begin to go another way are
		// established ones by then: they are reset. Behind a router, to which a node may not be known yet, one of an address
		// may wait or get no answer instead.
		late, failed := f.Late, f.Failed()
		moments, waiting := n.underWay(e.stretch)
		switch {
		case e.down && f.Hurt > takeover:
			fault("new connections were late or failed for %s, %d and %d of them, want %s at most", f.Hurt.Round(time.Millisecond), late, failed, takeover)
		case e.down:
		case late+failed > 0 && !moves, waiting > 0 && !w.spreads, waiting > 1, moments > 1:
			fault("%d new connections were late and %d failed (%s), the last %s after the event", late, failed, inWords(f.Ends), f.Hurt.Round(time.Millisecond))
		}
		if after := n.net99(stretch{from: min(e.at+recovery, e.to), to: e.to}); after > normal+asFast {
			fault("of the requests from %s later on one in 100 took %s, at rest %s", recovery, after.Round(time.Millisecond), normal.Round(time.Millisecond))
		}
	}
	return list
}

// underWay is of the new connections in a stretch that came to harm, and of the address that had it worst: in how many
// moments at least those were under way that were reset, and how many others there were.
func (n notes) underWay(s stretch) (moments, others int) {
	resets, other := map[uint16][]stretch{}, map[uint16]int{}
	for _, r := range n.due(s) {
		switch {
		case !r.New || r.End == answered && !r.late():
		case r.End == reset:
			resets[r.Target] = append(resets[r.Target], stretch{from: r.Due, to: r.Due + r.Took})
		default:
			other[r.Target]++
			others = max(others, other[r.Target])
		}
	}
	for _, list := range resets {
		slices.SortFunc(list, func(a, b stretch) int { return cmp.Compare(a.to, b.to) })
		count, last := 0, time.Duration(-1)
		for _, x := range list {
			if x.from > last {
				count, last = count+1, x.to
			}
		}
		moments = max(moments, count)
	}
	return moments, others
}

// harmed are the requests of a stretch that came to harm, new or over a connection that there was: a sentence for each
// address that had some, by its place in the crowd's list.
func (n notes) harmed(s stretch) map[uint16]string {
	list := map[uint16][]request{}
	for _, r := range n.due(s) {
		if r.End != answered || r.New && r.late() {
			list[r.Target] = append(list[r.Target], r)
		}
	}
	said := map[uint16]string{}
	for target, harmed := range list {
		ends := map[end]int{}
		for _, r := range harmed {
			ends[r.End]++
		}
		first, last := harmed[0].Due-s.at, harmed[len(harmed)-1].Due-s.at
		said[target] = fmt.Sprintf("%d late or failed (%s), due from %s to %s after the event",
			len(harmed), inWords(ends), first.Round(time.Millisecond), last.Round(time.Millisecond))
	}
	return said
}

// net99 is what 99 of 100 answers in a stretch took, without what the crowd itself was late.
func (n notes) net99(s stretch) time.Duration {
	var took []time.Duration
	for _, r := range n.due(s) {
		if r.End == answered {
			took = append(took, r.Took-r.Late)
		}
	}
	slices.Sort(took)
	return part(took, 990)
}

// inWords are requests by their end.
func inWords(ends map[end]int) (text string) {
	for _, e := range slices.Sorted(maps.Keys(ends)) {
		text += fmt.Sprintf(", %d %s", ends[e], e)
	}
	if text == "" {
		return "none"
	}
	return text[2:]
}

// counts are connections by node, in words.
func counts(by map[uint8]int) (text string) {
	for _, node := range slices.Sorted(maps.Keys(by)) {
		text += fmt.Sprintf(", %d through node %d", by[node], node)
	}
	if text == "" {
		return "none"
	}
	return text[2:]
}

func (e end) String() string {
	return [...]string{"answered", "refused", "reset", "timed out", "without a way", "spoiled"}[e]
}
