package bgp

import "testing"

func TestTellingFailures(t *testing.T) {
	const wrongAS, hungUp, down = "sent: OPEN Message Error, Bad Peer AS", "the router closed the connection", "BFD: Control Detection Time Expired"
	type failure struct {
		why   string
		wasUp bool
		want  string
	}
	for name, failures := range map[string][]failure{
		"one that says nothing by itself comes with the NOTIFICATION before it": {
			{wrongAS, false, wrongAS}, {hungUp, false, hungUp + "; before: " + wrongAS}, {hungUp, false, hungUp + "; before: " + wrongAS},
		},
		"another NOTIFICATION takes its place": {
			{wrongAS, false, wrongAS}, {"received: Cease", false, "received: Cease"}, {hungUp, false, hungUp + "; before: received: Cease"},
		},
		"that the router rejects connections is no reason of its own": {
			{wrongAS, false, wrongAS}, {"received: Cease, Connection Rejected", false, "received: Cease, Connection Rejected; before: " + wrongAS},
		},
		"attempts after a loss come with why the session was lost": {
			{down, true, down}, {hungUp, false, hungUp + "; before, the session was lost: " + down},
			{wrongAS, false, wrongAS + "; before, the session was lost: " + down}, {hungUp, false, hungUp + "; before: " + wrongAS},
		},
		"a loss ends what was before it": {
			{wrongAS, false, wrongAS}, {down, true, down}, {hungUp, false, hungUp + "; before, the session was lost: " + down},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p past
			for _, f := range failures {
				if got := p.tell(f.why, f.wasUp); got != f.want {
					t.Errorf("%q (up before: %v) is told as\n%q, want\n%q", f.why, f.wasUp, got, f.want)
				}
			}
		})
	}
}
