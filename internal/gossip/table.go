package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// table is what this speaker knows, and what of it is news to the Engine. Merging is commutative,
// associative and idempotent: speakers that heard the same, in whatever order, know the same.
type table struct {
	self string
	// first is the first version of this node's state, above those of its speaker's earlier lives.
	first uint64

	mu     sync.Mutex
	states map[string]lb.NodeState
	claims map[netip.Addr]lb.Claim
	alive  map[string]bool
	// suspicions are those that were not contradicted yet. For how long the node had not been heard is left out: it
	// was so when the suspicion was new.
	suspicions map[string]lb.Suspicion
	// leaving are nodes that said good-bye.
	leaving map[string]bool
	// resting are those of the nodes that take no part whose addresses stay with them.
	resting map[string]bool
	// refuted is true while the others have to be told of this node's own state again.
	refuted bool
	// lossVersion is the version of this node's state that others last held for lost.
	lossVersion uint64
	news        lb.GossipUpdate
}

func newTable(self string, first uint64) *table {
	return &table{
		self: self, first: first, states: map[string]lb.NodeState{}, claims: map[netip.Addr]lb.Claim{}, alive: map[string]bool{},
		suspicions: map[string]lb.Suspicion{}, leaving: map[string]bool{}, resting: map[string]bool{},
	}
}

// merge takes in what another speaker said. It returns what of it others may not know either, and tells whether
// they have to be told of this node's own state again: they suspect it, or remember a later state of it from
// before its speaker's start.
func (t *table) merge(c content) (fresh content, refuted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range c.states {
		if t.mergeState(s) {
			fresh.states = append(fresh.states, s)
		}
	}
	for _, s := range c.suspicions {
		if t.mergeSuspicion(s) {
			fresh.suspicions = append(fresh.suspicions, s)
		}
	}
	for _, x := range c.claims {
		known, ok := t.claims[x.Address]
		if (ok || len(t.claims) < maxClaims) && x.Beats(known) {
			t.claims[x.Address] = x
			t.news.Claims = append(t.news.Claims, x)
			fresh.claims = append(fresh.claims, x)
		}
	}
	for _, o := range c.offers {
		if o.To == t.self {
			t.news.Offers = append(t.news.Offers, o)
		}
	}
	return fresh, t.refuted
}

func (t *table) mergeState(s lb.NodeState) (fresh bool) {
	known, ok := t.states[s.Node]
	if ok && s.Version <= known.Version {
		return false
	}
	if s.Node == t.self {
		if ok {
			t.outdo(s.Version)
		}
		return false
	}
	if !ok && len(t.states) >= maxNodes {
		return false
	}
	t.states[s.Node] = s
	if s.Version > t.suspicions[s.Node].Version {
		delete(t.suspicions, s.Node)
	}
	switch {
	case t.alive[s.Node]:
		t.news.Joined = append(t.news.Joined, s)
	case !ok:
		// Others hand on the states of nodes that rest: a speaker that starts must not take their addresses.
		t.news.Resting = append(t.news.Resting, s)
	}
	return true
}

func (t *table) mergeSuspicion(s lb.Suspicion) (fresh bool) {
	known, ok := t.states[s.Node]
	if s.Node == t.self {
		// Also of an earlier life, when the node was not yet back.
		if s.Silent && s.Version > t.lossVersion {
			t.lossVersion = s.Version
			t.news.Losses++
		}
		if s.Version >= known.Version {
			t.outdo(s.Version)
		}
		return false
	}
	if ok && s.Version < known.Version {
		return false
	}
	if old, had := t.suspicions[s.Node]; had && !s.Replaces(old) || !had && len(t.suspicions) >= maxNodes {
		return false
	}
	t.news.Suspicions = append(t.news.Suspicions, s)
	s.Unheard = 0
	t.suspicions[s.Node] = s
	return true
}

// outdo gives this node's own state a higher version than the others know.
func (t *table) outdo(version uint64) {
	own := t.states[t.self]
	own.Node, own.Version = t.self, max(own.Version, version, t.first)+1
	t.states[t.self] = own
	t.refuted = true
}

