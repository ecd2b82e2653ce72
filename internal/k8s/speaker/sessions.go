package speaker

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the custom resource definition takes.
const (
	mostBGPSessions = 64
	longestError    = 512
	longestWords    = 128
)

// sessions returns the BGP sessions as the status shows them, sorted by peer. It is safe for concurrent use.
func (s *Speaker) sessions() []v1alpha1.BGPSessionStatus {
	s.mu.Lock()
	problems := s.routing.problems // never changed, only replaced
	s.mu.Unlock()
	list := bgpSessions(s.routing.engine.Status(), problems)
	for i := range list {
		object, exists, _ := s.routing.peers.GetStore().GetByKey(list[i].Peer)
		// The engine knows of the address that it last had a connection with.
		if exists && list[i].State != v1alpha1.BGPSessionEstablished {
			list[i].Address = cmp.Or(object.(*v1alpha1.BGPPeer).Spec.PeerAddress, list[i].Address)
		}
	}
	return list
}

// bgpSessions puts into the API's form what the engine shows, and the sessions that could not be opened.
func bgpSessions(engine []bgp.SessionStatus, problems map[string]problem) (list []v1alpha1.BGPSessionStatus) {
	opened := map[string]bool{}
	for _, e := range engine {
		opened[e.Peer] = true
		session := bgpSession(e)
		p, bad := problems[e.Peer]
		if !bad && e.WithoutNextHop > 0 {
			p, bad = noNextHop(e.WithoutNextHop), true
		}
		if bad {
			session.Reason, session.Message = p.reason, cut(p.message, longestError)
		}
		list = append(list, session)
	}
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		if p := problems[name]; !opened[name] {
			message := cut(p.message, longestError)
			list = append(list, v1alpha1.BGPSessionStatus{
				Peer: name, State: v1alpha1.BGPSessionIdle, LastError: message, Reason: p.reason, Message: message,
			})
		}
	}
	slices.SortFunc(list, func(a, b v1alpha1.BGPSessionStatus) int { return cmp.Compare(a.Peer, b.Peer) })
	return list[:min(len(list), mostBGPSessions)]
}

func bgpSession(e bgp.SessionStatus) v1alpha1.BGPSessionStatus {
	s := v1alpha1.BGPSessionStatus{
		Peer: e.Peer, State: v1alpha1.BGPSessionState(cmp.Or(e.State, bgp.Idle)), EstablishedCount: count(e.Established),
		PeerASN: int64(e.PeerASN), LastError: cut(e.LastError, longestError), LastErrorTime: when(e.LastErrorTime),
	}
	if e.Address.IsValid() {
		s.Address = e.Address.String()
	}
	if e.RouterID.IsValid() {
		s.PeerRouterID = e.RouterID.String()
	}
	if e.State != bgp.Established {
		s.DownTime = when(e.Since)
	} else {
		s.EstablishedTime = when(e.Since)
		if e.Local.IsValid() {
			s.LocalAddress = e.Local.String()
		}
		s.HoldTime = &metav1.Duration{Duration: e.HoldTime}
		for _, f := range e.Families {
			s.Families = append(s.Families, v1alpha1.AddressFamily(f.String()))
		}
		s.GracefulRestart = e.GracefulRestart
		s.MessagesReceived, s.MessagesSent = count(e.Received), count(e.Sent)
		s.UpdatesReceived, s.UpdatesSent = count(e.UpdatesReceived), count(e.UpdatesSent)
		s.PrefixesAdvertised = int32(min(e.Advertised, math.MaxInt32))
	}
	if b := e.BFD; b != nil {
		s.BFDState = v1alpha1.BFDSessionState(b.State)
		s.BFD = &v1alpha1.BGPSessionBFD{
			TransmitInterval: milliseconds(b.Interval), ReceiveInterval: milliseconds(b.RemoteInterval),
			DetectionTime: milliseconds(b.Detection), Diagnostic: cut(b.Diagnostic, longestWords),
		}
	}
	return s
}

// keepSessions takes over from the written sessions what is no reason to write: that a session that is not
// established is tried again and again, with the same outcome, and that KEEPALIVEs come and go. What comes and goes
// is written anew when it has doubled, or something else is: ever more rarely, while nothing happens.
func keepSessions(wanted, written []v1alpha1.BGPSessionStatus) {
	for i := range wanted {
		w := &wanted[i]
		j := slices.IndexFunc(written, func(b v1alpha1.BGPSessionStatus) bool { return b.Peer == w.Peer })
		if j < 0 {
			continue
		}
		b := &written[j]
		if w.LastError == b.LastError && w.EstablishedCount == b.EstablishedCount && b.LastErrorTime != nil {
			w.LastErrorTime = b.LastErrorTime
		}
		switch up := w.EstablishedTime; {
		case up == nil && b.EstablishedTime == nil:
			if w.LastError == b.LastError {
				w.State, w.Address = b.State, cmp.Or(w.Address, b.Address)
			}
		case up != nil && up.Equal(b.EstablishedTime) && w.UpdatesSent == b.UpdatesSent && w.PrefixesAdvertised == b.PrefixesAdvertised &&
			magnitude(uint64(w.MessagesReceived)) == magnitude(uint64(b.MessagesReceived)) &&
			magnitude(uint64(w.UpdatesReceived)) == magnitude(uint64(b.UpdatesReceived)):
			w.MessagesReceived, w.MessagesSent, w.UpdatesReceived = b.MessagesReceived, b.MessagesSent, b.UpdatesReceived
		}
	}
}

// atOnce is what of the sessions is written without delay: which there are, whether they are established and
// watched, and what keeps them from it.
func atOnce(sessions []v1alpha1.BGPSessionStatus) (list []v1alpha1.BGPSessionStatus) {
	for _, s := range sessions {
		of := v1alpha1.BGPSessionStatus{Peer: s.Peer, EstablishedTime: s.EstablishedTime, Reason: s.Reason}
		if s.BFDState == v1alpha1.BFDSessionUp {
			of.BFDState = s.BFDState
		}
		if s.EstablishedTime == nil && s.LastError != "" {
			of.LastError = "some" // which one may change with each attempt
		}
		list = append(list, of)
	}
	return list
}

// tally is a number that differs if what is to be seen of the sessions' counters within seconds differs, 0 without
// sessions.
func tally(sessions []bgp.SessionStatus) (sum uint64) {
	add := func(n uint64) { sum = sum*1_000_003 + n }
	for _, s := range sessions {
		add(1)
		// Each by itself: a withdrawal is one UPDATE more and one prefix less.
		add(s.UpdatesSent)
		add(uint64(s.Advertised))
		add(uint64(s.WithoutNextHop))
		add(uint64(magnitude(s.Received)))
		add(uint64(magnitude(s.UpdatesReceived)))
	}
	return sum
}

// magnitude of a count: one more each time that it has doubled.
func magnitude(n uint64) int { return bits.Len64(n) }

func count(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func milliseconds(d time.Duration) int32 { return int32(min(max(d.Milliseconds(), 0), math.MaxInt32)) }

// when is a time as the API server gives it back, nil for the zero time.
func when(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := seconds(t)
	return &at
}

// cut returns as much of a text as a field may hold.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}
