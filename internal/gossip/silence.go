package gossip

import "time"

// hear takes note that another speaker has been heard just now.
func (g *Group) hear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.contact.IsZero() && now.Sub(g.contact) > silenceLimit {
		g.silence = now
	}
	g.contact = now
}

// Contact returns when another speaker was heard last; zero if never.
func (g *Group) Contact() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.contact
}

// Silence returns when the last time ended in which no other speaker was heard for so long that they may have
// taken this one for dead: zero if there was none, now while it lasts.
func (g *Group) Silence() (end time.Time, lasts bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); !g.contact.IsZero() && now.Sub(g.contact) > silenceLimit {
		return now, true
	}
	return g.silence, false
}
