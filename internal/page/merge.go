package page

import "reflect"

// NewState returns a State with empty tables.
func NewState() *State {
	return &State{
		Pools: map[string]Pool{}, Usage: map[string][]Step{}, Services: map[string]Service{}, Nodes: map[string]Node{},
		Peers: map[string]Peer{}, Sessions: map[string]Session{}, Routes: map[string]Route{},
		Takeovers: map[string]Takeover{}, Conflicts: map[string]Conflict{}, Problems: map[string]Problem{},
	}
}

// Merge brings a state up to date, and takes from the change what was so already: the rest is what viewers are to
// hear. It returns false if there is none.
func (s *State) Merge(c *Change) (news bool) {
	if c.About != nil && *c.About == s.About {
		c.About = nil
	}
	if c.About != nil {
		s.About, news = *c.About, true
	}
	for pool, steps := range c.Usage {
		if steps = newSteps(s.Usage[pool], steps); len(steps) == 0 {
			delete(c.Usage, pool)
			continue
		}
		c.Usage[pool], news = steps, true
		s.Usage[pool] = join(s.Usage[pool], steps)
	}
	news = merge(s.Pools, c.Pools) || news
	for pool, now := range c.Pools {
		if now == nil {
			delete(s.Usage, pool)
		}
	}
	news = merge(s.Services, c.Services) || news
	news = merge(s.Nodes, c.Nodes) || news
	news = merge(s.Peers, c.Peers) || news
	news = merge(s.Sessions, c.Sessions) || news
	news = merge(s.Routes, c.Routes) || news
	news = merge(s.Takeovers, c.Takeovers) || news
	news = merge(s.Conflicts, c.Conflicts) || news
	news = merge(s.Problems, c.Problems) || news
	return news
}

// merge brings a table up to date, and leaves of the edits those that changed it.
func merge[T any](table map[string]T, edits map[string]*T) bool {
	for key, now := range edits {
		was, known := table[key]
		switch {
		case now == nil && known:
			delete(table, key)
		case now != nil && !(known && reflect.DeepEqual(was, *now)):
			table[key] = *now
		default:
			delete(edits, key)
		}
	}
	return len(edits) > 0
}
