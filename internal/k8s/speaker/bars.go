package speaker

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/layer2"
)

// notReady is what a node is barred for that has not been Ready for unreadyAfter.
const notReady = "condition Ready, not True for over 1 minute"

// whileBlind is how long readiness waits for the API server to be back: what is known of the nodes is old.
const whileBlind = 5 * time.Second

// bar tells the engine whether a node must own nothing, and why, unless it knows.
func (s *Speaker) bar(name string) {
	n := s.known[name]
	reason, tell := n.barred, (*layer2.Elector).Bar
	switch {
	case n.drained:
		tell = (*layer2.Elector).Drain
	case reason == "" && s.lasting[name]:
		// Its speaker may be well: better this node than none.
		reason, tell = notReady, (*layer2.Elector).Drain
	}
	s.mu.Lock()
	before, told := s.bars[name]
	s.bars[name] = reason
	s.mu.Unlock()
	if !told || before != reason {
		s.tell(func(e *layer2.Elector) { tell(e, name, reason) })
	}
}

// unbar forgets a node that is no more.
func (s *Speaker) unbar(name string) {
	s.mu.Lock()
	delete(s.bars, name)
	s.mu.Unlock()
}

// barredFor returns what a node is barred for, empty if for nothing. It is safe for concurrent use.
func (s *Speaker) barredFor(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bars[name]
}

// review looks again at who has not been Ready for too long, and sees to it that this is done again in time.
func (s *Speaker) review() {
	now := time.Now()
	var again time.Time
	if s.reached() != nil {
		again = now.Add(whileBlind)
	} else {
		s.lasting, again = s.unready.lasting(len(s.known), now)
	}
	for name := range s.known {
		s.bar(name)
	}
	s.setPhase()
	s.reviewing.Stop()
	if !again.IsZero() {
		s.reviewing = time.AfterFunc(again.Sub(now), func() { s.queue.Add(item{kind: kindReadiness}) })
	}
}
