package speaker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func established(peer string) bgp.SessionStatus {
	return bgp.SessionStatus{
		Peer: peer, Address: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("192.0.2.11"), State: bgp.Established, Since: noon.Add(7 * time.Millisecond),
		PeerASN: 4200000000, RouterID: netip.MustParseAddr("10.0.0.1"), HoldTime: 90 * time.Second, Families: []lb.Family{lb.IPv4, lb.IPv6},
		GracefulRestart: true, Received: 5, Sent: 6, UpdatesReceived: 1, UpdatesSent: 2, Advertised: 3, Established: 1,
	}
}

func idle(peer, why string) bgp.SessionStatus {
	return bgp.SessionStatus{Peer: peer, Address: netip.MustParseAddr("192.0.2.1"), State: bgp.Active, Since: noon, LastError: why, LastErrorTime: noon}
}

func TestBGPSessionStatus(t *testing.T) {
	at := metav1.NewTime(noon)
	up := established("up")
	up.BFD = &bgp.BFDStatus{State: "Up", Interval: 100 * time.Millisecond, RemoteInterval: 50 * time.Millisecond, Detection: 300 * time.Millisecond}
	down := idle("down", strings.Repeat("é", 400))
	down.Local = netip.MustParseAddr("192.0.2.11") // of an attempt
	half := bgp.SessionStatus{Peer: "half", WithoutNextHop: 2}
	got := bgpSessions([]bgp.SessionStatus{up, down, {Peer: "new"}, half}, map[string]problem{
		"up":     {v1alpha1.BGPSessionNoSecret, "goes on"},
		"absent": {v1alpha1.BGPSessionConflicting, "stands back"},
	})
	want := []v1alpha1.BGPSessionStatus{
		{Peer: "absent", State: "Idle", LastError: "stands back", Reason: "Conflicting", Message: "stands back"},
		{Peer: "down", Address: "192.0.2.1", State: "Active", DownTime: &at, LastError: strings.Repeat("é", 254) + "...", LastErrorTime: &at},
		{Peer: "half", State: "Idle", Reason: "NoNextHop", Message: "2 prefixes are not advertised: the node has no InternalIP of the family, which would be the next hop"},
		{Peer: "new", State: "Idle"},
		{Peer: "up", Address: "192.0.2.1", LocalAddress: "192.0.2.11", State: "Established", EstablishedTime: &at, EstablishedCount: 1,
			PeerASN: 4200000000, PeerRouterID: "10.0.0.1", HoldTime: &metav1.Duration{Duration: 90 * time.Second},
			Families: []v1alpha1.AddressFamily{"IPv4", "IPv6"}, GracefulRestart: true, MessagesReceived: 5, MessagesSent: 6,
			UpdatesReceived: 1, UpdatesSent: 2, PrefixesAdvertised: 3, Reason: "NoSecret", Message: "goes on", BFDState: "Up",
			BFD: &v1alpha1.BGPSessionBFD{TransmitInterval: 100, ReceiveInterval: 50, DetectionTime: 300}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if empty := bgpSessions(nil, nil); empty != nil {
		t.Errorf("without sessions: %+v", empty)
	}
	var many []bgp.SessionStatus
	for i := range 100 {
		many = append(many, bgp.SessionStatus{Peer: string(rune('a' + i))})
	}
	if n := len(bgpSessions(many, nil)); n != mostBGPSessions {
		t.Errorf("%d of many sessions", n)
	}
}

// What is written of the sessions, and when: at once if one comes or goes, within seconds if routes do, ever more rarely for
// what goes on by itself.
func TestSessionsAreWritten(t *testing.T) {
	for _, tt := range []struct {
		name    string
		members int
		change  func(*bgp.SessionStatus)
		from    bgp.SessionStatus
		least   time.Duration // until it is written; negative for never
		most    time.Duration
	}{
		{"it is lost", 3, func(s *bgp.SessionStatus) { *s = idle(s.Peer, "hold timer expired") }, established("tor"), 0, 0},
		{"it is established", 3, func(s *bgp.SessionStatus) { *s = established(s.Peer) }, idle("tor", "refused"), 0, 0},
		{"it was lost and established in between", 3, func(s *bgp.SessionStatus) { s.Since = s.Since.Add(3 * time.Second); s.Established++ }, established("tor"), 0, 0},
		{"BFD comes up", 3, func(s *bgp.SessionStatus) { s.BFD = &bgp.BFDStatus{State: "Up"} }, established("tor"), 0, 0},
		{"KEEPALIVEs come and go", 3, func(s *bgp.SessionStatus) { s.Received++; s.Sent++ }, established("tor"), -1, 0},
		{"KEEPALIVEs have come twice as often as before", 3, func(s *bgp.SessionStatus) { s.Received *= 2 }, established("tor"), countsEvery, countsEvery + 1},
		{"the router sends UPDATEs", 3, func(s *bgp.SessionStatus) { s.Received++; s.UpdatesReceived += 2 }, established("tor"), countsEvery, countsEvery + 1},
		{"a route more", 3, func(s *bgp.SessionStatus) { s.Sent++; s.UpdatesSent++; s.Advertised++ }, established("tor"), countsEvery, countsEvery + 1},
		{"a route more, in a large cluster", 100, func(s *bgp.SessionStatus) { s.Sent++; s.UpdatesSent++; s.Advertised++ }, established("tor"), countsDelay, 2 * countsDelay},
		{"one more attempt", 3, func(s *bgp.SessionStatus) { s.State, s.LastErrorTime = bgp.OpenSent, noon.Add(time.Hour) }, idle("tor", "refused"), -1, 0},
		{"another failure", 3, func(s *bgp.SessionStatus) { s.LastError, s.LastErrorTime = "timed out", noon.Add(time.Hour) }, idle("tor", "refused"), countsEvery, countsEvery + 1},
		{"the first failure, in a large cluster", 100, func(s *bgp.SessionStatus) { s.LastError, s.LastErrorTime = "refused", noon }, idle("tor", ""), 0, 0},
		{"another failure, in a large cluster", 100, func(s *bgp.SessionStatus) { s.LastError = "timed out" }, idle("tor", "refused"), countsDelay, 2 * countsDelay},
		{"BFD begins", 3, func(s *bgp.SessionStatus) { s.BFD = &bgp.BFDStatus{State: "Down"} }, idle("tor", "refused"), countsEvery, countsEvery + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newStatusWorld(t, members(tt.members)...)
				session := tt.from
				w.sessions = func() []v1alpha1.BGPSessionStatus { return bgpSessions([]bgp.SessionStatus{session}, nil) }
				w.look("new", "create, update")
				w.look("nothing new", "")
				tt.change(&session)
				if tt.least == 0 {
					w.look("at once", "update")
					return
				}
				wait := w.look("not at once", "")
				if tt.least < 0 && wait != 0 || tt.least > 0 && (wait < tt.least || wait > tt.most) {
					t.Errorf("looks again after %s, want %s to %s", wait, tt.least, tt.most)
				}
				if tt.least > 0 {
					time.Sleep(wait)
					w.look("in time", "update")
				}
				w.look("once", "")
			})
		})
	}
}

