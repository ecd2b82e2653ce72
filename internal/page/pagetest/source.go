// Package pagetest makes up what the status page shows, for its tests.
package pagetest

import (
	"maps"
	"sync"

	"github.com/fairlead-lb/fairlead/internal/page"
)

// Source is a page.Source whose state is what a test says. Its methods may be called by several goroutines.
type Source struct {
	mu      sync.Mutex
	state   *page.State
	looked  bool // at since Begin
	begun   int
	pending []*page.Change
	changed chan struct{}
}

// New returns a source of a state, which it keeps.
func New(state *page.State) *Source {
	return &Source{state: state, changed: make(chan struct{}, 1)}
}

// Edit changes the state.
func (s *Source) Edit(c *page.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Merge(c)
	if !s.looked {
		return
	}
	s.pending = append(s.pending, c)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Begun counts how often somebody began to look.
func (s *Source) Begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// Looked tells whether somebody looks.
func (s *Source) Looked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked
}

// Begin returns a copy of the state.
func (s *Source) Begin() *page.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked, s.pending = true, nil
	s.begun++
	c := *s.state
	c.Pools, c.Usage, c.Services, c.Nodes = maps.Clone(c.Pools), maps.Clone(c.Usage), maps.Clone(c.Services), maps.Clone(c.Nodes)
	c.Peers, c.Sessions, c.Routes = maps.Clone(c.Peers), maps.Clone(c.Sessions), maps.Clone(c.Routes)
	c.Takeovers, c.Conflicts, c.Problems = maps.Clone(c.Takeovers), maps.Clone(c.Conflicts), maps.Clone(c.Problems)
	return &c
}

// Changes are all edits since it was last asked, as one.
func (s *Source) Changes() *page.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := &page.Change{}
	for _, c := range s.pending {
		if c.About != nil {
			all.About = c.About
		}
		join(&all.Usage, c.Usage)
		join(&all.Pools, c.Pools)
		join(&all.Services, c.Services)
		join(&all.Nodes, c.Nodes)
		join(&all.Peers, c.Peers)
		join(&all.Sessions, c.Sessions)
		join(&all.Routes, c.Routes)
		join(&all.Takeovers, c.Takeovers)
		join(&all.Conflicts, c.Conflicts)
		join(&all.Problems, c.Problems)
	}
	s.pending = nil
	return all
}

func join[T any](all *map[string]T, more map[string]T) {
	if *all == nil {
		*all = map[string]T{}
	}
	maps.Copy(*all, more)
}

// Changed has a value once there is an edit.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// About is that of the state.
func (s *Source) About() page.About {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.About
}

// End forgets what nobody has asked for.
func (s *Source) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked, s.pending = false, nil
}
