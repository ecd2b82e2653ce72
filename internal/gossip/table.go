package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// table is what this speaker knows, and what of it is news to the Engine. Merging is commutative,
// associative and idempotent: speakers that heard the same, in whatever order, know the same.
type table struct {
	self string

	mu     sync.Mutex
	states map[string]lb.NodeState
	claims map[netip.Addr]lb.Claim
	alive  map[string]bool
	// leaving are nodes that said good-bye.
	leaving map[string]bool
	// refuted is true while the others have to be told of this node's own state again.
	refuted bool
	news    lb.GossipUpdate
}

func newTable(self string) *table {
	return &table{self: self, states: map[string]lb.NodeState{}, claims: map[netip.Addr]lb.Claim{}, alive: map[string]bool{}, leaving: map[string]bool{}}
}

// merge takes in what another speaker said. If the others remember a later state of this node, from before its
// speaker's start, they have to be told of the present one again.
func (t *table) merge(states []lb.NodeState, claims []lb.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range states {
		known, ok := t.states[s.Node]
		if ok && s.Version <= known.Version {
			continue
		}
		if s.Node == t.self {
			if ok {
				known.Version = s.Version + 1
				t.states[t.self] = known
				t.refuted = true
			}
			continue
		}
		t.states[s.Node] = s
		if t.alive[s.Node] {
			t.news.Joined = append(t.news.Joined, s)
		}
	}
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			t.news.Claims = append(t.news.Claims, c)
		}
	}
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

// setSelf replaces this node's own state.
func (t *table) setSelf(interfaces []lb.Interface) lb.NodeState {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := lb.NodeState{Node: t.self, Version: t.states[t.self].Version + 1, Interfaces: interfaces}
	t.states[t.self] = s
	return s
}

// all returns everything known of the present, for another speaker to merge: nodes that are gone would be
// handed on for ever.
func (t *table) all() ([]lb.NodeState, []lb.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var states []lb.NodeState
	for name, s := range t.states {
		if t.alive[name] || name == t.self {
			states = append(states, s)
		}
	}
	return states, slices.Collect(maps.Values(t.claims))
}

// join notes that a node takes part. It is news once its state is known.
func (t *table) join(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alive[node] = true
	delete(t.leaving, node)
	same := func(name string) bool { return name == node }
	t.news.Left, t.news.Lost = slices.DeleteFunc(t.news.Left, same), slices.DeleteFunc(t.news.Lost, same)
	if s, ok := t.states[node]; ok && node != t.self {
		t.news.Joined = append(t.news.Joined, s)
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
		maps.DeleteFunc(t.states, func(name string, _ lb.NodeState) bool { return !t.alive[name] && name != t.self })
	}
	delete(t.alive, node)
	t.news.Joined = slices.DeleteFunc(t.news.Joined, func(s lb.NodeState) bool { return s.Node == node })
	if left {
		t.news.Left = append(t.news.Left, node)
	} else {
		t.news.Lost = append(t.news.Lost, node)
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