// What is lost at once does not wait for what can wait, and what can wait less does not wait for what can more.
func TestWaitsDoNotAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, members(100)...)
		session := established("tor")
		w.sessions = func() []v1alpha1.BGPSessionStatus { return bgpSessions([]bgp.SessionStatus{session}, nil) }
		w.look("new", "create, update")
		session.UpdatesSent++
		w.look("a route", "")
		w.group = members(101)
		if wait := w.look("a member", ""); wait < gossipDelay || wait > gossipDelay+gossipJitter {
			t.Errorf("a member that comes is written after %s", wait)
		}
		session = idle("tor", "lost")
		w.look("the session is lost", "update")
	})
}

// Whatever is to be seen of the counters makes another tally: that of a withdrawal is one UPDATE more and one prefix
// less.
func TestTallyTellsChangesApart(t *testing.T) {
	from := established("tor")
	for name, change := range map[string]func(*bgp.SessionStatus){
		"a prefix is advertised":             func(s *bgp.SessionStatus) { s.UpdatesSent++; s.Advertised++ },
		"a prefix is withdrawn":              func(s *bgp.SessionStatus) { s.UpdatesSent++; s.Advertised-- },
		"three are, in one UPDATE":           func(s *bgp.SessionStatus) { s.UpdatesSent++; s.Advertised -= 3 },
		"one is replaced by another":         func(s *bgp.SessionStatus) { s.UpdatesSent += 2 },
		"a prefix has no next hop":           func(s *bgp.SessionStatus) { s.WithoutNextHop++ },
		"one of those that had none is gone": func(s *bgp.SessionStatus) { s.WithoutNextHop, s.UpdatesSent = s.WithoutNextHop+2, s.UpdatesSent+1 },
	} {
		to := from
		change(&to)
		if tally([]bgp.SessionStatus{from, from}) == tally([]bgp.SessionStatus{from, to}) {
			t.Errorf("%s: the tally is the same", name)
		}
	}
	if tally(nil) != 0 || tally([]bgp.SessionStatus{{}}) == 0 {
		t.Error("0 is without sessions, and only then")
	}
}

// The loop finds out by itself that routes were advertised, and costs nothing where there are no sessions.
func TestCountersAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		var mu sync.Mutex
		var sessions []bgp.SessionStatus
		looked := 0
		now := func() []bgp.SessionStatus {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(sessions)
		}
		set := func(s bgp.SessionStatus) {
			mu.Lock()
			defer mu.Unlock()
			sessions = []bgp.SessionStatus{s}
		}
		w.tally = func() uint64 {
			list := now()
			mu.Lock()
			defer mu.Unlock()
			looked++
			return tally(list)
		}
		w.sessions = func() []v1alpha1.BGPSessionStatus { return bgpSessions(now(), nil) }
		ctx, cancel := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = w.Watch().Run(ctx) })
		tasks.Go(func() { _ = w.Run(ctx) })
		defer func() { cancel(); tasks.Wait() }()

		time.Sleep(time.Minute)
		mu.Lock()
		begun := looked
		mu.Unlock()
		time.Sleep(time.Hour)
		mu.Lock()
		if looked != begun {
			t.Errorf("looked %d times without a session", looked-begun)
		}
		mu.Unlock()

		set(established("tor"))
		w.Kick()
		time.Sleep(3 * statusPause)
		more := established("tor")
		more.Advertised, more.UpdatesSent = 7, 7
		set(more)
		time.Sleep(5 * time.Second)
		if got := w.written().BGPSessions; len(got) != 1 || got[0].PrefixesAdvertised != 7 {
			t.Errorf("%+v after 5 s", got)
		}
		synctest.Wait()
		w.client.ClearActions()
		for range 2 * 60 * 24 {
			more.Received, more.Sent = more.Received+1, more.Sent+1
			set(more)
			time.Sleep(30 * time.Second)
		}
		writes := 0
		for _, a := range w.client.Actions() {
			if a.GetVerb() == "update" {
				writes++
			}
		}
		if most := magnitude(more.Received); writes == 0 || writes > most {
			t.Errorf("KEEPALIVEs were a reason to write %d times in a day, want 1 to %d", writes, most)
		}
	})
}
