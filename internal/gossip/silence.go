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

// answer takes note that another speaker has answered, which takes a way there and back.
func (g *Group) answer() {
	g.hear()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = g.contact
}

// Contact returns when another speaker answered this one last; zero if never.
func (g *Group) Contact() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answered
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
