package speaker

import (
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
)

const (
	// mostLosses of a session, each within steadyAfter of the one before, are told of. One more, and it is called
	// flapping; from then on nothing is told until it has been steady for so long.
	mostLosses  = 3
	steadyAfter = 10 * time.Minute
)

// sessionTeller makes events of what becomes of the sessions.
type sessionTeller struct {
	node   string
	before map[string]v1alpha1.BGPSessionStatus
	losses map[string]losses
}

// losses of a session that came one soon after the other.
type losses struct {
	count int
	last  time.Time
}

// tell returns the events about what is new since it was last called, each with the peer that it is about.
func (t *sessionTeller) tell(sessions []v1alpha1.BGPSessionStatus, now time.Time) (events []sessionEvent) {
	next := map[string]v1alpha1.BGPSessionStatus{}
	for _, s := range sessions {
		next[s.Peer] = s
		events = append(events, t.compare(t.before[s.Peer], s, now)...)
	}
	for peer := range t.losses {
		if _, there := next[peer]; !there {
			delete(t.losses, peer)
		}
	}
	t.before = next
	return events
}

// sessionEvent is an event about a BGPPeer.
type sessionEvent struct {
	peer, reason, message string
	warning               bool
}

// compare returns what became of a session between two looks. It may have come and gone in between.
func (t *sessionTeller) compare(before, now v1alpha1.BGPSessionStatus, at time.Time) (events []sessionEvent) {
	was, is, again := before.EstablishedTime != nil, now.EstablishedTime != nil, now.EstablishedCount != before.EstablishedCount
	switch {
	case was && is && again: // lost, and established anew
		return append(t.tellLost(now, at), t.tellCame(now)...)
	case was && !is:
		return t.tellLost(now, at)
	case !was && is:
		return t.tellCame(now)
	case !was && again && now.EstablishedCount > 0: // established, and lost
		return append(t.tellCame(now), t.tellLost(now, at)...)
	}
	return nil
}

func (t *sessionTeller) tellCame(now v1alpha1.BGPSessionStatus) []sessionEvent {
	if t.losses[now.Peer].count > mostLosses {
		return nil
	}
	return []sessionEvent{{now.Peer, "SessionEstablished", fmt.Sprintf("node %s has a session with %s", t.node, now.Address), false}}
}

func (t *sessionTeller) tellLost(now v1alpha1.BGPSessionStatus, at time.Time) []sessionEvent {
	why := ""
	if now.LastError != "" {
		why = ": " + now.LastError
	}
	switch n := t.lost(now.Peer, at); {
	case n <= mostLosses:
		return []sessionEvent{{now.Peer, "SessionLost", fmt.Sprintf("node %s lost its session with %s%s", t.node, now.Address, why), true}}
	case n == mostLosses+1:
		return []sessionEvent{{now.Peer, "SessionFlapping", fmt.Sprintf(
			"node %s lost its session with %s again, time %d with less than %s in between; told again once it has been steady for so long%s",
			t.node, now.Address, n, minutes(steadyAfter), why), true}}
	}
	return nil
}

// lost counts a loss, and returns how many there were of late.
func (t *sessionTeller) lost(peer string, at time.Time) int {
	l := t.losses[peer]
	if at.Sub(l.last) >= steadyAfter {
		l.count = 0
	}
	if t.losses == nil {
		t.losses = map[string]losses{}
	}
	t.losses[peer] = losses{l.count + 1, at}
	return l.count + 1
}

func minutes(d time.Duration) string { return fmt.Sprintf("%d minutes", int(d.Minutes())) }

// tellSessions writes events about the BGP sessions.
func (s *Status) tellSessions(sessions []v1alpha1.BGPSessionStatus) {
	for _, e := range s.sessionTeller.tell(sessions, time.Now()) {
		object, exists, _ := s.peers.GetByKey(e.peer)
		if !exists {
			continue
		}
		peer := object.(*v1alpha1.BGPPeer)
		s.record(k8s.Event{
			About: corev1.ObjectReference{
				APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "BGPPeer", Name: peer.Name, UID: peer.UID, ResourceVersion: peer.ResourceVersion,
			},
			Warning: e.warning, Reason: e.reason, Message: k8s.Shorten(e.message),
		})
	}
}
