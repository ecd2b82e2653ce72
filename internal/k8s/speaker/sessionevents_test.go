package speaker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSessionEvents(t *testing.T) {
	up := func(count int64) v1alpha1.BGPSessionStatus {
		at := metav1.NewTime(noon)
		return v1alpha1.BGPSessionStatus{Peer: "tor", Address: "192.0.2.1", State: "Established", EstablishedTime: &at, EstablishedCount: count}
	}
	down := func(count int64, why string) v1alpha1.BGPSessionStatus {
		return v1alpha1.BGPSessionStatus{Peer: "tor", Address: "192.0.2.1", State: "Active", EstablishedCount: count, LastError: why}
	}
	one := func(s v1alpha1.BGPSessionStatus) []v1alpha1.BGPSessionStatus { return []v1alpha1.BGPSessionStatus{s} }
	const came, lost = "SessionEstablished: node n has a session with 192.0.2.1", "SessionLost: node n lost its session with 192.0.2.1"
	for _, tt := range []struct {
		name  string
		looks [][]v1alpha1.BGPSessionStatus
		want  []string
	}{
		{"comes up", [][]v1alpha1.BGPSessionStatus{nil, one(down(0, "refused")), one(up(1)), one(up(1))}, []string{came}},
		{"never comes up", [][]v1alpha1.BGPSessionStatus{one(down(0, "refused")), one(down(0, "timed out"))}, nil},
		{"is lost", [][]v1alpha1.BGPSessionStatus{one(up(1)), one(down(1, "hold timer expired")), one(down(1, "refused"))}, []string{came, lost + ": hold timer expired"}},
		{"is lost and back between two looks", [][]v1alpha1.BGPSessionStatus{one(up(1)), one(up(2))}, []string{came, lost, came}},
		{"comes up and is lost between two looks", [][]v1alpha1.BGPSessionStatus{nil, one(down(1, "refused")), one(down(1, "refused")), one(down(3, "refused"))},
			[]string{came, lost + ": refused", came, lost + ": refused"}},
		{"its peer is removed", [][]v1alpha1.BGPSessionStatus{one(up(1)), nil}, []string{came}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			teller := sessionTeller{node: "n"}
			var got []string
			for i, sessions := range tt.looks {
				for _, e := range teller.tell(sessions, noon.Add(time.Duration(i)*time.Second)) {
					got = append(got, e.reason+": "+e.message)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("flaps for a day, is steady, and is lost again", func(t *testing.T) {
		teller, events, last := sessionTeller{node: "n"}, 0, ""
		now := noon
		tell := func(s v1alpha1.BGPSessionStatus) {
			for _, e := range teller.tell(one(s), now) {
				events, last = events+1, fmt.Sprint(e.reason, ": ", e.message)
			}
		}
		for i := range int64(10_000) {
			tell(up(i + 1))
			now = now.Add(8 * time.Second)
			tell(down(i+1, ""))
			now = now.Add(time.Second)
		}
		if want := "SessionFlapping: node n lost its session with 192.0.2.1 again, time 4 with less than 10 minutes in between; told again once it has been steady for so long"; last != want || events != 8 {
			t.Errorf("%d events, the last %q", events, last)
		}
		tell(up(20_000))
		now = now.Add(steadyAfter)
		events = 0
		tell(down(20_000, "refused"))
		if events != 1 || last != lost+": refused" {
			t.Errorf("%d events, the last %q", events, last)
		}
	})
}