// suspect takes in this node's own suspicion. It returns it with the version that it is about, and whether
// the others have to hear of it.
func (t *table) suspect(node string, silent bool, unheard time.Duration) (lb.Suspicion, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.states[node]
	if !ok || node == t.self {
		return lb.Suspicion{}, false
	}
	s := lb.Suspicion{Node: node, Version: known.Version, Silent: silent}
	if old, had := t.suspicions[node]; had && !s.Replaces(old) {
		s = old
	}
	t.suspicions[node] = s
	s.Unheard = unheard
	return s, true
}

// takeRefutation returns this node's state if the others have to be told of it again.
func (t *table) takeRefutation() (lb.NodeState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refuted := t.refuted
	t.refuted = false
	return t.states[t.self], refuted
}

// publish takes in this node's own claims; they are no news to it. It returns those that count.
func (t *table) publish(claims []lb.Claim) (count []lb.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			count = append(count, c)
		}
	}
	return count
}

// claimsTo returns the claims that count for these addresses.
func (t *table) claimsTo(addresses []netip.Addr) (claims []lb.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range addresses {
		if c, ok := t.claims[a]; ok {
			claims = append(claims, c)
		}
	}
	return claims
}

// claim returns the claim that counts for an address; zero if none is known.
func (t *table) claim(a netip.Addr) lb.Claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claims[a]
}

// setSelf replaces this node's own state, under a new version.
func (t *table) setSelf(s lb.NodeState) lb.NodeState {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Node, s.Version = t.self, max(t.states[t.self].Version+1, t.first)
	t.states[t.self] = s
	return s
}

// all returns everything known of the present, for another speaker to merge: nodes that are gone would be
// handed on for ever.
func (t *table) all() (c content) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.states {
		// A suspected node has to hear of it, also as one that has just come back.
		if suspicion, suspected := t.suspicions[name]; suspected && suspicion.Version >= s.Version {
			c.suspicions = append(c.suspicions, suspicion)
		}
		if t.alive[name] || t.resting[name] || name == t.self {
			c.states = append(c.states, s)
		}
	}
	c.claims = slices.Collect(maps.Values(t.claims))
	return c
}

// admits tells whether there is room for a node.
func (t *table) admits(node string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alive[node] || len(t.alive) < maxNodes
}

// join notes that a node takes part. It is news once its state is known.
func (t *table) join(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alive[node] = true
	delete(t.leaving, node)
	delete(t.resting, node)
	t.news.Resting = slices.DeleteFunc(t.news.Resting, func(s lb.NodeState) bool { return s.Node == node })
	same := func(name string) bool { return name == node }
	t.news.Left, t.news.Lost = slices.DeleteFunc(t.news.Left, same), slices.DeleteFunc(t.news.Lost, same)
	s, known := t.states[node]
	suspicion, suspected := t.suspicions[node]
	if known && node != t.self && (!suspected || suspicion.Version < s.Version) {
		t.news.Joined = append(t.news.Joined, s) // else it has to contradict first
	}
}

// part notes that a node takes part no longer.
func (t *table) part(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.leaving[node]
	delete(t.leaving, node)
	// The state of a node that may come back soon is worth keeping, those of all that ever were are not.
	if len(t.states) > 2*len(t.alive)+64 {
		maps.DeleteFunc(t.states, func(name string, _ lb.NodeState) bool { return !t.alive[name] && !t.resting[name] && name != t.self })
		maps.DeleteFunc(t.suspicions, func(name string, _ lb.Suspicion) bool { return !t.alive[name] })
	}
	delete(t.alive, node)
	t.news.Joined = slices.DeleteFunc(t.news.Joined, func(s lb.NodeState) bool { return s.Node == node })
	if left {
		t.news.Left = append(t.news.Left, node)
	} else {
		t.news.Lost = append(t.news.Lost, node)
	}
}

// rest notes whether a node that takes no part keeps its addresses.
func (t *table) rest(node string, resting bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.resting, node)
	if resting {
		t.resting[node] = true
	}
}

// leave notes that a node is about to part with a good-bye.
func (t *table) leave(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.alive[node] {
		t.leaving[node] = true
	}
}

// members returns the nodes that take part, sorted, this one included.
func (t *table) members() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.alive))
}

func (t *table) take() lb.GossipUpdate {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.news
	t.news = lb.GossipUpdate{}
	return news
}
